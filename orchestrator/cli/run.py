"""`orchestrator run FILE`: save the flow, start it, follow it to its end, and exit with how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.job import leave_its_modules
from orchestrator.cli.options import HELP, AsJson, Examples, OwnPort, OwnServer, Token, commands
from orchestrator.cli.speech import ASKED_WRONGLY, RUN_FAILED, SUCCESS, fail, hint, put, put_json, say
from orchestrator.errors import FlowInvalid, Refused

if TYPE_CHECKING:
    from orchestrator.cli.session import FlowRef, Json, Session, Start
    from orchestrator.cli.stopping import Stopping

EXAMPLES = """
  orchestrator run hello.yaml
  orchestrator run etl.yaml -i day=2026-01-31 --input-file data=./rows.csv
  orchestrator run etl.yaml --json | jq .outputs
  ray job submit --working-dir . -- orchestrator run etl.yaml
"""

app = commands()


@app.command(cls=Examples, context_settings=HELP, epilog=EXAMPLES)
def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The flow's YAML file, or - for stdin.", show_default=False)],
    inputs: Annotated[list[str] | None, typer.Option("-i", "--input", metavar="KEY=VALUE", help="An input; may be repeated.")] = None,
    input_files: Annotated[list[str] | None, typer.Option("--input-file", metavar="KEY=PATH", help="A FILE input; may be repeated.")] = None,
    labels: Annotated[list[str] | None, typer.Option("-l", "--label", metavar="KEY=VALUE", help="A label of the execution; may be repeated.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start it and return at once. In a Ray job: follow it, but leave it going when the job is stopped.")
    ] = False,
    as_json: AsJson = False,
    server: OwnServer = None,
    token: Token = None,
    own_port: OwnPort = None,
    job: Annotated[str | None, typer.Option(hidden=True, envvar="RAY_JOB_CONFIG_JSON_ENV_VAR")] = None,
) -> None:
    """Run a flow and follow it: a live tree of its tasks, their logs, and its outputs at the end.

    Exits with 0 when the run succeeded, 1 when it failed or was killed, 2 when the flow or an input is wrong, 3 when
    no server answers. Where this machine has no server yet, one is started.
    """
    from orchestrator.cli.problems import read_source, refuse_inputs
    from orchestrator.cli.session import Start
    from orchestrator.cli.sessions import open_session
    from orchestrator.cli.stopping import Stopping

    in_job = server is None and job is not None
    if in_job:
        leave_its_modules()
    given = Start(pairs(inputs, "-i"), given_files(input_files), tuple(pairs(labels, "--label").items()))
    source = read_source(file)
    refuse_inputs(source, file, given.inputs, given.files)  # before the flow is saved, and before a server is started for it
    session = open_session(server, token, in_job=in_job, source=source, file=file, own_port=own_port)
    try:
        flow = _saved(session, source, file)
        with Stopping(detach=detach) as stopping:
            execution = _started(session, flow, given)
            if detach and not in_job:
                _left(execution, as_json=as_json)
            else:
                raise typer.Exit(_followed(session, execution, stopping, as_json=as_json))
    finally:
        session.close()


def _saved(session: Session, source: str, file: str) -> FlowRef:
    try:
        return session.save_flow(source)
    except FlowInvalid as err:
        from orchestrator.cli.problems import refused_text

        fail(refused_text(err, source, file), ASKED_WRONGLY)


def _started(session: Session, flow: FlowRef, given: Start) -> Json:
    try:
        return session.start(flow, given)
    except Refused as err:
        from orchestrator.cli.problems import with_help

        fail(f"error[{err.code}]: {flow.namespace}.{flow.id} was not started: {with_help(str(err))}", ASKED_WRONGLY)


def _followed(session: Session, execution: Json, stopping: Stopping, *, as_json: bool) -> int:
    """Follow to the end, tell how it ended, and give the exit code."""
    from orchestrator.cli.ending import exit_code, tell
    from orchestrator.cli.following import Ended, follow
    from orchestrator.cli.views import view_for

    last, how = follow(session, execution, view_for(as_json=as_json), stopping)
    if as_json:
        put_json(last)
    if how is Ended.DETACHED:
        say(f"left running: follow it with `orchestrator execution logs -f {last['id']}`, end it with `orchestrator execution kill {last['id']}`")
        return RUN_FAILED if stopping.terminated else SUCCESS
    if how is Ended.LEFT:
        say(f"its end was asked for, and not waited for: `orchestrator execution show {last['id']}` tells")
        return RUN_FAILED
    tell(last, as_json=as_json)
    return exit_code(last)


def _left(execution: Json, *, as_json: bool) -> None:
    if as_json:
        put_json(execution)
    else:
        put(str(execution["id"]))
    hint(f"follow it: orchestrator execution logs -f {execution['id']}")


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """`KEY=VALUE` texts as a map. Raises Refused for one without a key or `=`."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Refused(f"{option} takes KEY=VALUE, not `{text}`")
        found[key] = value
    return found


def given_files(texts: Sequence[str] | None) -> dict[str, Path]:
    """`KEY=PATH` texts as a map. Raises Refused for a path at which there is no file."""
    found = {key: Path(value) for key, value in pairs(texts, "--input-file").items()}
    for key, file in found.items():
        if not file.is_file():
            raise Refused(f"--input-file {key}: no such file: {file}")
    return found
