"""`orchestrator worker ...`: list, show and drain workers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from orchestrator.cli.durations import duration
from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import hint, now, put, put_json, say, table

app = commands("See and drain the workers. Any unique beginning of an id will do.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The worker's id or name, its machine's name, or a unique beginning of one.", show_default=False)]
JOIN = "join a machine: orchestrator server worker --worker-group=KEY --server=URL"
HEADS = ("ID", "GROUP", "STATE", "SLOTS", "HOST", "LABELS", "VERSION", "SEEN")
LOOK_AGAIN = 0.5  # seconds


@app.callback()
def _workers() -> None:
    """See and drain the workers."""


@app.command("ls", cls=Examples, context_settings=HELP, epilog="  orchestrator worker ls\n  orchestrator worker ls --json")
def ls(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List the workers: their group, state, slots, labels, version, and when each was last heard of."""
    from orchestrator.cli.client import path

    workers = connect(server, token).json("GET", path("workers"))["workers"]
    if as_json:
        put_json(workers)
        return
    put(table(HEADS, [row(worker) for worker in workers])) if workers else say("no workers")
    hint(f"next: orchestrator worker show {workers[0].get('id', workers[0]['name'])}" if workers else JOIN)


def row(worker: Mapping[str, Any]) -> tuple[str, ...]:
    """A worker as a line of a table with `HEADS`."""
    from orchestrator.cli.shapes import ago

    labels = ",".join(f"{key}={value}" for key, value in (worker.get("labels") or {}).items())
    return (
        str(worker.get("id") or worker["name"]),
        worker.get("group") or "default",
        worker["state"],
        f"{worker.get('used', 0)}/{worker['slots']}",
        worker.get("hostname", ""),
        labels,
        worker.get("version", ""),
        ago(worker.get("seen"), now()),
    )


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator worker show 4f3a\n  orchestrator worker show gpu-box-1 --json")
def show(identity: Id, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Show a worker, and how its drain stands."""
    from orchestrator.cli.client import path

    worker = connect(server, token).json("GET", path("workers", identity))
    if as_json:
        put_json(worker)
        return
    put(told(worker))
    hint(f"next: orchestrator worker drain {worker['id']}")


def told(worker: Mapping[str, Any]) -> str:
    """A worker in words, a fact a line."""
    from orchestrator.cli.shapes import ago, clock

    drain = worker.get("drain")
    labels = ", ".join(f"{key}={value}" for key, value in (worker.get("labels") or {}).items())
    facts = {
        "id": worker.get("id"),
        "name": worker["name"],
        "group": worker.get("group") or "default",
        "state": worker["state"],
        "slots": f"{worker.get('used', 0)} of {worker['slots']} used",
        "machine": worker.get("hostname"),
        "labels": labels,
        "version": worker.get("version"),
        "seen": ago(worker.get("seen"), now()),
        "token": worker.get("token"),
        "in Ray": worker.get("rayDashboard"),
        "drained": drain and ("nothing runs on it any more" if drain["over"] else f"what runs may go on until {clock(drain['deadline'])}"),
    }
    return "\n".join(f"{name:8} {fact}" for name, fact in facts.items() if fact)


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator worker drain 4f3a --wait\n  orchestrator worker drain gpu-box-1 --grace 30s")
def drain(
    identity: Id,
    grace: Annotated[str, typer.Option(metavar="DURATION", help="How long what runs there may go on; then it is handed back and goes on elsewhere.")] = "PT5M",
    wait: Annotated[bool, typer.Option("--wait", help="Return once nothing runs there any more, and a machine that has joined has left.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Send a worker nothing more. A machine that has joined leaves once nothing runs there, and does not come back by itself."""
    from orchestrator.cli.client import json_body, path

    client = connect(server, token)
    body = json_body({"grace": f"PT{duration('--grace', grace).total_seconds():g}S"})
    worker = client.json("POST", path("workers", identity, "drain"), body=body)
    say(f"draining {worker['id']}: no new work starts there; what runs may go on for {grace}")
    if wait:
        worker = _drained(client, worker)
        is_over = (worker.get("drain") or {}).get("over")
        say(f"{worker['id']} is drained" if is_over else f"{worker['id']} is {worker['state']}: what it held goes on elsewhere")
    if as_json:
        put_json(worker)
    hint(f"next: orchestrator worker show {worker['id']}")


def _drained(client: Any, worker: dict[str, Any]) -> dict[str, Any]:
    """The worker once nothing runs there and its machine, if it had joined, has left; as it was seen last."""
    from orchestrator.cli.client import path
    from orchestrator.errors import NotFound, Unavailable

    while worker["state"] == "draining" and not ((worker.get("drain") or {}).get("over") and not worker.get("joined")):
        time.sleep(LOOK_AGAIN)
        try:
            worker = client.json("GET", path("workers", worker["name"]))
        except NotFound:  # it has left
            return {**worker, "drain": {**(worker.get("drain") or {}), "over": True}}
        except Unavailable:
            continue
    return worker
