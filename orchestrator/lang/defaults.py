"""Plugin defaults: values that a flow, a namespace or the server gives to every plugin of a type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from orchestrator import registry
from orchestrator.errors import NotFound
from orchestrator.lang.complaints import unknown_property
from orchestrator.lang.findings import Findings
from orchestrator.lang.holders import Holder
from orchestrator.lang.shape import accepted
from orchestrator.lang.source import Path
from orchestrator.lang.specs import Resolve
from orchestrator.model.flow import PLACING
from orchestrator.model.values import Json

_KINDS = ("task", "trigger", "task_runner", "condition")
_SECTIONS = ("tasks", "errors", "finally", "afterExecution", "triggers", "listeners", "placement")


def check(findings: Findings, entries: Json, path: Path, resolve: Resolve) -> Sequence[Holder]:
    """Every default names a type and gives values; those for one installed type are properties of it. Gives back those that can be read."""
    if entries is not None and not isinstance(entries, list):
        findings.add("wrong-type", "must be a list of plugin defaults", path)
        return ()
    found = [_check_one(findings, entry, (*path, at), resolve) for at, entry in enumerate(entries or ())]
    return [holder for holder in found if holder is not None]


def _check_one(findings: Findings, entry: Json, path: Path, resolve: Resolve) -> Holder | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        findings.add("missing-property", "Invalid Plugin Default: `type` must not be null", path)
        return None
    for name in set(entry) - {"type", "forced", "values"}:
        found = unknown_property((*path, name), None, ("type", "forced", "values"))
        findings.add(found.code, found.message, found.path, help=found.help, key=True)
    values = entry.get("values")
    if not isinstance(values, dict):
        findings.add("missing-property", "Invalid Plugin Default: `values` must be a map of properties", (*path, "values"))
        return None
    cls = _class(entry["type"], resolve)
    for name in values if cls is not None else ():
        if name not in accepted(cls):
            found = unknown_property((*path, "values", name), cls)
            findings.add(found.code, f"Invalid Plugin Default: {found.message}", found.path, help=found.help, key=True)
    return Holder("default", values, (*path, "values"), entry["type"], cls, bool(entry.get("forced")))


def merge(document: dict[str, Json], resolve: Resolve, further: Sequence[Mapping[str, Json]] = ()) -> dict[str, Json]:
    """The flow with its plugin defaults, then `further` ones (namespace, server), merged into all it holds.

    What a plugin says itself wins, then the flow's default; a forced default wins over the plugin. A default for a
    prefix of types gives each type only the properties that type has. Where work goes is merged in only when forced:
    else the flow and the flowables around a task say it before its type does (`engine.wishes`).
    """
    own = document.get("pluginDefaults") or document.get("taskDefaults") or ()
    entries = [e for e in (*(own if isinstance(own, list) else ()), *further) if _usable(e)]
    if not entries:
        return document
    return {**document, **{name: _merged(document[name], entries, resolve) for name in _SECTIONS if name in document}}


def _usable(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("type"), str) and isinstance(entry.get("values"), Mapping)


def _merged(value: Json, entries: Sequence[Mapping[str, Json]], resolve: Resolve) -> Json:
    if isinstance(value, list):
        return [_merged(item, entries, resolve) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get("type")
    mine = [e for e in entries if isinstance(name, str) and matches(e["type"], name, resolve)]
    if mine:
        cls = _class(str(name), resolve)
        given = [(bool(entry.get("forced")), _fitting(entry, cls)) for entry in mine]
        for forced, values in given:
            value = value if forced else _over(values, value)
        for forced, values in reversed(given):
            value = _over(_without_place(value, values), values) if forced else value
    return {key: _merged(item, entries, resolve) for key, item in value.items()}


def _fitting(entry: Mapping[str, Json], cls: type[BaseModel] | None) -> dict[str, Json]:
    """Those of a default's values that are merged into a plugin of this class."""
    values = {key: value for key, value in entry["values"].items() if cls is None or key in accepted(cls)}
    return values if entry.get("forced") else {key: value for key, value in values.items() if key not in PLACING}


def _without_place(value: dict[str, Json], forced: Mapping[str, Json]) -> dict[str, Json]:
    """The plugin without its own word on where its work goes, if a forced default has one: another property of it might count before that."""
    if not any(name in forced for name in PLACING):
        return value
    return {key: item for key, item in value.items() if key not in PLACING or key in forced}


def matches(wanted: str, name: str, resolve: Resolve) -> bool:
    """Whether a default for the type or prefix `wanted` is one for the type `name`."""
    full = next((found for kind in _KINDS if (found := registry.full_name(kind, name)) is not None), name)
    if full.startswith((wanted, registry.SHORT + wanted)):
        return True
    cls = _class(wanted, resolve)
    return cls is not None and cls is _class(name, resolve)  # an alias or the short form of the same type


def _class(name: str, resolve: Resolve) -> type[BaseModel] | None:
    for kind in _KINDS:
        try:
            found: type[BaseModel] = resolve(kind, name)
            return found
        except NotFound:
            continue
    return None


def _over(below: Mapping[str, Json], above: Mapping[str, Json]) -> dict[str, Json]:
    """`above` laid over `below`, maps within maps too."""
    made = dict(below)
    for key, value in above.items():
        lower = made.get(key)
        made[key] = _over(lower, value) if isinstance(lower, Mapping) and isinstance(value, Mapping) else value
    return made
