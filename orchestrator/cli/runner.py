"""`orchestrator runner ...`: what task runners have made, and what of it nobody owns any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import hint, now, put, put_json, say, table

app = commands("See what task runners have made at their back ends, and remove what nobody owns.")

HEADS = ("KIND", "NAME", "STATE", "OWNER", "EXECUTION", "TASK", "AGE", "BACKEND")
NAME_LENGTH = 40


@app.callback()
def _runners() -> None:
    """See what task runners have made at their back ends, and remove what nobody owns."""


@app.command("ls", cls=Examples, context_settings=HELP, epilog="  orchestrator runner ls\n  orchestrator runner ls --json | jq '.found[].name'")
def ls(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List what is out there under our labels, and whose it is.

    running: a live run's. adopted: a live run's that is watched from elsewhere since it was made. orphaned: nobody's, and removed
    soon. kept: left on its task's word (`delete: false` or `wait: false`).
    """
    from orchestrator.cli.client import path

    told = connect(server, token).json("GET", path("runners"))
    if as_json:
        put_json(told)
        return
    _list(told["found"], "nothing of ours is at any back end")
    _complain(told["troubles"])
    orphaned = any(one["ownership"] == "orphaned" for one in told["found"])
    hint("next: orchestrator runner reap --dry-run" if orphaned else "next: orchestrator execution ls --state RUNNING")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator runner reap --dry-run\n  orchestrator runner reap")
def reap(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Remove what is orphaned, at once. The server does so by itself every few minutes; what is kept stays."""
    from orchestrator.cli.client import json_body, path

    told = connect(server, token).json("POST", path("runners", "reap"), body=json_body({"dryRun": dry_run}))
    if as_json:
        put_json(told)
        return
    _list(told["found"], "nothing is orphaned")
    if told["folders"]:
        say(f"working folders without an owner: {len(told['folders'])}")
    _complain(told["troubles"])
    if dry_run:
        hint("next: orchestrator runner reap")
    elif told["removed"]:
        say(f"jobs whose leftovers were removed: {len(told['removed'])}")
        hint("next: orchestrator runner ls")


def _list(found: Sequence[Mapping[str, Any]], otherwise: str) -> None:
    put(table(HEADS, [_row(one) for one in found])) if found else say(otherwise)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    from orchestrator.cli.shapes import ago

    name = str(one.get("key") if one["kind"] == "container" else one["name"])  # an engine's own name is no name for people
    return (
        one["kind"],
        name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 18]}..{name[-16:]}",
        one["state"],
        one["ownership"],
        one.get("executionId", ""),
        one.get("taskId", ""),
        ago(one.get("created"), now()),
        one["backend"],
    )


def _complain(troubles: Sequence[Mapping[str, Any]]) -> None:
    for trouble in troubles:
        say(f"{trouble['backend']} cannot be asked: {trouble['message']}")
