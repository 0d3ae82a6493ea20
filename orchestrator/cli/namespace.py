"""`orchestrator namespace ...`: where the work of a namespace goes by default."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from orchestrator.cli.client import Client
from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import hint, put, put_json, say, table
from orchestrator.errors import BadSettings

app = commands("Say where the work of a namespace goes.")

Name = Annotated[str, typer.Argument(metavar="NAMESPACE", help="The namespace, such as company.team.", show_default=False)]
PLACES = ("workerGroup", "workerSelector", "placement")


class FallbackWord(StrEnum):
    """What becomes of work when no live worker can take it."""

    WAIT = "WAIT"
    FAIL = "FAIL"
    CANCEL = "CANCEL"
    IGNORE = "IGNORE"


class MatchWord(StrEnum):
    """Whether a group must have all tags, or any."""

    ALL = "ALL"
    ANY = "ANY"


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator namespace show company.team\n  orchestrator namespace show company.team --json")
def show(namespace: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Show what a namespace and those above it say: the nearest that says where work goes counts."""
    client = connect(server, token)
    parts = namespace.split(".")
    told = {name: _defaults(client, name) for name in (".".join(parts[:length]) for length in range(len(parts), 0, -1))}
    if as_json:
        put_json({"namespace": namespace, "defaults": told[namespace], "above": {name: one for name, one in told.items() if name != namespace and one}})
        return
    rows = [(name, place_of(one) or "-", str(len(one.get("pluginDefaults") or ()))) for name, one in told.items()]
    put(table(("NAMESPACE", "WORK GOES TO", "PLUGIN DEFAULTS"), rows))
    hint(f"next: orchestrator namespace set-default {namespace} --worker-group KEY")


def _defaults(client: Client, namespace: str) -> dict[str, Any]:
    from orchestrator.cli.client import path

    found: dict[str, Any] = client.json("GET", path("namespaces", namespace, "defaults"))
    return found


def place_of(defaults: Mapping[str, Any]) -> str:
    """Where a namespace sends its work, in words; empty when it does not say."""
    if chain := defaults.get("placement"):
        return " then ".join(_step(step) for step in chain)
    if (group := defaults.get("workerGroup")) is not None:
        return f"group {group.get('key') or 'default'}" + (f", else {group['fallback']}" if group.get("fallback") else "")
    if selector := defaults.get("workerSelector"):
        fallback = f", else {selector['fallback']}" if selector.get("fallback") else ""
        return f"groups with {selector.get('match', 'ALL').lower()} of {', '.join(selector['tags'])}{fallback}"
    return ""


def _step(step: Mapping[str, Any]) -> str:
    group = step.get("workerGroup")
    if isinstance(group, Mapping):
        return f"groups with {', '.join(group['tags'])}" if "tags" in group else f"group {group.get('key') or 'default'}"
    return f"group {group or 'default'}" if group is not None else str(step["taskRunner"].get("type", "?")).rsplit(".", 1)[-1]


@app.command(
    "set-default",
    cls=Examples,
    context_settings=HELP,
    epilog="  orchestrator namespace set-default company.team --worker-group gpu\n"
    "  orchestrator namespace set-default company --tag eu --tag big --match ANY --fallback WAIT\n"
    "  orchestrator namespace set-default company --file defaults.yaml",
)
def set_default(
    namespace: Name,
    worker_group: Annotated[str | None, typer.Option("--worker-group", metavar="KEY", help="The group its work goes to.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Groups with this tag; may be repeated.")] = None,
    match: Annotated[MatchWord | None, typer.Option(case_sensitive=False, help="Of several tags. Default ALL.")] = None,
    fallback: Annotated[FallbackWord | None, typer.Option(case_sensitive=False, help="When no worker can take it.")] = None,
    file: Annotated[str | None, typer.Option(metavar="FILE", help="All that it says, in YAML: a place, and pluginDefaults.")] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Say where the tasks and polling triggers of a namespace go that say nothing themselves. Its plugin defaults stay."""
    client = connect(server, token)
    if sum((worker_group is not None, bool(tag), file is not None)) != 1:
        raise BadSettings("give one of --worker-group, --tag and --file")
    if file is not None:
        defaults = _document(file)
    else:
        kept = {name: value for name, value in _defaults(client, namespace).items() if name not in PLACES}
        defaults = {**kept, **_place(worker_group, tag, match, fallback)}
    _put(client, namespace, defaults, as_json=as_json)
    hint(f"next: orchestrator namespace show {namespace}")


def _place(group: str | None, tags: list[str] | None, match: MatchWord | None, fallback: FallbackWord | None) -> dict[str, Any]:
    further = {"fallback": fallback.value} if fallback is not None else {}
    if tags:
        return {"workerSelector": {"tags": tags, **({"match": match.value} if match is not None else {}), **further}}
    if match is not None:
        raise BadSettings("--match is said of several --tag")
    return {"workerGroup": {"key": "" if group == "_default" else group, **further}}


def _document(file: str) -> dict[str, Any]:
    from orchestrator.cli.problems import read_source
    from orchestrator.lang.source import plain_yaml

    document = plain_yaml(read_source(file))
    if not isinstance(document, dict):
        raise BadSettings(f"{file} holds no map of defaults, such as `workerGroup: {{key: gpu}}`")
    return document


@app.command("unset-default", cls=Examples, context_settings=HELP, epilog="  orchestrator namespace unset-default company.team")
def unset_default(
    namespace: Name,
    everything: Annotated[bool, typer.Option("--all", help="Its plugin defaults too.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Say nothing any more of where its work goes: the namespace above, or the server, says it then."""
    client = connect(server, token)
    kept = {} if everything else {name: value for name, value in _defaults(client, namespace).items() if name not in PLACES}
    _put(client, namespace, kept, as_json=as_json)
    hint(f"next: orchestrator namespace show {namespace}")


def _put(client: Client, namespace: str, defaults: dict[str, Any], *, as_json: bool) -> None:
    from orchestrator.cli.client import json_body, path

    told = client.json("PUT", path("namespaces", namespace, "defaults"), body=json_body(defaults))
    if as_json:
        put_json(told)
        return
    place = place_of(told)
    say(f"the work of {namespace} goes to {place}" if place else f"{namespace} does not say where its work goes")
