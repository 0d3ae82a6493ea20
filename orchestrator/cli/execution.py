"""`orchestrator execution ...`: list, show, follow and end executions, and act on them by hand."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orchestrator.cli import execution_actions
from orchestrator.cli.execution_actions import Id
from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import harmless, hint, now, put, put_json, say, table

app = commands("List, show, follow, kill, restart and replay executions. Any unique beginning of an id will do.")
app.add_typer(execution_actions.app)


class LevelWord(StrEnum):
    """The least level of the lines wanted."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


@app.command("ls", cls=Examples, context_settings=HELP, epilog="  orchestrator execution ls\n  orchestrator execution ls --state FAILED -n company.team --json")
def ls(
    state: Annotated[list[str] | None, typer.Option(metavar="STATE", help="Only in this state, such as RUNNING or FAILED; may be repeated.")] = None,
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", help="This namespace and those below it.")] = None,
    flow: Annotated[str | None, typer.Option(metavar="ID", help="Only of the flow with this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 25,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """List executions, the newest first."""
    from orchestrator.cli.client import path

    query = [("size", str(limit)), ("sort", "state.startDate:desc"), *(("state", word.upper()) for word in state or ())]
    query += [(name, value) for name, value in (("namespace", namespace), ("flowId", flow)) if value]
    page = connect(server, token).json("GET", path("executions", "search"), query=query)
    if as_json:
        put_json(page["results"])
        return
    rows = [_row(execution) for execution in page["results"]]
    put(table(("ID", "STATE", "FLOW", "STARTED", "DURATION"), rows)) if rows else say("no executions")
    more = page.get("total", 0) - len(rows)
    say(f"{more} more: --limit {min(1000, page['total'])}") if more > 0 else None
    hint(f"next: orchestrator execution show {rows[0][0]}" if rows else "next: orchestrator run FILE")


def _row(execution: dict[str, object]) -> tuple[str, ...]:
    from orchestrator.cli.shapes import ago, current, duration_text, seconds_in, shape

    state = execution.get("state")
    lifecycle = state if isinstance(state, dict) else {}
    word = current(execution)
    return (
        str(execution["id"]),
        f"{shape(word)} {word}",
        f"{execution.get('namespace')}/{execution.get('flowId')}",
        ago(lifecycle.get("startDate"), now()),
        duration_text(seconds_in(lifecycle, now())),
    )


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator execution show 4hUz\n  orchestrator execution show 4hUz --json | jq .state.current")
def show(identity: Id, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Show an execution: its inputs, the tree of its task runs, its outputs, and why it failed."""
    from orchestrator.cli.identity import execution_of

    execution = execution_of(connect(server, token), identity)
    if as_json:
        put_json(execution)
        return
    from orchestrator.cli.ending import told

    put(told(execution))
    hint(f"next: orchestrator execution logs {execution['id']}")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator execution logs 4hUz\n  orchestrator execution logs -f 4hUz")
def logs(
    identity: Id,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the execution has ended.")] = False,
    level: Annotated[LevelWord | None, typer.Option("--level", case_sensitive=False, metavar="LEVEL", help="Only lines of this level and above.")] = None,
    task: Annotated[str | None, typer.Option(metavar="ID", help="Only lines of this task.")] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Print the log lines of an execution; with --json, one JSON document, or with -f one per line."""
    from orchestrator.cli.client import path
    from orchestrator.cli.identity import execution_of
    from orchestrator.cli.lines import Wanted, print_following, print_line

    client = connect(server, token)
    execution = execution_of(client, identity)
    wanted = Wanted(level.value if level else "TRACE", task)
    if follow:
        print_following(client, execution, wanted, as_json=as_json)
        return
    found = [line for line in client.json("GET", path("logs", execution["id"])) or [] if wanted.takes(line)]
    if as_json:
        put_json(found)
        return
    for line in found:
        print_line(line)


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator execution kill 4hUz")
def kill(identity: Id, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Ask for the end of an execution: its running tasks are stopped, and nothing of it starts again."""
    from orchestrator.cli.client import path
    from orchestrator.cli.identity import execution_of

    client = connect(server, token)
    found = execution_of(client, identity)
    client.json("DELETE", path("executions", found["id"], "kill"), query=[("isOnKillCascade", "false")])
    if as_json:
        put_json(client.json("GET", path("executions", found["id"])))
    say(f"killing {found['id']}")
    hint(f"next: orchestrator execution logs -f {found['id']}")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator execution cost 4hUz\n  orchestrator execution cost 4hUz --json | jq .total")
def cost(identity: Id, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Print what an execution has cost by the price book: in all, by task and by runner."""
    from orchestrator.cli.client import path
    from orchestrator.cli.cost import told
    from orchestrator.cli.identity import execution_of

    client = connect(server, token)
    found = execution_of(client, identity)
    costs = client.json("GET", path("executions", found["id"], "cost"))
    put_json(costs) if as_json else put(told(costs))
    hint(f"next: orchestrator execution show {found['id']}")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator execution outputs 4hUz | jq .rows\n  orchestrator execution outputs 4hUz --task load")
def outputs(
    identity: Id,
    task: Annotated[str | None, typer.Option(metavar="ID", help="The outputs of this task in place of the flow's; a list when it ran several times.")] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Print the outputs of an execution as JSON."""
    from orchestrator.cli.identity import execution_of
    from orchestrator.errors import NotFound

    execution = execution_of(connect(server, token), identity)
    if task is None:
        put_json(execution.get("outputs") or {})
        return
    found = [run.get("outputs") or {} for run in execution.get("taskRunList") or () if run.get("taskId") == task]
    if not found:
        raise NotFound(f"task `{harmless(task)}` has not run in execution {execution['id']}")
    put_json(found[0] if len(found) == 1 else found)
