"""Takes what runs report and repeats it to the executor until it is saved: in order, in batches, with bounded memory."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.lang.expressions import plain
from orchestrator.model.dispatch import SaidLine
from orchestrator.model.values import Json, format_instant

Send = Callable[[str], None]
"""Delivers a JSON array of reports and returns once all it says is saved; raises when that is not known."""

LOG_DELAY = 0.08  # seconds until a line leaves; with the way it takes, within 100 ms
SMALL_DELAY = 0.01  # for what an outcome is likely to follow at once
FULL = 1000  # lines that leave without waiting
MOST_LINES = 20_000  # waiting lines, above which whoever writes waits too
BATCH_LINES = 5_000
BATCH_CHARS = 4_000_000
log = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts


class Ticket:
    """Tells when a report has been saved."""

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self._saved, self._then = threading.Event(), then

    def wait(self, timeout: float | None = None) -> bool:
        return self._saved.wait(timeout)

    def done(self) -> None:
        self._saved.set()
        if self._then is not None:
            self._then()


class Entry:
    """One report on its way: a finished text, or lines that more may join until something else of the run follows."""

    __slots__ = ("head", "lines", "metrics", "run", "size", "text", "ticket")

    def __init__(self, run: str, text: str = "", ticket: Ticket | None = None, head: Mapping[str, Json] | None = None) -> None:
        self.run, self.text, self.ticket, self.head = run, text, ticket, head
        self.lines: list[SaidLine] = []
        self.metrics: list[Mapping[str, Json]] = []
        self.size = len(text)

    @property
    def count(self) -> int:
        return len(self.lines) + len(self.metrics)

    def json(self) -> str:
        if self.head is None:
            return self.text
        lines = [{"at": format_instant(line.at), "level": line.level, "message": line.message, "offset": line.offset} for line in self.lines]
        return as_json({**self.head, "at": format_instant(datetime.now(UTC)), "kind": "said", "lines": lines, "metrics": self.metrics})


class Reporter:
    """The queue and the one thread that empties it. Safe in threads."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._change = threading.Condition()
        self._queue: deque[Entry] = deque()
        self._open: dict[str, Entry] = {}  # by run: the lines that more may join
        self._lines = 0
        self._due: float | None = None  # when the next batch leaves
        self._in_flight = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, report: Mapping[str, Json], *, soon: bool = False, then: Callable[[], None] | None = None) -> Ticket:
        """Queue a report; `soon` lets it wait a moment for company. `then` is called once it is saved."""
        ticket, run = Ticket(then), str(report["task_run_id"])
        entry = Entry(run, as_json(report), ticket)
        with self._change:
            self._open.pop(run, None)
            self._queue.append(entry)
            self._leave_in(SMALL_DELAY if soon else 0.0)
        return ticket

    def say(self, head: Mapping[str, Json], line: SaidLine | None = None, metric: Mapping[str, Json] | None = None) -> None:
        """Queue a log line or a metric of the run that `head` names. Waits while too many are on their way."""
        run = str(head["task_run_id"])
        with self._change:
            while self._lines >= MOST_LINES and not self._closed:
                self._change.wait()
            entry = self._open.get(run)
            if entry is None or entry.count >= FULL or (entry.head or {})["lease"] != head["lease"]:
                entry = self._open[run] = Entry(run, head=head)
                self._queue.append(entry)
            self._add(entry, line, metric)
            self._lines += 1
            self._leave_in(0.0 if self._lines >= FULL else LOG_DELAY)

    @staticmethod
    def _add(entry: Entry, line: SaidLine | None, metric: Mapping[str, Json] | None) -> None:
        if line is not None:
            entry.lines.append(line)
            entry.size += len(line.message) + 100
        if metric is not None:
            entry.metrics.append(metric)

    def flush(self, timeout: float | None = None) -> bool:
        """Send all that waits; whether it was saved within `timeout` seconds."""
        with self._change:
            self._leave_in(0.0)
            return self._change.wait_for(lambda: not self._queue and not self._in_flight, timeout)

    def close(self, timeout: float) -> bool:
        """Send what waits, for at most `timeout` seconds, and stop; whether everything was saved."""
        saved = self.flush(timeout)
        with self._change:
            self._closed = True
            self._change.notify_all()
        return saved

    # --- the thread

    def _leave_in(self, delay: float) -> None:
        due = time.monotonic() + delay
        if self._due is None or due < self._due:
            self._due = due
            self._change.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            self._deliver("[" + ",".join(entry.json() for entry in batch) + "]")
            with self._change:
                self._lines -= sum(entry.count for entry in batch)
                self._in_flight = 0
                self._change.notify_all()
            for entry in batch:
                if entry.ticket is not None:
                    entry.ticket.done()

    def _next(self) -> Sequence[Entry] | None:
        with self._change:
            while not self._closed:
                wait = None if self._due is None else self._due - time.monotonic()
                if wait is not None and wait <= 0:
                    return self._take()
                self._change.wait(wait)
            return None

    def _take(self) -> Sequence[Entry]:
        batch, lines, size = list[Entry](), 0, 0
        while self._queue and lines < BATCH_LINES and size < BATCH_CHARS:
            entry = self._queue.popleft()
            if self._open.get(entry.run) is entry:
                del self._open[entry.run]
            batch.append(entry)
            lines, size = lines + entry.count, size + entry.size
        self._in_flight = len(batch)
        self._due = time.monotonic() if self._queue else None
        return batch

    def _deliver(self, text: str) -> None:
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                self._send(text)
            except Exception as err:  # whatever it was, the batch is not known to be saved
                if pause == LONGEST_PAUSE:
                    log.warning("reports-not-taken waiting=%d error=%r", len(self._queue), err)
                with self._change:
                    self._change.wait_for(lambda: self._closed, pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return


def as_json(value: Mapping[str, Json]) -> str:
    """JSON that any reader takes: values of other kinds as the language prints them, half characters replaced."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=_other)
    except (TypeError, ValueError):  # keys that are no text, or a value that holds itself
        text = json.dumps(plain(value), ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode(errors="replace").decode()
    return text


def _other(value: Any) -> Json:
    return plain(value)
