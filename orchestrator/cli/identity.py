"""From the beginning of a name to the whole of it."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.cli.client import Client, path
from orchestrator.cli.session import Json
from orchestrator.errors import NotFound, Refused


def execution_of(client: Client, prefix: str) -> Json:
    """The one execution whose id is, or begins with, `prefix`. Raises NotFound for none, Refused for several."""
    try:
        found: Json = client.json("GET", path("executions", prefix))
        return found
    except NotFound:
        matches = _beginning(client, prefix)
    if not matches:
        raise NotFound(f"no execution's id begins with `{prefix}`\n  help: orchestrator execution ls")
    if len(matches) > 1:
        raise Refused(f"several executions begin with `{prefix}`: {', '.join(matches[:5])}{' ...' if len(matches) > 5 else ''}")
    whole: Json = client.json("GET", path("executions", matches[0]))
    return whole


def named(names: Iterable[str], beginning: str, *, noun: str, command: str) -> str:
    """The one name that is, or begins with, `beginning`. Raises NotFound for none, Refused for several."""
    names = list(names)
    found = [name for name in names if name == beginning] or [name for name in names if beginning and name.startswith(beginning)]
    if not found:
        raise NotFound(f"no {noun} is named `{beginning}`, and none begins so\n  help: {command}")
    if len(found) > 1:
        raise Refused(f"several {noun}s begin with `{beginning}`: {', '.join(found[:5])}{' ...' if len(found) > 5 else ''}")
    return found[0]


def _beginning(client: Client, prefix: str) -> list[str]:
    page = client.json("GET", path("executions", "search"), query=[("filters[executionId][STARTS_WITH]", prefix), ("size", "10")])
    return [str(execution["id"]) for execution in page["results"] if str(execution["id"]).startswith(prefix)]
