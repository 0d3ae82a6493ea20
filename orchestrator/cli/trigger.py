"""`orchestrator trigger ...`: list, show, enable, disable and unlock triggers; `trigger backfill` is beside this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from orchestrator.cli import backfill
from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import harmless, hint, now, put, put_json, say, table
from orchestrator.cli.trigger_name import Name, change, split

app = commands("List, show, enable, disable and unlock triggers, and make up for dates.")
app.add_typer(backfill.app, name="backfill")

LINES = 5  # of its log that are shown along with it


@app.command("ls", cls=Examples, context_settings=HELP, epilog="  orchestrator trigger ls\n  orchestrator trigger ls -n company.team --json")
def ls(
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", help="This namespace and those below it.")] = None,
    flow: Annotated[str | None, typer.Option(metavar="ID", help="Only of the flow with this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """List the triggers of all flows: what each does now, when it was evaluated, and when it will be."""
    from orchestrator.cli.client import path
    from orchestrator.cli.shapes import ago

    query = [("size", str(limit)), *((name, value) for name, value in (("namespace", namespace), ("flowId", flow)) if value)]
    page = connect(server, token).json("GET", path("triggers", "search"), query=query)
    if as_json:
        put_json(page["results"])
        return
    rows = [(_name(one["state"]), _doing(one), ago(one["state"].get("date"), now()), _next(one["state"])) for one in page["results"]]
    put(table(("TRIGGER", "STATE", "EVALUATED", "NEXT"), rows)) if rows else say("no triggers")
    more = page.get("total", 0) - len(rows)
    say(f"{more} more: --limit {min(1000, page['total'])}") if more > 0 else None
    hint(f"next: orchestrator trigger show {rows[0][0]}" if rows else "next: orchestrator flow create FILE, of a flow with `triggers`")


def _name(state: Mapping[str, Any]) -> str:
    return f"{state['namespace']}/{state['flowId']}/{state['triggerId']}"


def _doing(one: Mapping[str, Any]) -> str:
    state = one["state"]
    if state.get("disabled") or (one.get("abstractTrigger") or {}).get("disabled"):
        return "disabled"
    if state.get("evaluateRunningDate"):
        return f"evaluating on {state.get('workerId')}"
    return f"waits for execution {state['executionId']}" if state.get("executionId") else "waits"


def _next(state: Mapping[str, Any]) -> str:
    from orchestrator.cli.shapes import coming

    waits = any(state.get(name) for name in ("disabled", "evaluateRunningDate", "executionId"))
    return "" if waits else coming(state.get("nextExecutionDate"), now())


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator trigger show company.team/hello/every-minute")
def show(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Show a trigger: its state, the reason why it is not evaluated now (or that it is), and the end of its log."""
    from orchestrator.cli.client import path
    from orchestrator.cli.shapes import ago, clock

    client, (namespace, flow, trigger) = connect(server, token), split(name)
    found = client.json("GET", path("triggers", namespace, flow, trigger))
    if as_json:
        put_json(found)
        return
    state, reason = found["state"], found["reason"]
    about = " · ".join([*(f"{key} {_text(value)}" for key, value in (reason.get("evidence") or {}).items()), *_since(reason)])
    put(f"{harmless(_name(state))} · {harmless(str((found.get('abstractTrigger') or {}).get('type', '')))}")
    put(f"{reason['kind']}{' · ' + harmless(about) if about else ''}")
    put(f"evaluated {ago(state.get('date'), now()) or 'never'} · next {_next(state) or 'none'}")
    if state.get("backfill"):
        put(f"backfill {backfill.progress(state['backfill'])}")
    query = [("namespace", namespace), ("flowId", flow), ("triggerId", trigger), ("size", str(LINES))]
    for line in reversed(client.json("GET", path("logs", "search"), query=query)["results"]):
        put(f"{clock(line['timestamp'])} {line['level']:5} {harmless(line['message'])}")
    hint(f"next: orchestrator trigger {'enable' if state.get('disabled') else 'unlock' if state.get('executionId') else 'disable'} {name}")


def _since(reason: Mapping[str, Any]) -> list[str]:
    from orchestrator.cli.shapes import ago

    return [f"since {ago(reason['since'], now()).removesuffix(' ago')}"] if reason.get("since") else []


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@app.command(context_settings=HELP)
def enable(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Let a trigger be evaluated again."""
    _switch(name, server, token, disabled=False, as_json=as_json)


@app.command(context_settings=HELP)
def disable(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Have a trigger evaluated no more; what is evaluating it now is told to stop."""
    _switch(name, server, token, disabled=True, as_json=as_json)


def _switch(name: str, server: str | None, token: str | None, *, disabled: bool, as_json: bool) -> None:
    state = change("PUT", "set-disabled", name=name, server=server, token=token, disabled=disabled)
    if as_json:
        put_json(state)
    say(f"{'disabled' if disabled else 'enabled'} {name}")
    hint(f"next: orchestrator trigger {'enable' if disabled else 'show'} {name}")


@app.command(context_settings=HELP)
def unlock(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Have a trigger wait for nothing any more: for its execution to end, or its evaluation."""
    from orchestrator.cli.client import path

    state = connect(server, token).json("POST", path("triggers", *split(name), "unlock"))
    if as_json:
        put_json(state)
    say(f"unlocked {name}")
    hint(f"next: orchestrator trigger show {name}")
