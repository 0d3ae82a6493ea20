"""`orchestrator worker-group ...`: declare, change, list, show and delete worker groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from orchestrator.cli.client import Client
from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import hint, now, put, put_json, say, table
from orchestrator.errors import BadSettings

app = commands("Declare, change and see worker groups. The default group is written `_default`.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="The group's key, or a unique beginning of it.", show_default=False)]
NewKey = Annotated[str, typer.Argument(metavar="KEY", help="Letters, digits, - and _; a letter or digit first.", show_default=False)]
Description = Annotated[str | None, typer.Option(help="What it is for.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label; may be repeated.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="What a workerSelector finds it by; may be repeated.")]
Min = Annotated[int | None, typer.Option("--min", min=0, help="Workers that an autoscaler keeps.")]
Max = Annotated[int | None, typer.Option("--max", min=0, help="Workers that an autoscaler may start.")]
Slots = Annotated[int | None, typer.Option(min=1, help="What a worker that an autoscaler starts runs at once.")]
Idle = Annotated[str | None, typer.Option("--idle-timeout", metavar="DURATION", help="How long a worker above --min may be idle.")]
Reserve = Annotated[
    list[str] | None,
    typer.Option("--reserve", metavar="NAMESPACES=PERCENT[:MODE]", help="Keep a share of the slots for namespaces: prod.*=40 or a,b=20:ELASTIC."),
]
Allow = Annotated[list[str] | None, typer.Option("--allow", metavar="NAMESPACE", help="Only for this namespace, prod.* with all below it; may be repeated.")]


@app.command(
    cls=Examples,
    context_settings=HELP,
    epilog="  orchestrator worker-group create gpu --description 'machines with a GPU'\n"
    "  orchestrator worker-group create gpu --tag cuda --max 4 --reserve 'prod.*=40:ELASTIC' --allow 'prod.*' --allow research",
)
def create(
    key: NewKey,
    description: Description = None,
    label: Labels = None,
    tag: Tags = None,
    min_: Min = None,
    max_: Max = None,
    slots: Slots = None,
    idle_timeout: Idle = None,
    reserve: Reserve = None,
    allow: Allow = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Declare a worker group. Once one is declared, flows may name declared groups only."""
    from orchestrator.cli.client import json_body, path

    given = _given(description, label, tag, min_, max_, slots, idle_timeout, reserve, allow)
    group = connect(server, token).json("POST", path("worker-groups"), body=json_body({"key": key, **given}))
    put_json(group) if as_json else say(f"declared worker group {key}")
    hint(f"next: orchestrator token create --role join --group {key} --name MACHINE")


