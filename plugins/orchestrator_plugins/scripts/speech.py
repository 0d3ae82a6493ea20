"""What a script says: plain lines for the log, and `::{...}::` lines that carry outputs, metrics, log entries and assets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from orchestrator.sdk import Json, Level, LogSink, RunContext, text_map

_CARRIER = re.compile(r"::(\{.*\})::", re.DOTALL)
_LEVELS = {"WARNING": Level.WARN, "CRITICAL": Level.ERROR, "FATAL": Level.ERROR}  # as other languages call them
_METRICS = frozenset({"counter", "timer", "gauge"})


class Speech(LogSink):
    """Hears a job out: logs its lines as they come, and gathers what they carry."""

    def __init__(self, ctx: RunContext) -> None:
        self.ctx = ctx
        self.vars: dict[str, Json] = {}
        self.assets: list[Json] = []
        self.stdout_lines = 0
        self.stderr_lines = 0

    def line(self, text: str, *, stderr: bool, offset: int, at: datetime | None = None) -> None:
        if stderr:
            self.stderr_lines += 1
        else:
            self.stdout_lines += 1
        carried = _CARRIER.fullmatch(text.strip()) if text.lstrip().startswith("::{") else None
        if carried is None:
            self.plain(text, stderr=stderr)
        else:
            self._take(carried[1])

    def plain(self, text: str, *, stderr: bool) -> None:
        """Take a line that carries nothing."""
        self.ctx.logger.log(Level.ERROR if stderr else Level.INFO, text)

    def _take(self, text: str) -> None:
        try:
            self._use(json.loads(text))
        except (ValueError, TypeError, AttributeError, KeyError) as err:
            self.ctx.logger.warn(f"Invalid outputs '{text}': {err}")

    def _use(self, carried: Mapping[str, Json]) -> None:
        self.vars.update(carried.get("outputs") or {})
        for metric in _list(carried.get("metrics"), "metrics"):
            kind = str(metric["type"]).lower()
            if kind not in _METRICS:
                raise ValueError(f"`{metric['type']}` is no type of metric: counter, timer or gauge")
            self.ctx.metric(kind, str(metric["name"]), float(metric["value"]), text_map(metric.get("tags") or {}))
        for entry in _list(carried.get("logs"), "logs"):
            self.ctx.logger.log(level_of(entry.get("level")), str(entry.get("message", "")))
        self.assets.extend(_assets(carried.get("assets")))


def level_of(name: Json) -> Level:
    """The level of a name in whatever writing; INFO where it is none."""
    text = str(name or "INFO").upper()
    with suppress(ValueError):
        return _LEVELS.get(text) or Level(text)
    return Level.INFO


def _assets(value: Json) -> Sequence[Json]:
    return () if value is None else value if isinstance(value, list) else (value,)


def _list(value: Json, name: str) -> Sequence[Mapping[str, Json]]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise ValueError(f"`{name}` is a list of objects")
    return value
