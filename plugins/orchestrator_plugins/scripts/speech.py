"""What a script says: plain lines for the log, and `::{...}::` lines that carry outputs, metrics and log entries."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from orchestrator.sdk import Json, Level, LogSink, RunContext, text_map

_CARRIER = re.compile(r"::(\{.*\})::", re.DOTALL)


class Speech(LogSink):
    """Hears a job out: logs its lines as they come, and gathers what they carry."""

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx
        self.vars: dict[str, Json] = {}
        self.stdout_lines = 0
        self.stderr_lines = 0

    def line(self, text: str, *, stderr: bool, offset: int, at: datetime | None = None) -> None:
        if stderr:
            self.stderr_lines += 1
        else:
            self.stdout_lines += 1
        carried = _CARRIER.fullmatch(text.strip()) if text.lstrip().startswith("::{") else None
        if carried is None:
            self._ctx.logger.log(Level.ERROR if stderr else Level.INFO, text)
        else:
            self._take(carried[1])

    def _take(self, text: str) -> None:
        try:
            self._use(json.loads(text))
        except (ValueError, TypeError, AttributeError, KeyError) as err:
            self._ctx.logger.warn(f"Invalid outputs '{text}': {err}")

    def _use(self, carried: Mapping[str, Json]) -> None:
        self.vars.update(carried.get("outputs") or {})
        for metric in _list(carried.get("metrics")):
            self._ctx.metric(str(metric["type"]).lower(), str(metric["name"]), float(metric["value"]), text_map(metric.get("tags") or {}))
        for entry in _list(carried.get("logs")):
            level = Level.INFO
            with suppress(ValueError):
                level = Level(str(entry.get("level", "INFO")).upper())
            self._ctx.logger.log(level, str(entry.get("message", "")))


def _list(value: Json) -> Sequence[Mapping[str, Json]]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise ValueError("`metrics` and `logs` are lists of objects")
    return value
