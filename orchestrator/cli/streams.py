"""The two event streams of one execution, heard by a thread each and joined into one sequence of news."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import Enum
from typing import Final, Literal

from orchestrator.cli.client import Client, path
from orchestrator.cli.session import ExecutionNews, Hitch, Json, LogNews, Update
from orchestrator.errors import OrchestratorError, Unavailable

TICK = 0.1  # seconds without news after which `news` gives None
PATIENCE = 60.0  # seconds that a server may be away while a run is followed
PAUSE = 0.2  # seconds before a stream that broke is taken up again


class Sign(Enum):
    """What a listening thread tells besides news."""

    EXECUTION = "the execution has changed"
    END = "the execution has ended"
    LOGS_AGAIN = "the log is told from its first line again"


LOGS_AGAIN: Final = Sign.LOGS_AGAIN
_Heard = Sign | LogNews | Hitch | OrchestratorError


class Once:
    """Lets each log line pass once, though every connection tells all of them from the first."""

    def __init__(self) -> None:
        self._passed: Counter[tuple[object, ...]] = Counter()
        self._told: Counter[tuple[object, ...]] = Counter()

    def again(self) -> None:
        """From here on the lines come from the first again."""
        self._told.clear()

    def takes(self, line: Json) -> bool:
        """Whether this line is new. Lines that are equal in everything are told apart by counting them."""
        key = tuple(line.get(name) for name in ("taskRunId", "attemptNumber", "timestamp", "level", "message"))
        self._told[key] += 1
        if self._told[key] <= self._passed[key]:
            return False
        self._passed[key] += 1
        return True


class Streams(AbstractContextManager["Streams"]):
    """Listens in its `with` block. Executions come as the newest only: one that was overtaken while nobody looked is dropped."""

    def __init__(self, client: Client, execution_id: str) -> None:
        self._client, self._id = client, execution_id
        self._heard: queue.SimpleQueue[_Heard] = queue.SimpleQueue()
        self._newest: Json | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __enter__(self) -> Streams:
        for listen in (self._hear_execution, self._hear_logs):
            threading.Thread(target=listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def news(self) -> Iterator[Update | Literal[Sign.LOGS_AGAIN]]:
        """Everything in the order it was heard, None now and then, until the execution has ended. Raises what ended the listening."""
        while True:
            try:
                heard = self._heard.get(timeout=TICK)
            except queue.Empty:
                yield None
                continue
            if isinstance(heard, OrchestratorError):
                raise heard
            if heard is Sign.END:
                return
            yield self._taken() if heard is Sign.EXECUTION else heard

    def _taken(self) -> ExecutionNews | None:
        with self._lock:
            newest, self._newest = self._newest, None
        return None if newest is None else ExecutionNews(newest)

    def _changed(self, execution: Json) -> None:
        with self._lock:
            waiting, self._newest = self._newest is not None, execution
        if not waiting:
            self._heard.put(Sign.EXECUTION)

    def _hear_execution(self) -> None:
        away: float | None = None  # since when the server is away
        while not self._over.is_set():
            try:
                for name, execution in self._client.events(path("executions", self._id, "follow")):
                    if "state" in execution:
                        self._changed(execution)
                        away = None
                    if name == "end":
                        return self._heard.put(Sign.END)
                    if self._over.is_set():
                        return None
            except Unavailable as err:
                if away is not None and time.monotonic() - away > PATIENCE:
                    return self._heard.put(err)
            except OrchestratorError as err:
                return self._heard.put(err)
            if away is None:
                away = time.monotonic()
                self._heard.put(Hitch(f"{self._client.url} is away for a moment: trying again for {PATIENCE:.0f} s; the run goes on"))
            self._over.wait(PAUSE)
        return None

    def _hear_logs(self) -> None:
        """After the end nobody listens any more, and the stream is left to close with the process."""
        while not self._over.is_set():
            self._heard.put(Sign.LOGS_AGAIN)
            try:
                for _, line in self._client.events(path("logs", self._id, "follow")):
                    if self._over.is_set():
                        return
                    if line.get("message") is not None:
                        self._heard.put(LogNews(line))
            except Unavailable:
                pass  # the other stream tells of it
            except OrchestratorError:
                return  # the lines are read once more at the end
            self._over.wait(PAUSE)
