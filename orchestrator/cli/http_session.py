"""Running flows on a server over HTTP, its two event streams joined into one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from orchestrator.cli.client import Client, form_body, path, yaml_body
from orchestrator.cli.session import FlowRef, Hitch, Json, LogNews, Start, Update
from orchestrator.cli.speech import first_line
from orchestrator.cli.streams import LOGS_AGAIN, Once, Streams
from orchestrator.errors import Conflict, NotFound, Refused, ServerUnreachable, Unavailable

STARTING = 30.0  # seconds that a server which answers "not yet" is waited for

_TOP_LEVEL = re.compile(r"""^(id|namespace):[ \t]+(["']?)([A-Za-z0-9][A-Za-z0-9._-]*)\2[ \t]*(?:#.*)?$""", re.MULTILINE)


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
        logs = Once()
        with Streams(self.client, execution_id) as streams:
            for news in streams.news():
                if news is LOGS_AGAIN:
                    logs.again()
                elif not isinstance(news, LogNews) or logs.takes(news.line):
                    yield news
        yield from self._unheard(execution_id, logs)

    def _unheard(self, execution_id: str, logs: Once) -> Iterator[Update]:
        """Lines that the stream had not yet brought when the execution ended."""
        try:
            lines: list[Json] = self.client.json("GET", path("logs", execution_id)) or []
        except Unavailable as err:
            yield Hitch(f"the last log lines could not be read: {first_line(err)}")
            return
        logs.again()
        yield from (LogNews(line) for line in lines if logs.takes(line))

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
