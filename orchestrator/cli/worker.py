"""`orchestrator worker ls` and `orchestrator worker-group ls`: where work can go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.cli.options import HELP, AsJson, Server, Token, commands, connect
from orchestrator.cli.speech import hint, now, put, put_json, say, table

app = commands("See the workers.")
groups = commands("See the worker groups.")

JOIN = "join a machine: orchestrator server worker --worker-group=KEY --server=URL"


@app.callback()
def _workers() -> None:
    """See the workers."""


@groups.callback()
def _groups() -> None:
    """See the worker groups."""


@app.command("ls", context_settings=HELP)
def ls(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List the workers: their group, state, slots, and when each was last heard of."""
    from orchestrator.cli.shapes import ago

    workers = _asked(server, token, "workers")["workers"]
    if as_json:
        put_json(workers)
        return
    rows = [
        (w["name"], w.get("group") or "default", w["state"], f"{w.get('used', 0)}/{w['slots']}", w.get("hostname", ""), ago(w.get("seen"), now()))
        for w in workers
    ]
    put(table(("NAME", "GROUP", "STATE", "SLOTS", "HOST", "SEEN"), rows)) if rows else say("no workers")
    hint(JOIN)


@groups.command("ls", context_settings=HELP)
def groups_ls(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List the worker groups: workers up, slots in use, and what waits for them."""
    found = _asked(server, token, "worker-groups")["workerGroups"]
    if as_json:
        put_json(found)
        return
    rows = [(g["key"] or "default", _up(g["workers"]), f"{g['used']}/{g['slots']}", str(g["queued"])) for g in found]
    put(table(("GROUP", "UP", "SLOTS", "QUEUED"), rows)) if rows else say("no worker groups")
    hint(JOIN)


def _up(workers: Sequence[dict[str, Any]]) -> str:
    return f"{sum(worker['state'] == 'up' for worker in workers)} of {len(workers)}"


def _asked(server: str | None, token: str | None, what: str) -> dict[str, Any]:
    from orchestrator.cli.client import path

    found: dict[str, Any] = connect(server, token).json("GET", path(what))
    return found
