"""`orchestrator token ...`: make, list, revoke and delete tokens."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import hint, now, put, put_json, say, table

app = commands("Make tokens for machines that join, and for those who only look.")

Named = Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id or name, or a unique beginning of its id.", show_default=False)]


class RoleWord(StrEnum):
    """What a token is for."""

    JOIN = "join"
    VIEW = "view"


@app.command(
    cls=Examples,
    context_settings=HELP,
    epilog="  TOKEN=$(orchestrator token create --role join --group gpu --name gpu-box-1)\n"
    "  orchestrator token create --role view --name prometheus --expires P90D",
)
def create(
    role: Annotated[RoleWord, typer.Option(help="join: machines join a worker group. view: look at flows, executions, logs, workers and metrics.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Who or what will hold it.")],
    group: Annotated[str | None, typer.Option(metavar="KEY", help="Only for this worker group (_default for the default one). Default: any.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="WHEN", help="A duration such as P30D, or a date-time. Default: never.")] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Make a token and print it. It is shown this once: only a digest of it is kept."""
    from orchestrator.cli.client import json_body, path

    asked = {"role": role.value, "name": name, "group": group, "description": description, "expiresAt": _instant(expires) if expires else None}
    body = json_body({key: value for key, value in asked.items() if value is not None})
    made = connect(server, token).json("POST", path("tokens"), body=body)
    put_json(made) if as_json else put(made["token"])
    hint("this is shown once; keep it now")
    if role is RoleWord.JOIN:
        hint(f"next: ORCHESTRATOR_API_TOKEN=... orchestrator server worker --worker-group={group or 'KEY'} --server=URL")


def _instant(text: str) -> str:
    """A date-time with a zone, from one or from a duration that begins now. Raises BadSettings."""
    from orchestrator.cli.durations import duration
    from orchestrator.cli.shapes import instant

    at = instant(text) if not text.upper().startswith("P") else None
    return (at or now() + duration("--expires", text)).isoformat()


@app.command("ls", cls=Examples, context_settings=HELP, epilog="  orchestrator token ls\n  orchestrator token ls --json")
def ls(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List the tokens: what each is for, whether it is valid, and how often it was used."""
    from orchestrator.cli.client import path

    tokens = connect(server, token).json("GET", path("tokens"))["tokens"]
    if as_json:
        put_json(tokens)
        return
    heads = ("ID", "ROLE", "GROUP", "NAME", "STATE", "EXPIRES", "USES", "LAST USED")
    put(table(heads, [_row(one) for one in tokens])) if tokens else say("no tokens")
    hint(f"next: orchestrator token revoke {tokens[0]['uid']}" if tokens else "next: orchestrator token create --role join --group KEY --name MACHINE")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from orchestrator.cli.shapes import ago

    group = one.get("group", "any" if one["role"] == "join" else "")
    state = "valid" if one["valid"] else "revoked" if one["revoked"] else "expired"
    return (
        one["uid"],
        one["role"],
        group or "default",
        one["name"],
        state,
        one.get("expiresAt", "never"),
        str(one["useCount"]),
        ago(one.get("lastUsedAt"), now()),
    )


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator token revoke 4f3a\n  orchestrator token revoke gpu-box-1")
def revoke(named: Named, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Let a token open nothing any more. Machines that have joined with it stay until the cluster's own token is rotated."""
    from orchestrator.cli.client import path

    revoked = connect(server, token).json("POST", path("tokens", named, "revoke"))
    put_json(revoked) if as_json else say(f"revoked {revoked['uid']} ({revoked['name']})")
    if revoked["role"] == "join" and revoked["useCount"]:
        say("machines that joined with it still hold the cluster's own token; to shut them out: orchestrator cluster rotate-token")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator token delete 4f3a")
def delete(named: Named, server: Server = None, token: Token = None) -> None:
    """Forget a token. It opens nothing any more, and is not listed."""
    from orchestrator.cli.client import path

    connect(server, token).json("DELETE", path("tokens", named))
    say(f"deleted {named}")
    hint("next: orchestrator token ls")
