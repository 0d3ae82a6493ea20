"""From the text after `type:` to a class, by entry points. The only user of importlib.metadata.

Listing, suggesting and telling the kind of a type imports nothing; loading one type imports its one module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from orchestrator.errors import BadSettings, NotFound

KINDS = ("task", "task_runner", "trigger", "condition", "storage", "secret")
SHORT = "io.kestra.plugin."  # may be left out by users


@cache
def _catalogue(kind: str) -> Mapping[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"orchestrator.{kind}"):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise BadSettings(f"two packages claim the {kind} type {point.name}: {_owner(other)} and {_owner(point)}")
        found[point.name] = point
    return found


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def types(kind: str) -> Iterable[str]:
    """Every installed type name of a kind (aliases included), sorted; not those that are steps of another type (`Other$Step`)."""
    return sorted(name for name in _catalogue(kind) if "$" not in name)


def full_name(kind: str, name: str) -> str | None:
    """The name as registered: itself, or with the short form completed. None when it is not installed."""
    catalogue = _catalogue(kind)
    if name in catalogue:
        return name
    return SHORT + name if SHORT + name in catalogue else None


@cache
def load(kind: str, name: str) -> type[Any]:
    """The class behind a type name. Raises NotFound with the nearest names when it is not installed."""
    full = full_name(kind, name)
    if full is None:
        raise NotFound(f"Invalid type: {name}")
    loaded: type[Any] = _catalogue(kind)[full].load()
    return loaded


def replaced_by(kind: str, name: str) -> str | None:
    """The proper name of a type that was written by an older alias; None when the name is proper, short or unknown."""
    catalogue = _catalogue(kind)
    if name not in catalogue or name.startswith(SHORT):
        return None
    return next((n for n in sorted(catalogue) if n.startswith(SHORT) and catalogue[n].value == catalogue[name].value), None)


def nearest(kind: str, name: str) -> str | None:
    """The installed type whose name is most like `name`, in the form that `name` is written in, or None."""
    short = {t.removeprefix(SHORT): t for t in types(kind) if t.startswith(SHORT)}
    if "." in name and not name.startswith("io.") and (close := get_close_matches(name, short, 1, 0.8)):
        return close[0]
    by_tail = {t.rsplit(".", 1)[-1].lower(): t for t in types(kind)}
    tail = get_close_matches(name.rsplit(".", 1)[-1].lower(), by_tail, 1, 0.75)
    close = get_close_matches(name, list(types(kind)), 1, 0.8)
    return close[0] if close else (by_tail[tail[0]] if tail else None)
