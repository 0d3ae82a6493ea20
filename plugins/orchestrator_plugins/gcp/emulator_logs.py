"""Cloud Logging of the emulator: entries in memory, listed by filter and tailed."""

from __future__ import annotations

import bisect
import heapq
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.cloud.logging_v2 import types as logging

from orchestrator_plugins.gcp.emulator_faults import Faults
from orchestrator_plugins.gcp.emulator_filters import Term, number_of, terms_of

LARGEST = 256 * 1024  # bytes of one entry's text
GLUED = 7  # lines in one entry, where they are glued
_Entry = logging.LogEntry.pb()
_LISTED = logging.ListLogEntriesResponse.pb()
_TAILED = logging.TailLogEntriesResponse.pb()


@dataclass(order=True)
class _Stored:
    at: int
    id: str
    visible: float  # monotonic
    entry: Any


class Log:
    """Every entry of every job. Safe in threads."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._lock = threading.Condition()
        self._by_job: dict[str, list[_Stored]] = {}
        self._written: list[_Stored] = []
        self._ids = itertools.count()
        self._last = 0

    def write(self, project: str, job_id: str, uid: str, text: str, *, stderr: bool) -> None:
        """Take in what a job printed; a text too long for one entry becomes several."""
        delay = self._faults.take("late-log", job=job_id) or self._faults.take("delay-logs", job=job_id)
        seconds = delay.seconds if delay is not None else 0.0
        parts = _parts(text)
        with self._lock:
            self._last = at = max(time.time_ns(), self._last + 1000)
            split = f"split-{at}"
            for index, part in enumerate(parts):
                entry = self._entry(project, uid, part, at, seconds, stderr=stderr)
                if len(parts) > 1:
                    entry.split.uid, entry.split.index, entry.split.total_splits = split, index, len(parts)
                stored = _Stored(at, entry.insert_id, time.monotonic() + seconds, entry)
                self._by_job.setdefault(uid, []).append(stored)
                self._written.append(stored)
            self._lock.notify_all()

    def _entry(self, project: str, uid: str, text: str, at: int, late: float, *, stderr: bool) -> Any:
        entry = _Entry(log_name=f"projects/{project}/logs/batch_task_logs", text_payload=text, severity=500 if stderr else 200)
        entry.insert_id = f"{next(self._ids):016x}"
        entry.labels["job_uid"] = uid
        entry.timestamp.seconds, entry.timestamp.nanos = divmod(at, 10**9)
        entry.receive_timestamp.seconds, entry.receive_timestamp.nanos = divmod(at + int(late * 10**9), 10**9)
        entry.resource.type = "batch.googleapis.com/Job"
        return entry

    def listed(self, request: Any, context: Any) -> Any:
        """ListLogEntries: a page of what can be read now, by time."""
        try:
            terms = terms_of(request.filter)
            begin = _begin(terms, request.page_token)
        except (ValueError, KeyError) as err:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(err))
        now, size = time.monotonic(), request.page_size or 50
        with self._lock:
            asked = next((term.values for term in terms if term.field == "labels.job_uid" and term.sign == "="), tuple(self._by_job))
            columns = [column[bisect.bisect_left(column, begin) :] for uid in asked if (column := self._by_job.get(uid))]
        further = tuple(term for term in terms if term.field not in ("labels.job_uid", "timestamp") or term.sign not in ("=", ">="))
        merged = heapq.merge(*columns) if len(columns) != 1 else columns[0]
        found = (one for one in merged if one.visible <= now and _meets(one.entry, further))
        page = list(itertools.islice(found, size + 1))
        more = f"{page[size].at}:{page[size].id}" if len(page) > size else ""
        return _LISTED(entries=[one.entry for one in page[:size]], next_page_token=more)

    def tailed(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """TailLogEntries: what is written from now on, as soon as it can be read."""
        terms = terms_of(next(requests).filter)
        at, waiting = len(self._written), list[_Stored]()
        while context.is_active():
            with self._lock:
                if len(self._written) == at:
                    self._lock.wait(0.2)
                waiting += self._written[at:]
                at = len(self._written)
            now = time.monotonic()
            ready = [one for one in waiting if one.visible <= now]
            waiting = [one for one in waiting if one.visible > now]
            seen = [one.entry for one in ready if _meets(one.entry, terms)]
            for start in range(0, len(seen), 1000):
                yield _TAILED(entries=seen[start : start + 1000])

    def forget(self) -> None:
        """Lose everything."""
        with self._lock:
            self._by_job.clear()
            self._written.clear()


def _begin(terms: tuple[Term, ...], token: str) -> _Stored:
    """Where a listing begins: at its page's token, or at the least time it asks for."""
    if token:
        at, _, insert_id = token.partition(":")
        return _Stored(int(at), insert_id, 0.0, None)
    times = [number_of("timestamp", term.values[0]) for term in terms if term.field == "timestamp" and term.sign in (">", ">=")]
    return _Stored(max(times, default=0), "", 0.0, None)


def _meets(entry: Any, terms: tuple[Term, ...]) -> bool:
    return all(term.holds(_value(entry, term.field)) for term in terms)


def _value(entry: Any, field: str) -> object:
    match field.split(".", 1):
        case ["logName"]:
            return entry.log_name
        case ["labels", name]:
            return entry.labels.get(name, "")
        case ["timestamp"]:
            return entry.timestamp.seconds * 10**9 + entry.timestamp.nanos
        case ["receiveTimestamp"]:
            return entry.receive_timestamp.seconds * 10**9 + entry.receive_timestamp.nanos
        case ["severity"]:
            return int(entry.severity)
        case ["insertId"]:
            return entry.insert_id
        case ["resource", "type"]:
            return entry.resource.type
    raise ValueError(f"this emulator does not filter by `{field}`")


def _parts(text: str) -> list[str]:
    """A text in pieces that an entry may hold; no character is cut in two."""
    data = text.encode()
    if len(data) <= LARGEST:
        return [text]
    parts, at = [], 0
    while at < len(data):
        end = min(at + LARGEST, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(data[at:end].decode())
        at = end
    return parts
