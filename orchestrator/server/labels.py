"""Labels in a body."""

from __future__ import annotations

from starlette.requests import Request

from orchestrator.model.values import Json
from orchestrator.server.bodies import json_body
from orchestrator.server.problems import BadArgument


async def labels_body(request: Request) -> list[Json]:
    """A list of `{key, value}`. Raises BadArgument for one without a key or a value."""
    return checked_labels(await json_body(request))


def checked_labels(found: Json) -> list[Json]:
    """The same list. Raises BadArgument."""
    if not isinstance(found, list):
        raise BadArgument("labels are a list of {key, value}")
    for label in found:
        if not isinstance(label, dict) or not label.get("key") or label.get("value") is None:
            raise BadArgument("a label needs a `key` and a `value`")
    return found
