"""From the beginning of an execution's id to the whole of it."""

from __future__ import annotations

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


def _beginning(client: Client, prefix: str) -> list[str]:
    page = client.json("GET", path("executions", "search"), query=[("filters[executionId][STARTS_WITH]", prefix), ("size", "10")])
    return [str(execution["id"]) for execution in page["results"] if str(execution["id"]).startswith(prefix)]
