"""`orchestrator plan FILE`: where each task of a flow would go, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import DEFAULT_SERVER, HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.run import pairs
from orchestrator.cli.speech import ASKED_WRONGLY, RUN_FAILED, SUCCESS, fail, hint, put, put_json, say
from orchestrator.errors import FlowInvalid, InputInvalid, ServerUnreachable

if TYPE_CHECKING:
    from orchestrator.model.plan import FlowPlan

EXAMPLES = """
  orchestrator plan etl.yaml
  orchestrator plan etl.yaml -i pool=gpu
  orchestrator plan etl.yaml --offline --json
"""

app = commands()


@app.command(cls=Examples, context_settings=HELP, epilog=EXAMPLES)
def plan(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The flow's YAML file, or - for stdin.", show_default=False)],
    inputs: Annotated[list[str] | None, typer.Option("-i", "--input", metavar="KEY=VALUE", help="An input; may be repeated.")] = None,
    labels: Annotated[list[str] | None, typer.Option("-l", "--label", metavar="KEY=VALUE", help="A label of the execution; may be repeated.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server: by the flow alone, as this machine would run it.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Tell for every task where it would go, who said so, and what would become of it now. Nothing is run or saved.

    Exits with 0 when every task has a place, 1 when one would fail as things are, 2 when the flow or an input is wrong,
    3 when the server named does not answer. Where none is named and none answers, the flow alone is told.
    """
    from orchestrator.cli.plan_text import shown
    from orchestrator.cli.problems import as_text, diagnostics_of, read_source, refused_text, with_help

    source = read_source(file)
    try:
        made = _plan(source, pairs(inputs, "-i"), pairs(labels, "--label"), server, token, offline=offline)
    except FlowInvalid as err:
        fail(refused_text(err, source, file), ASKED_WRONGLY)
    except InputInvalid as err:
        fail(f"error[{err.code}]: {with_help(str(err))}", ASKED_WRONGLY)
    if made.warnings:
        say(as_text(diagnostics_of(made.warnings, file), source, file))
    if as_json:
        put_json(made.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        put(shown(made))
        hint(f"next: orchestrator run {file}")
    raise typer.Exit(RUN_FAILED if made.would_fail else SUCCESS)


def _plan(source: str, inputs: dict[str, str], labels: dict[str, str], server: str | None, token: str | None, *, offline: bool) -> FlowPlan:
    if not offline:
        try:
            return _told(source, inputs, labels, server, token)
        except ServerUnreachable:
            if server is not None:
                raise
            say(f"no server answers at {DEFAULT_SERVER}: by the flow alone, without worker groups")
    from orchestrator.runtime.planning import Grounds, plan_of

    return plan_of(source, inputs, labels, Grounds())


def _told(source: str, inputs: dict[str, str], labels: dict[str, str], server: str | None, token: str | None) -> FlowPlan:
    import json

    from orchestrator.cli.client import Body, path
    from orchestrator.model.plan import FlowPlan

    asked = json.dumps({"source": source, "inputs": inputs, "labels": labels}).encode()
    return FlowPlan.model_validate(connect(server, token).json("POST", path("flows", "plan"), body=Body(asked, "application/json")))
