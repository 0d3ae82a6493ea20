"""`orchestrator cluster ...`: look after the Ray cluster of a server."""

from __future__ import annotations

import time

from orchestrator.cli.client import Client
from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import hint, put, put_json, say
from orchestrator.errors import Unavailable

app = commands("Look after the Ray cluster of a server.")

ROTATION_LIMIT = 150.0  # seconds until the server must be back
LOOK_AGAIN = 0.5


@app.callback()
def _cluster() -> None:
    """Look after the Ray cluster of a server."""


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator cluster show\n  orchestrator cluster show --json")
def show(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Show where the cluster is, and the versions that a machine must have to join it."""
    from orchestrator.cli.client import path

    found = connect(server, token).json("GET", path("cluster"))
    if as_json:
        put_json(found)
        return
    put("\n".join(f"{name.removesuffix('_version'):8} {value}" for name, value in found.items()))
    hint("next: orchestrator token create --role join --name MACHINE")


@app.command("rotate-token", cls=Examples, context_settings=HELP, epilog="  orchestrator token revoke gpu-box-1 && orchestrator cluster rotate-token")
def rotate_token(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Give the cluster another token of its own, to shut out a machine that has joined. The cluster starts anew for it.

    Whoever holds the old token runs no code here any more. Machines that have joined join again by themselves, as far as the
    token that they were given still lets them in: revoke that of a machine that is to stay out first. Executions go on, as
    after a crash; what was running is sent again.
    """
    from orchestrator.cli.client import path

    client = connect(server, token)
    before = client.json("POST", path("cluster", "rotate-token"))["session"]
    say("rotating the cluster's token: the cluster starts anew (10 to 30 s)")
    after = _other_session(client, before)
    if as_json:
        put_json({"before": before, "session": after})
    say("done: machines that may still join come back by themselves")
    hint("next: orchestrator worker ls")


def _other_session(client: Client, before: str) -> str:
    """The session of the cluster that has come in place of another, once it runs flows. Raises Unavailable when it does not come."""
    from orchestrator.cli.client import path

    deadline = time.monotonic() + ROTATION_LIMIT
    while time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN)
        try:
            session = str(client.json("GET", path("cluster"))["session"])
            if session != before and client.ask("GET", "/health").status == 200:
                return session
        except Unavailable:
            continue
    raise Unavailable(
        f"the server did not come back within {ROTATION_LIMIT:.0f} s\n  help: what it said is on its terminal, or in server.log of its data folder"
    )
