"""What a person sees of a run while it goes: plain lines for files and pipes, a live tree on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from orchestrator.cli.shapes import ENDED, MOMENT, clock, current, duration_text, seconds_in, shape, title, waiting_for
from orchestrator.cli.speech import harmless, now

Json = Mapping[str, Any]


class View(Protocol):
    """Told everything that happens in a run, in order."""

    def execution(self, execution: Json) -> None:
        """How the run stands now."""

    def log(self, line: Json) -> None:
        """One line of its log."""

    def talk(self, text: str) -> None:
        """Something about following itself."""

    def tick(self) -> None:
        """Nothing new; time has passed."""

    def close(self) -> None:
        """The end: what is shown stays. May be called twice; anything told later opens the view again."""


class PlainView:
    """A line per change of state and per log line. `talk` and states go to stderr, log lines to `logs`."""

    def __init__(self, logs: TextIO) -> None:
        self._logs = logs
        self._shown: dict[str, tuple[str, str]] = {}
        self._names: dict[str, str] = {}
        self._execution: Json = {}
        self._looked = 0.0

    def execution(self, execution: Json) -> None:
        self._execution, at = execution, now()
        self._looked = at.timestamp()
        for run in execution.get("taskRunList") or ():
            self._names[run["id"]] = title(run)
            seen = (current(run), waiting_for(run, at))
            if self._shown.get(run["id"], ("CREATED", "")) != seen:
                self._changed(run, *seen)
            self._shown[run["id"]] = seen

    def _changed(self, run: Json, state: str, why: str) -> None:
        told = duration_text(seconds_in(run["state"], now())) if state in ENDED else why
        at = now().isoformat() if why else (run["state"].get("histories") or [{}])[-1].get("date")
        self.talk(f"{clock(at):12} {shape(state)} {state:9} {title(run)}{'  ' if told else ''}{told}")

    def log(self, line: Json) -> None:
        who = self._names.get(str(line.get("taskRunId"))) or line.get("taskId") or line.get("flowId") or ""
        for text in str(line.get("message", "")).splitlines() or [""]:
            self._logs.write(f"{clock(line.get('timestamp')):12} │ {line.get('level', ''):9} {who} │ {harmless(text)}\n")
        self._logs.flush()

    def talk(self, text: str) -> None:
        sys.stderr.write(harmless(text) + "\n")
        sys.stderr.flush()

    def tick(self) -> None:
        if now().timestamp() - self._looked >= MOMENT:
            self.execution(self._execution)  # what waits may have waited for long enough to be told

    def close(self) -> None:
        """Every line is out already."""


def view_for(*, as_json: bool) -> View:
    """The live view where a person looks at the stream it would draw on, else plain lines."""
    if (sys.stderr if as_json else sys.stdout).isatty() and sys.stderr.isatty():
        from orchestrator.cli.live import LiveView, can_draw

        if can_draw():
            return LiveView(stderr=as_json)
    return PlainView(sys.stderr if as_json else sys.stdout)
