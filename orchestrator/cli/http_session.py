"""Running flows on a server over HTTP, its two event streams joined into one."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum

from orchestrator.cli.client import Client, form_body, path, yaml_body
from orchestrator.cli.session import ExecutionNews, FlowRef, Hitch, Json, LogNews, Start, Update
from orchestrator.errors import Conflict, NotFound, OrchestratorError, Refused, ServerUnreachable, Unavailable

TICK = 0.1  # seconds without news after which `follow` gives None
PATIENCE = 60.0  # seconds that a server may be away while a run is followed
STARTING = 30.0  # seconds that a server which answers "not yet" is waited for

_TOP_LEVEL = re.compile(r"""^(id|namespace):[ \t]+(["']?)([A-Za-z0-9][A-Za-z0-9._-]*)\2[ \t]*(?:#.*)?$""", re.MULTILINE)


class _Sign(Enum):
    """What a listening thread tells besides news."""

    END = "the execution has ended"
    LOGS_AGAIN = "the log is told from its first line again"


_Heard = ExecutionNews | LogNews | Hitch | OrchestratorError | _Sign


class _Once:
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


class HttpSession:
    """A `Session` on the server behind `client`."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.where = client.url

    def save_flow(self, source: str) -> FlowRef:
        saved = _patiently(lambda: self._saved(source))
        return FlowRef(saved["namespace"], saved["id"], int(saved.get("revision", 1)))

    def _saved(self, source: str) -> Json:
        """Updating first costs one request for a flow that is there, the usual case, and two for a new one."""
        key = flow_key(source)
        if key is not None:
            with suppress(NotFound):
                return self._put(key, source)
        try:
            made: Json = self.client.json("POST", path("flows"), body=yaml_body(source))
            return made
        except Refused as err:
            key = key or _read_key(source)
            if key is None or "already exists" not in str(err):
                raise
            return self._put(key, source)

    def _put(self, key: tuple[str, str], source: str) -> Json:
        saved: Json = self.client.json("PUT", path("flows", *key), body=yaml_body(source))
        return saved

    def start(self, flow: FlowRef, given: Start) -> Json:
        files = {name: (file.name, file.read_bytes()) for name, file in given.files.items()}
        labels = [("labels", f"{key}:{value}") for key, value in given.labels]
        started: Json = self.client.json("POST", path("executions", flow.namespace, flow.id), query=labels, body=form_body(given.inputs, files))
        return started

    def follow(self, execution_id: str) -> Iterator[Update]:
        heard: queue.SimpleQueue[_Heard] = queue.SimpleQueue()
        logs = _Once()
        over = threading.Event()
        for listen in (self._hear_execution, self._hear_logs):
            threading.Thread(target=listen, args=(execution_id, heard, over), daemon=True).start()
        try:
            yield from self._told(heard, logs)
            logs.again()
            yield from (LogNews(line) for line in self._written(execution_id) if logs.takes(line))
        finally:
            over.set()

    def _told(self, heard: queue.SimpleQueue[_Heard], logs: _Once) -> Iterator[Update]:
        while True:
            try:
                news = heard.get(timeout=TICK)
            except queue.Empty:
                yield None
                continue
            if isinstance(news, OrchestratorError):
                raise news
            if news is _Sign.END:
                return
            if isinstance(news, _Sign):
                logs.again()
            elif not isinstance(news, LogNews) or logs.takes(news.line):
                yield news

    def _written(self, execution_id: str) -> list[Json]:
        """All lines at the end, for those that the stream had not yet brought."""
        lines: list[Json] = self.client.json("GET", path("logs", execution_id)) or []
        return lines

    def _hear_execution(self, execution_id: str, heard: queue.SimpleQueue[_Heard], over: threading.Event) -> None:
        away: float | None = None  # since when the server is away
        while not over.is_set():
            try:
                for name, execution in self.client.events(path("executions", execution_id, "follow")):
                    if "state" in execution:
                        heard.put(ExecutionNews(execution))
                        away = None
                    if name == "end" or over.is_set():
                        heard.put(_Sign.END)
                        return
            except Unavailable as err:
                if away is not None and time.monotonic() - away > PATIENCE:
                    heard.put(err)
                    return
            except OrchestratorError as err:
                heard.put(err)
                return
            if away is None:
                away = time.monotonic()
                heard.put(Hitch(f"{self.where} is away for a moment: trying again for {PATIENCE:.0f} s; the run goes on"))
            over.wait(0.2)

    def _hear_logs(self, execution_id: str, heard: queue.SimpleQueue[_Heard], over: threading.Event) -> None:
        """Lines as they come; after the run, nobody listens any more and the stream is left to close."""
        while not over.is_set():
            heard.put(_Sign.LOGS_AGAIN)
            try:
                for _, line in self.client.events(path("logs", execution_id, "follow")):
                    if over.is_set():
                        return
                    if line.get("message") is not None:
                        heard.put(LogNews(line))
            except Unavailable:
                pass
            except OrchestratorError:
                return  # the lines are read once more at the end
            over.wait(0.2)

    def kill(self, execution_id: str) -> None:
        try:
            self.client.json("DELETE", path("executions", execution_id, "kill"), query=[("isOnKillCascade", "true")])
        except Conflict:
            return  # it has ended

    def close(self) -> None:
        """Nothing is held between requests."""


def flow_key(source: str) -> tuple[str, str] | None:
    """(namespace, id) of a flow in the usual layout, found without a YAML parser; None when it takes one."""
    found = [(match[1], match[3]) for match in _TOP_LEVEL.finditer(source)]
    keys = dict(found)
    return (keys["namespace"], keys["id"]) if len(found) == 2 and len(keys) == 2 else None


def _read_key(source: str) -> tuple[str, str] | None:
    from orchestrator.lang.source import read

    value = read(source).value
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not isinstance(value.get("namespace"), str):
        return None
    return value["namespace"], value["id"]


def _patiently(ask: Callable[[], Json]) -> Json:
    """The answer of a server that may still be starting. For questions that may be repeated."""
    begun = time.monotonic()
    while True:
        try:
            return ask()
        except ServerUnreachable:
            raise
        except Unavailable:
            if time.monotonic() - begun > STARTING:
                raise
            time.sleep(0.25)
