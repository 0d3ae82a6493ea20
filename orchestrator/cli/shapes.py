"""How states, durations and task runs look: colour and word and shape, so that none of them alone must be seen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = Mapping[str, Any]

SHAPES: Mapping[str, tuple[str, str]] = {  # state -> (shape, colour)
    "CREATED": ("○", "bright_black"),
    "QUEUED": ("◌", "bright_black"),
    "RUNNING": ("▶", "blue"),
    "PAUSED": ("‖", "yellow"),
    "RETRYING": ("↻", "yellow"),
    "KILLING": ("□", "red"),
    "RESTARTED": ("↺", "blue"),
    "SUCCESS": ("✓", "green"),
    "WARNING": ("▲", "yellow"),
    "FAILED": ("✗", "red"),
    "KILLED": ("■", "red"),
    "CANCELLED": ("⊘", "red"),
    "RETRIED": ("↻", "bright_black"),
    "SKIPPED": ("»", "bright_black"),
}
ENDED = frozenset({"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED"})
GOOD = frozenset({"SUCCESS", "WARNING", "SKIPPED"})
FAILURES = frozenset({"FAILED", "KILLED", "CANCELLED"})

MOMENT = 1.0  # seconds of waiting that are not worth a word

_ISO = re.compile(r"^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?$")


def shape(state: str) -> str:
    return SHAPES.get(state, ("?", ""))[0]


def colour(state: str) -> str:
    return SHAPES.get(state, ("", "white"))[1]


def duration_text(seconds: float) -> str:
    """`0.3s`, `12s`, `1m 12s`, `2h 05m`, `3d 4h`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours < 24 else f"{hours // 24}d {hours % 24}h"


def seconds_in(state: Json, now: datetime) -> float:
    """How long the thing of this state has taken until its end, or until now."""
    if state.get("current") in ENDED:
        found = _ISO.match(str(state.get("duration", "")))
        if found:
            hours, minutes, seconds = (float(part or 0) for part in found.groups())
            return hours * 3600 + minutes * 60 + seconds
    begun = instant(state.get("startDate"))
    return (now - begun).total_seconds() if begun else 0.0


def instant(text: object) -> datetime | None:
    """An aware datetime from the API's text, None when there is none."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def ago(text: object, now: datetime) -> str:
    """`12s ago`, with nothing for what never was."""
    at = instant(text)
    return "" if at is None else f"{duration_text(max(0.0, (now - at).total_seconds()))} ago"


def coming(text: object, now: datetime) -> str:
    """`in 12s`, `now` for what is past, with nothing for what never comes."""
    at = instant(text)
    return "" if at is None else f"in {duration_text((at - now).total_seconds())}" if at > now else "now"


def clock(text: object) -> str:
    """The time of day here, to the millisecond."""
    at = instant(text)
    return "" if at is None else at.astimezone().strftime("%H:%M:%S.%f")[:-3]


def current(thing: Json) -> str:
    """The state's word of an execution or task run."""
    return str((thing.get("state") or {}).get("current", "?"))


@dataclass
class Node:
    """A task run and those below it."""

    run: Json
    children: list[Node] = field(default_factory=list)


def tree(runs: Sequence[Json]) -> list[Node]:
    """Task runs as a tree, in the order they were made; one whose parent is unknown stands at the top."""
    nodes = {str(run.get("id")): Node(run) for run in runs}
    tops: list[Node] = []
    for node in nodes.values():
        parent = nodes.get(str(node.run.get("parentTaskRunId")))
        (tops if parent is None else parent.children).append(node)
    return tops


def title(run: Json) -> str:
    """The task's id, with the value of its iteration and the attempt where there is more than one."""
    value, attempts = run.get("value"), len(run.get("attempts") or ())
    text = str(run.get("taskId", "?"))
    text += f" [{_short(str(value))}]" if value is not None else ""
    return text + (f" (attempt {attempts})" if attempts > 1 else "")


def waiting_for(run: Json, at: datetime) -> str:
    """What a task run waits for, when it has waited for longer than a moment; nothing while it works or has ended."""
    phases = run.get("phases") or ()
    if not phases or current(run) in ENDED or current(run) == "PAUSED":
        return ""
    last = phases[-1]
    since = instant(last.get("at"))
    if since is None or (at - since).total_seconds() < MOMENT:
        return ""
    if last.get("name") == "queued":
        group = (run.get("placement") or {}).get("group")
        return f'no free worker in group "{group}"' if group else "no free worker"
    return " · ".join(str(part) for part in (last["name"], last.get("detail")) if part) if last.get("name") in ("provisioning", "image", "files_in") else ""


def _short(text: str, limit: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