def _given(
    description: str | None,
    label: list[str] | None,
    tag: list[str] | None,
    least: int | None,
    most: int | None,
    slots: int | None,
    idle_timeout: str | None,
    reserve: list[str] | None,
    allow: list[str] | None,
) -> dict[str, Any]:
    """The properties that were given, as the API names them."""
    from orchestrator.cli.durations import duration

    named = {
        "description": description,
        "labels": dict(_pair("--label", one) for one in label) if label else None,
        "tags": tag or None,
        "min": least,
        "max": most,
        "slots": slots,
        "idleTimeout": f"PT{duration('--idle-timeout', idle_timeout).total_seconds():g}S" if idle_timeout else None,
        "reserved": [_reserved(one) for one in reserve] if reserve else None,
        "allowedNamespaces": allow or None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _pair(option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadSettings(f"{option} takes KEY=VALUE, not `{text}`")
    return key, value


def _reserved(text: str) -> dict[str, Any]:
    namespaces, share = _pair("--reserve", text)
    percent, _, mode = share.partition(":")
    if not percent.isdecimal():
        raise BadSettings(f"--reserve takes NAMESPACES=PERCENT, such as prod.*=40, not `{text}`")
    return {"namespaces": namespaces.split(","), "percent": int(percent), **({"mode": mode.upper()} if mode else {})}


@app.command("ls", cls=Examples, context_settings=HELP, epilog="  orchestrator worker-group ls\n  orchestrator worker-group ls --json")
def ls(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List the worker groups: workers up, slots in use, what waits for them and for how long."""
    from orchestrator.cli.client import path

    groups = connect(server, token).json("GET", path("worker-groups"))["workerGroups"]
    if as_json:
        put_json(groups)
        return
    put(table(("GROUP", "UP", "SLOTS", "QUEUED", "OLDEST WAIT", "TAGS", "DESCRIPTION"), [_row(group) for group in groups])) if groups else say(
        "no worker groups"
    )
    hint(f"next: orchestrator worker-group show {groups[0]['key'] or '_default'}" if groups else "next: orchestrator worker-group create KEY")


def _row(group: Mapping[str, Any]) -> tuple[str, ...]:
    from orchestrator.cli.shapes import ago

    declaration = group.get("declaration") or {}
    return (
        group["key"] or "default",
        up(group["workers"]),
        f"{group['used']}/{group['slots']}",
        str(group["queued"]),
        ago(group.get("oldestWait"), now()).removesuffix(" ago"),
        ",".join(declaration.get("tags") or ()),
        str(declaration.get("description") or "")[:60],
    )


def up(workers: Sequence[Mapping[str, Any]]) -> str:
    """`1 of 2`: how many of the workers take work."""
    return f"{sum(worker['state'] == 'up' for worker in workers)} of {len(workers)}"


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator worker-group show gpu\n  orchestrator worker-group show _default --json")
def show(key: Key, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Show a worker group: what is declared of it, its workers, and what waits."""
    from orchestrator.cli.worker import HEADS, row

    group = _one(connect(server, token), key)
    if as_json:
        put_json(group)
        return
    put(_told(group))
    if group["workers"]:
        put("")
        put(table(HEADS, [row(worker) for worker in group["workers"]]))
    hint("next: orchestrator worker ls" if group["workers"] else f"join a machine: orchestrator server worker --worker-group={group['key']} --server=URL")


def _told(group: Mapping[str, Any]) -> str:
    from orchestrator.cli.shapes import ago

    declared = group.get("declaration") or {}
    shares = [f"{one['percent']} % for {', '.join(one['namespaces'])} ({one['mode']})" for one in declared.get("reserved") or ()]
    facts = {
        "group": group["key"] or "default",
        "declared": {"file": "in the server's configuration file"}.get(declared.get("source", ""), "yes") if declared else "no",
        "about": declared.get("description"),
        "labels": ", ".join(f"{key}={value}" for key, value in (declared.get("labels") or {}).items()),
        "tags": ", ".join(declared.get("tags") or ()),
        "size": f"{declared.get('min', 0)} to {declared['max']} workers" if declared.get("max") is not None else None,
        "reserved": "; ".join(shares),
        "allowed": ", ".join(declared.get("allowedNamespaces") or ()),
        "up": up(group["workers"]),
        "slots": f"{group['used']} of {group['slots']} used",
        "coming": _coming(group.get("scaling") or {}),
        "queued": f"{group['queued']}" + (f", the oldest since {ago(group['oldestWait'], now()).removesuffix(' ago')}" if group.get("oldestWait") else ""),
    }
    return "\n".join(f"{name:8} {fact}" for name, fact in facts.items() if fact)


def _coming(scaling: Mapping[str, Any]) -> str:
    """The machines that were asked of an autoscaler, and those that have come and have no worker yet."""
    from orchestrator.cli.shapes import ago

    wanted, starting = scaling.get("wanted", 0), scaling.get("starting", 0)
    since = ago(scaling.get("since"), now()).removesuffix(" ago")
    asked = f"{wanted} asked for" + (f", none has come for {since}" if since else "")
    told = [*([asked] if wanted else []), *([f"{starting} starting"] if starting else []), *(scaling.get("provider") or () if wanted else ())]
    return "; ".join(told)


@app.command(
    cls=Examples, context_settings=HELP, epilog="  orchestrator worker-group update gpu --max 8\n  orchestrator worker-group update gpu --unset reserved"
)
def update(
    key: Key,
    description: Description = None,
    label: Labels = None,
    tag: Tags = None,
    min_: Min = None,
    max_: Max = None,
    slots: Slots = None,
    idle_timeout: Idle = None,
    reserve: Reserve = None,
    allow: Allow = None,
    unset: Annotated[list[str] | None, typer.Option(metavar="PROPERTY", help="Back to its default, such as max or reserved; may be repeated.")] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Change what is declared of a group; what is not given stays."""
    from orchestrator.cli.client import json_body, path

    client = connect(server, token)
    group = _one(client, key)
    declared = group.get("declaration") or {"key": group["key"]}
    missing = [name for name in unset or () if name not in declared]
    if missing:
        raise BadSettings(f"worker group `{group['key'] or 'default'}` sets no `{missing[0]}`; it sets {', '.join(sorted(declared))}")
    kept = {name: value for name, value in declared.items() if name not in (unset or ())}
    body = json_body({**kept, **_given(description, label, tag, min_, max_, slots, idle_timeout, reserve, allow)})
    changed = client.json("PUT", path("worker-groups", group["key"] or "_default"), body=body)
    put_json(changed) if as_json else say(f"changed worker group {group['key'] or 'default'}")
    hint(f"next: orchestrator worker-group show {group['key'] or '_default'}")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator worker-group delete gpu\n  orchestrator worker-group delete gpu --force")
def delete(
    key: Key,
    force: Annotated[bool, typer.Option("--force", help="Also where flows name it or workers are there; they stay.")] = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Undeclare a worker group."""
    from orchestrator.cli.client import path

    client = connect(server, token)
    found = _one(client, key)["key"] or "_default"
    client.json("DELETE", path("worker-groups", found), query=[("force", str(force).lower())])
    say(f"deleted worker group {found}")
    hint("next: orchestrator worker-group ls")


def _one(client: Client, key: str) -> dict[str, Any]:
    """The group meant. Raises NotFound for none, Refused for several."""
    from orchestrator.cli.client import path
    from orchestrator.cli.identity import named

    groups = {group["key"]: group for group in client.json("GET", path("worker-groups"))["workerGroups"]}
    if key in ("_default", "default") and key not in groups:
        key = ""
    found: dict[str, Any] = groups[key] if key in groups else groups[named(groups, key, noun="worker group", command="orchestrator worker-group ls")]
    return found
