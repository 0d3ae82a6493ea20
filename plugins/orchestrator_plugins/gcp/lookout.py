"""Looking at jobs and their logs for all who wait at one place: one list for all of them, however many there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from orchestrator.sdk import JobRejected, RunnerUnavailable
from orchestrator_plugins.gcp.facts import Entry, Event, JobFacts, stamp
from orchestrator_plugins.gcp.place import Place
from orchestrator_plugins.gcp.shape import OWNER

if TYPE_CHECKING:
    from orchestrator_plugins.gcp.client import BatchClient, LogClient

OVERLAP = 120 * 10**9  # nanoseconds looked back over now and then: entries come late
QUIET = 120 * 10**9  # nanoseconds before now from which on all is read, however long ago a job said something: clocks differ
RECENT = 5 * 10**9  # nanoseconds before the last that came: what was taken in then may not have been shown yet
SWEEP = 10.0  # seconds between such looks
EAGER = 1.5  # seconds between two readings of the log, at the least: the service allows sixty a minute
MOST_UIDS = 150  # named in one filter
PAUSE = 10.0  # seconds before a broken tail is opened again


class Inbox:
    """What has been read of one job's log and not been taken yet."""

    def __init__(self, uid: str, since: int) -> None:
        self.uid, self.cursor, self.received = uid, since, since
        self.swept = time.monotonic()  # what is read first is read from the job's beginning
        self._entries: list[Entry] = []

    def put(self, entry: Entry) -> None:
        """Take one in. What is older than anyone looks back for was read before: another job's look went back farther."""
        if entry.at >= self.cursor - OVERLAP:
            self._entries.append(entry)
            self.cursor, self.received = max(self.cursor, entry.at), max(self.received, entry.received)

    def has_been_read(self, at: int) -> None:
        """All that the service had at a time is here."""
        self.cursor, self.received = max(self.cursor, at - QUIET), max(self.received, at - QUIET)

    def taken(self) -> Sequence[Entry]:
        """What is new; it is handed out once."""
        found, self._entries = self._entries, []
        return found


class Lookout:
    """Of one place and one installation. Whoever finds a look too old takes a new one for all. Safe in threads."""

    def __init__(self, batch: BatchClient, logs: LogClient, owner: str) -> None:
        self._batch, self._logs, self._owner = batch, logs, owner
        self._jobs: dict[str, JobFacts] = {}
        self._looked, self._read = 0.0, 0.0
        self._look_lock, self._read_lock = threading.Lock(), threading.Lock()
        self._inboxes: dict[str, Inbox] = {}
        self._bell = threading.Condition()
        self._rung: set[str] = set()
        self._listener: threading.Thread | None = None
        self._hang_up: Callable[[], None] = lambda: None

    def job(self, name: str, max_age: float) -> JobFacts | None:
        """A job as it was at most `max_age` seconds ago; None when it is gone. A list may lack a job for a moment."""
        with self._look_lock:
            if time.monotonic() - self._looked > max_age:
                self._jobs = {job.name: job for job in self._batch.jobs({OWNER: self._owner})}
                self._looked = time.monotonic()
            found = self._jobs.get(name)
        return found or self._batch.get(name)

    def task_events(self, name: str) -> Sequence[Event]:
        return self._batch.task_events(name)

    def opened(self, uid: str, since: int) -> Inbox:
        """Have a job's log read from a time on, until `closed`."""
        with self._read_lock:
            inbox = self._inboxes[uid] = Inbox(uid, since)
            if self._listener is None:
                self._listener = threading.Thread(target=self._listen, name="gcp-log-bell", daemon=True)
                self._listener.start()
        return inbox

    def closed(self, inbox: Inbox) -> None:
        """Read it no more. The last one to go hangs up."""
        with self._read_lock:
            if self._inboxes.get(inbox.uid) is inbox:
                del self._inboxes[inbox.uid]
            if not self._inboxes:
                self._hang_up()

    def read(self, max_age: float) -> None:
        """Fill all inboxes with what there is now; not sooner than `max_age` seconds after it was done last."""
        asked = time.monotonic()
        while True:
            with self._read_lock:
                if self._read >= asked:
                    return  # another has read for all meanwhile
                begun = time.monotonic()
                if (early := self._read + max_age - begun) <= 0:
                    self._fill(list(self._inboxes.values()))
                    self._read = begun
                    return
            time.sleep(early)

    def read_on(self, inbox: Inbox) -> None:
        """Fill one inbox with all there is, what came late included."""
        with self._read_lock:
            self._fill([inbox])
            self._sweep([inbox])

    def _fill(self, inboxes: Sequence[Inbox]) -> None:
        begun = time.time_ns()
        for some in (inboxes[at : at + MOST_UIDS] for at in range(0, len(inboxes), MOST_UIDS)):
            self._put(some, self._logs.entries([one.uid for one in some], stamp(min(one.cursor for one in some))))
            for one in some:
                one.has_been_read(begun)
        now = time.monotonic()
        self._sweep([one for one in inboxes if now - one.swept >= SWEEP])

    def _sweep(self, inboxes: Sequence[Inbox]) -> None:
        """Look for what is older than the last entry and came after it."""
        for some in (inboxes[at : at + MOST_UIDS] for at in range(0, len(inboxes), MOST_UIDS)):
            since, received = min(one.cursor for one in some) - OVERLAP, min(one.received for one in some) - RECENT
            self._put(some, self._logs.entries([one.uid for one in some], stamp(since), received=stamp(received)))
            for one in some:
                one.swept = time.monotonic()

    @staticmethod
    def _put(inboxes: Sequence[Inbox], entries: Iterable[Entry]) -> None:
        by_uid = {one.uid: one for one in inboxes}
        for entry in entries:
            if entry.job in by_uid:
                by_uid[entry.job].put(entry)

    def hears(self, inbox: Inbox, seconds: float) -> bool:
        """Whether the job says something within this time."""
        with self._bell:
            rung = self._bell.wait_for(lambda: inbox.uid in self._rung, seconds)
            self._rung.discard(inbox.uid)
        return rung

    def _listen(self) -> None:
        """Hear when a job says something. Without it lines come as often as logs are read: nothing is lost."""
        while True:
            try:
                rings, self._hang_up = self._logs.rings()
                for uids in rings:
                    with self._bell:
                        self._rung |= {uid for uid in uids if uid in self._inboxes}
                        self._bell.notify_all()
            except (RunnerUnavailable, JobRejected):
                if self._inboxes:  # else it was hung up
                    time.sleep(PAUSE)
            with self._read_lock:
                if not self._inboxes:
                    self._listener = None
                    return


@cache
def lookout_of(place: Place, owner: str) -> Lookout:
    """The one of this process: all its jobs at a place are looked at together."""
    from orchestrator_plugins.gcp.client import BatchClient, LogClient

    return Lookout(BatchClient(place), LogClient(place), owner)
