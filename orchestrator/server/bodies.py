"""JSON bodies."""

from __future__ import annotations

import json

from starlette.requests import Request

from orchestrator.model.values import Json
from orchestrator.server.forms import read_body
from orchestrator.server.problems import BadBody

NEEDED = object()


async def json_body(request: Request, *, default: Json = NEEDED) -> Json:
    """The body as JSON; `default` when it is empty. Raises BadBody when it cannot be read, or is missing and needed."""
    text = await read_body(request)
    if not text.strip():
        if default is NEEDED:
            raise BadBody("a JSON body is expected")
        return default
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        raise BadBody(str(err)) from err


async def json_object(request: Request, *, default: Json = NEEDED) -> dict[str, Json]:
    """The body as a JSON object. Raises BadBody."""
    value = await json_body(request, default=default)
    if not isinstance(value, dict):
        raise BadBody("a JSON object is expected")
    return value


async def json_texts(request: Request, *, default: Json = NEEDED) -> list[str]:
    """The body as a list of texts. Raises BadBody."""
    value = await json_body(request, default=default)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadBody("a JSON list of ids is expected")
    return value
