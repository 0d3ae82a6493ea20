"""`orchestrator execution restart|replay|force-run`: what people do to an execution by hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import harmless, hint, put_json, say

app = commands()

Id = Annotated[str, typer.Argument(metavar="ID", help="The execution's id, or a unique beginning of it.", show_default=False)]
Revision = Annotated[int | None, typer.Option("--revision", min=1, metavar="N", help="Go on with this revision of the flow; default: the execution's own.")]


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator execution restart 4hUz\n  orchestrator execution restart 4hUz --revision 3")
def restart(identity: Id, revision: Revision = None, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Go on with an execution that has failed: what failed begins again, what succeeded stays."""
    client = connect(server, token)
    acted = _act(client, identity, "restart", [("revision", str(revision))] if revision else [])
    _tell(acted, f"restarting {acted['id']}", as_json=as_json)


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator execution replay 4hUz\n  orchestrator execution replay 4hUz --task load --revision 3")
def replay(
    identity: Id,
    task: Annotated[str | None, typer.Option(metavar="ID", help="Begin with this task (or task run); default: with the first one.")] = None,
    revision: Revision = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Make a new execution of an old one's inputs; with --task, what came before that task is taken over."""
    from orchestrator.cli.identity import execution_of

    client = connect(server, token)
    old = execution_of(client, identity)
    query = [("taskRunId", _task_run(old, task))] if task is not None else []
    acted = _act(client, old["id"], "replay", [*query, *([("revision", str(revision))] if revision else [])])
    _tell(acted, f"replaying {old['id']} as {acted['id']}", as_json=as_json)


@app.command("force-run", cls=Examples, context_settings=HELP, epilog="  orchestrator execution force-run 4hUz")
def force_run(identity: Id, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Let an execution begin or go on now, whatever its flow's limit says."""
    acted = _act(connect(server, token), identity, "force-run", [])
    _tell(acted, f"running {acted['id']}", as_json=as_json)


def _act(client: Any, identity: str, verb: str, query: list[tuple[str, str]]) -> dict[str, Any]:
    """The execution as the action left it."""
    from orchestrator.cli.client import path
    from orchestrator.cli.identity import execution_of

    found = execution_of(client, identity)
    acted: dict[str, Any] = client.json("POST", path("executions", found["id"], verb), query=query)
    return acted


def _task_run(execution: dict[str, Any], task: str) -> str:
    """The id of the one run of a task. Raises NotFound for none, Refused for several."""
    from orchestrator.errors import NotFound, Refused

    found = [run["id"] for run in execution.get("taskRunList") or () if task in (run.get("taskId"), run["id"])]
    if not found:
        raise NotFound(f"task `{harmless(task)}` has not run in execution {execution['id']}\n  help: orchestrator execution show {execution['id']}")
    if len(found) > 1:
        raise Refused(f"task `{harmless(task)}` has run {len(found)} times: give the id of one of its task runs, such as {found[0]}")
    return str(found[0])


def _tell(execution: dict[str, Any], done: str, *, as_json: bool) -> None:
    if as_json:
        put_json(execution)
    say(done)
    hint(f"next: orchestrator execution logs -f {execution['id']}")
