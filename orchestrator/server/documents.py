"""Bodies that describe a thing: read strictly, each mistake refused with the property's name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestrator.model.flow import PlacementStep, WorkerGroupRef, WorkerSelector
from orchestrator.model.values import Frozen, Json, parse_duration
from orchestrator.model.worker_group import Reserved, WorkerGroup
from orchestrator.server.problems import BadArgument

M = TypeVar("M", bound=Frozen)
GROUP = frozenset({"key", "name", "description", "labels", "tags", "min", "max", "slots", "idleTimeout", "reserved", "allowedNamespaces"})
KEPT_BY_US = frozenset({"source", "created", "updated"})  # told, and passed over when they come back
RESERVED = frozenset(Reserved.model_fields)
DEFAULTS = frozenset({"workerGroup", "workerSelector", "placement", "pluginDefaults"})
_PLACES = ("workerGroup", "workerSelector", "placement")


def read(kind: type[M], body: Mapping[str, Json], **more: object) -> M:
    """A body as a model. Raises BadArgument naming the property that is wrong."""
    try:
        return kind.model_validate({**body, **more})
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        raise BadArgument(_told(first)) from err


def _told(first: Any) -> str:
    where = ".".join(str(part) for part in first["loc"])
    said = str(first["msg"]).removeprefix("Value error, ").replace("Input should be", "must be").replace("Field required", "is needed")
    said = said[0].lower() + said[1:] if not said.startswith("`") else said
    return f"`{where}` {said}" if where else said


def refuse_unknown(body: Mapping[str, Json], known: Collection[str], what: str) -> None:
    """Raises BadArgument for a property that there is not, with the nearest that there is."""
    for name in body:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            raise BadArgument(f"{what} has no property `{name}`" + (f"; did you mean `{near[0]}`?" if near else f"; it has {', '.join(sorted(known))}"))


def group(body: Mapping[str, Json], key: str | None = None) -> WorkerGroup:
    """A worker group as a body declares it; `key` is that of the path. Raises BadArgument."""
    body = {name: value for name, value in body.items() if name not in KEPT_BY_US}
    refuse_unknown(body, GROUP, "a worker group")
    if key is not None and body.get("key", key) != key:
        raise BadArgument(f"the body is of worker group '{body['key']}', the path of '{key}'")
    reserved = body.get("reserved")
    for share in reserved if isinstance(reserved, list) else [reserved]:
        if isinstance(share, Mapping):
            refuse_unknown(share, RESERVED, "`reserved`")
    return read(WorkerGroup, body, **({"key": key} if key is not None else {}))


def namespace_defaults(body: Mapping[str, Json]) -> dict[str, Json]:
    """What a namespace may say, checked as far as it can be without knowing the groups. Raises BadArgument."""
    refuse_unknown(body, DEFAULTS, "a namespace's defaults")
    found = {name: value for name, value in body.items() if value not in (None, [], {}, "")}
    if isinstance(found.get("workerGroup"), str):
        found["workerGroup"] = {"key": found["workerGroup"]}
    places = [name for name in _PLACES if name in found]
    if len(places) > 1:
        raise BadArgument(f"a namespace says in one way where work goes: either {' or '.join(f'`{name}`' for name in places)}")
    for name in places:
        _check_place(name, found[name])
    _check_plugin_defaults(found.get("pluginDefaults") or [])
    return found


def _check_place(name: str, value: Json) -> None:
    """Raises BadArgument for a place that no task could have either."""
    if name == "placement":
        if not isinstance(value, list):
            raise BadArgument("`placement` is a list of steps")
        for at, step in enumerate(value):
            _check_part(PlacementStep, f"placement.{at}", step)
        return
    _check_part(WorkerGroupRef if name == "workerGroup" else WorkerSelector, name, value)


def _check_part(kind: type[Frozen], where: str, value: Json) -> None:
    if not isinstance(value, Mapping):
        raise BadArgument(f"`{where}` is a map")
    refuse_unknown(value, {field.alias or name for name, field in kind.model_fields.items()}, f"`{where}`")
    try:
        kind.model_validate(value)
        if isinstance(value.get("wait"), str) and "{{" not in value["wait"]:
            parse_duration(value["wait"])
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        raise BadArgument(_told({**first, "loc": (where, *(part for part in first["loc"] if part not in ("str", "Tags")))})) from err
    except ValueError as err:
        raise BadArgument(f"`{where}.wait` {err}") from err


def _check_plugin_defaults(entries: Json) -> None:
    if not isinstance(entries, list):
        raise BadArgument("`pluginDefaults` is a list of `type` and `values`")
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str) or not isinstance(entry.get("values", {}), Mapping):
            raise BadArgument("each of `pluginDefaults` has a `type` and a map of `values`")
        refuse_unknown(entry, {"type", "forced", "values"}, "an entry of `pluginDefaults`")
