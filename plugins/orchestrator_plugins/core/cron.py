"""Whether a cron expression can be read."""

from __future__ import annotations

import re
from collections.abc import Mapping

NICKNAMES = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_MONTHS = {name: at for at, name in enumerate(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], 1)}
_DAYS = {name: at for at, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])}
_DAY_FIELDS = (31, 7)  # the highest values of the two fields that name days
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("seconds", 0, 59, {}),
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("days of month", 1, 31, {}),
    ("months", 1, 12, _MONTHS),
    ("days of week", 0, 7, _DAYS),
)
_PART = re.compile(r"^(?P<from>\*|\?|[A-Z0-9]+)(?:-(?P<to>[A-Z0-9]+))?(?:/(?P<step>\d+))?$")
_SPECIAL = re.compile(r"^(L|LW|L-\d+|\d+W|[A-Z0-9]+L|[A-Z0-9]+#[1-5])$")  # last day, nearest weekday, n-th weekday


def cron_problem(expression: str, *, with_seconds: bool = False) -> str | None:
    """What is wrong with a cron expression, or None."""
    text = expression.strip()
    if text.startswith("@"):
        return None if text.lower() in NICKNAMES else f"{text} is none of {', '.join(sorted(NICKNAMES))}"
    parts, fields = text.split(), _FIELDS if with_seconds else _FIELDS[1:]
    if len(parts) != len(fields):
        return f"Cron expression contains {len(parts)} parts but we expect one of [{len(fields)}]"
    for part, (name, low, high, names) in zip(parts, fields, strict=True):
        if problem := _field_problem(part.upper(), low, high, names):
            return f"{name}: {problem}"
    return None


def _field_problem(field: str, low: int, high: int, names: Mapping[str, int]) -> str | None:
    return next((problem for part in field.split(",") if (problem := _part_problem(part, low, high, names))), None)


def _part_problem(part: str, low: int, high: int, names: Mapping[str, int]) -> str | None:
    if high in _DAY_FIELDS and _SPECIAL.match(part):
        return None
    found = _PART.match(part)
    if found is None or (found["from"] in "*?" and found["to"]):
        return f"`{part}` cannot be read"
    if found["step"] is not None and int(found["step"]) < 1:
        return f"`{part}` has a step of 0"
    for end in (found["from"], found["to"]):
        if end is None or end in "*?" or end in names:
            continue
        if not end.isdigit():
            return f"`{part}` cannot be read"
        if not low <= int(end) <= high:
            return f"`{end}` is not in {low}..{high}"
    return None
