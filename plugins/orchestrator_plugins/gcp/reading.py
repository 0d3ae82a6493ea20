"""From log entries, which come late, twice, glued or in parts, to a job's lines: each once, in the same order at every reading. Pure."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import replace

from orchestrator.sdk import LineSplitter, LogSink
from orchestrator_plugins.gcp.facts import Entry, time_of

SECOND = 10**9
AGE = 600 * SECOND  # past which no entry is looked for again
MANY = 100_000  # entries that are remembered whatever their age
Key = tuple[int, str]


class Order:
    """Sorts entries by time although they come late.

    An entry waits `hold` seconds for those that were printed before it and come after it. What comes later still is given
    when it comes. The order follows from when the service took each entry in, so that it is the same at the next reading.
    """

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._turns: list[tuple[int, Key, float, Entry]] = []  # by the time it was received: each entry in its turn lets go what is not after it
        self._coming: list[tuple[int, Key, Entry]] = []
        self._sorted: list[tuple[Key, Entry]] = []

    def add(self, entry: Entry, now: float) -> None:
        """Take one in; `now` is monotonic."""
        heapq.heappush(self._turns, (entry.received, entry.key, now, entry))
        heapq.heappush(self._coming, (entry.received, entry.key, entry))

    @property
    def is_holding(self) -> bool:
        """Whether any wait for their turn."""
        return bool(self._turns)

    def due(self, now: float | None) -> Iterable[Entry]:
        """Those whose turn it is; all of them without a time."""
        while self._turns and (now is None or now - self._turns[0][2] >= self._hold):
            received, key, _, _ = heapq.heappop(self._turns)
            while self._coming and self._coming[0][0] <= received + int(self._hold * SECOND):
                _, its_key, entry = heapq.heappop(self._coming)
                heapq.heappush(self._sorted, (its_key, entry))
            while self._sorted and self._sorted[0][0] <= key:
                yield heapq.heappop(self._sorted)[1]


class Reading:
    """One reading of a job's log from its first entry, without the lines by which the wrapper speaks (they begin with `mark`)."""

    def __init__(self, logs: LogSink, mark: str, hold: float) -> None:
        self._logs, self._order = logs, Order(hold)
        self._own = re.compile(re.escape(mark) + r"(?::(\d+)(:oom)?\s*|!(.*))$", re.DOTALL)
        self._known: set[Key] = set()
        self._most_known = MANY
        self._parts: dict[str, dict[int, Entry]] = {}
        self._splitters = {False: LineSplitter(), True: LineSplitter()}
        self._offset = 0
        self.last = 0  # the greatest time seen, nanoseconds
        self.ended: set[bool] = set()  # the streams whose last line was seen
        self.code: int | None = None  # what the wrapper said the command ended with
        self.out_of_memory = False  # and whether the kernel killed it for want of memory
        self.trouble: str | None = None  # why files could not be brought in or out

    @property
    def is_complete(self) -> bool:
        """Whether both streams have been read to their ends."""
        return len(self.ended) == 2

    @property
    def is_holding(self) -> bool:
        """Whether lines wait for those printed before them."""
        return self._order.is_holding

    def take(self, entries: Iterable[Entry], now: float) -> bool:
        """Keep what is new; whether anything was. `now` is monotonic."""
        is_new = False
        for entry in entries:
            if entry.key in self._known:
                continue
            is_new = True
            self._known.add(entry.key)
            self.last = max(self.last, entry.at)
            whole = self._whole(entry)
            if whole is not None:
                self._notice(whole)
                self._order.add(whole, now)
        self._forget()
        return is_new

    def _forget(self) -> None:
        """Know no entries any more that are too old to come again."""
        if len(self._known) > self._most_known:
            self._known = {key for key in self._known if key[0] >= self.last - AGE}
            self._most_known = max(MANY, 2 * len(self._known))

    def _whole(self, entry: Entry) -> Entry | None:
        """An entry, or all parts of a line as one once the last of them is here."""
        if entry.part is None:
            return entry
        parts = self._parts.setdefault(entry.part.uid, {})
        parts[entry.part.index] = entry
        if len(parts) < entry.part.total:
            return None
        del self._parts[entry.part.uid]
        return _joined(parts)

    def _notice(self, entry: Entry) -> None:
        """What the wrapper says is known at once; its lines are taken out when they are told."""
        found = self._own.search(entry.text)
        if found is not None and found[1] is not None:
            self.ended.add(entry.stderr)
            self.code, self.out_of_memory = int(found[1]), found[2] is not None
        elif found is not None:
            self.trouble = found[3].strip()

    def say(self, now: float) -> None:
        """Pass on the lines that are due."""
        for entry in self._order.due(now):
            self._tell(entry)

    def end(self) -> None:
        """Pass on all the rest: of a line that lacks a part, the parts there are."""
        for parts in self._parts.values():
            self._order.add(_joined(parts), 0.0)
        for entry in self._order.due(None):
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        text = self._own.sub("", entry.text)
        if text == "" and entry.text != "":
            return
        end = "" if text.endswith("\n") else "\n"  # an entry holds whole lines
        for line in self._splitters[entry.stderr].feed((text + end).encode(errors="replace")):
            self._logs.line(line, stderr=entry.stderr, offset=self._offset, at=time_of(entry.at))
            self._offset += 1


def _joined(parts: dict[int, Entry]) -> Entry:
    ordered = [parts[index] for index in sorted(parts)]
    return replace(ordered[0], text="".join(one.text for one in ordered), received=max(one.received for one in ordered), part=None)
