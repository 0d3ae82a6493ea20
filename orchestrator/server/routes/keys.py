"""Key-values of namespaces."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from orchestrator.errors import NotFound
from orchestrator.model.values import Json, parse_duration
from orchestrator.runtime.requests import DeleteKeys, PutKey
from orchestrator.server import answers, shapes
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_object
from orchestrator.server.forms import read_body
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument, Gone
from orchestrator.store.port import KeyValue

router = APIRouter(prefix="/api/v1")
_KEY = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")
_RULE = "alphanumeric characters (uppercase or lowercase), dots (.), underscores (_), and hyphens (-) only."


@router.get("/kv", response_model=None)
async def search(request: Request) -> Response:
    asked = Asked(request)
    page = asked.page()
    wanted = asked.text("q") or asked.text("filters[q][EQUALS]") or ""
    namespace = asked.text("namespace") or asked.text("filters[namespace][EQUALS]")
    found = [entry for entry in await slowly(lambda: living(parts_of(request), namespace)) if wanted in entry.key]
    start = (page.number - 1) * page.size
    return answers.made({"results": [shapes.key_entry(entry) for entry in found[start : start + page.size]], "total": len(found)})


@router.get("/namespaces/{namespace}/kv", response_model=None)
async def entries(request: Request, namespace: str) -> Response:
    found = await slowly(lambda: living(parts_of(request), namespace))
    return answers.made([shapes.key_entry(entry) for entry in found])


@router.delete("/namespaces/{namespace}/kv", response_model=None)
async def delete_some(request: Request, namespace: str) -> Response:
    keys = (await json_object(request)).get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise BadArgument("`keys` is a list of keys")
    return answers.made({"keys": await parts_of(request).executor.delete_keys(DeleteKeys(namespace=namespace, keys=tuple(keys)))})


@router.get("/namespaces/{namespace}/kv/inheritance", response_model=None)
async def inherited(request: Request, namespace: str) -> Response:
    """Entries of the namespace and of those above it; the nearest wins."""
    found: dict[str, KeyValue] = {}
    for name in above(namespace):
        for entry in await slowly(lambda name=name: living(parts_of(request), name)):  # type: ignore[misc]
            found.setdefault(entry.key, entry)
    return answers.made([shapes.key_entry(entry) for entry in found.values()])


@router.get("/namespaces/{namespace}/kv/{key}", response_model=None)
async def get(request: Request, namespace: str, key: str) -> Response:
    """The value. An expired one is told as such once, and then forgotten."""
    try:
        return answers.made(shapes.typed_value(key_value(parts_of(request), namespace, checked(key)).value))
    except Gone:
        await parts_of(request).executor.delete_keys(DeleteKeys(namespace=namespace, keys=(key,), expired=True))
        raise


@router.put("/namespaces/{namespace}/kv/{key}", response_model=None)
async def put(request: Request, namespace: str, key: str) -> Response:
    checked(key)
    value = _value((await read_body(request)).decode("utf-8", "replace"))
    ttl = request.headers.get("ttl")
    wanted = PutKey(namespace=namespace, key=key, value=value, description=request.headers.get("description"), ttl_seconds=seconds(ttl) if ttl else None)
    await parts_of(request).executor.put_key(wanted)
    return answers.empty()


@router.delete("/namespaces/{namespace}/kv/{key}", response_model=None)
async def delete(request: Request, namespace: str, key: str) -> Response:
    gone = await parts_of(request).executor.delete_keys(DeleteKeys(namespace=namespace, keys=(checked(key),)))
    return answers.made(bool(gone))


def living(parts: Parts, namespace: str | None) -> Sequence[KeyValue]:
    """The entries of a namespace (None: of all) that have not expired."""
    now = datetime.now(UTC)
    return [entry for entry in parts.reader.keys(namespace) if entry.expires is None or entry.expires > now]


def key_value(parts: Parts, namespace: str, key: str) -> KeyValue:
    """An entry. Raises NotFound when there is none, Gone when it has expired."""
    found = parts.reader.key(namespace, key)
    if found is None:
        raise NotFound(f"No value found for key '{key}' in namespace '{namespace}'")
    if found.expires is not None and found.expires <= datetime.now(UTC):
        raise Gone(f"The requested value has expired ({key})")
    return found


def above(namespace: str) -> list[str]:
    """A namespace and all it lies in, nearest first."""
    words = namespace.split(".")
    return [".".join(words[:count]) for count in range(len(words), 0, -1)]


def checked(key: str) -> str:
    """The key. Raises BadArgument when it may not be one."""
    if not _KEY.match(key):
        raise BadArgument(f"Key must start with an alphanumeric character (uppercase or lowercase) and can contain {_RULE}")
    return key


def seconds(ttl: str) -> float:
    """The length of an ISO-8601 duration. Raises BadArgument for another text, and for nothing or less."""
    try:
        length = parse_duration(ttl).total_seconds()
    except (ValueError, OverflowError) as err:
        raise BadArgument(f"ttl: {err}") from err
    if not 0 < length < 3e9:
        raise BadArgument(f"ttl: `{ttl}` is no time to live")
    return length


def _value(text: str) -> Json:
    bare = text.strip()
    if shapes.is_typed_text(bare):
        return bare
    try:
        return json.loads(bare)
    except (ValueError, RecursionError) as err:
        raise BadArgument(f"Invalid JSON value for: {bare[:200]}") from err
