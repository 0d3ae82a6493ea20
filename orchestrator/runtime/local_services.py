"""Services in plain dictionaries, for tests and for running a flow in one process: no server, nothing kept."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.errors import BadSettings, Conflict, NotFound
from orchestrator.lang.sealing import Sealer
from orchestrator.model.file_uri import SCHEME
from orchestrator.model.values import Json
from orchestrator.sdk import Files, Keys, Level, Records, Triggers


class LocalServices:
    """The peer of HttpServices. `sealer` None: nothing can be sealed."""

    def __init__(
        self, *, secrets: Mapping[str, str] | None = None, outputs: Mapping[str, Mapping[str, Json]] | None = None, sealer: Sealer | None = None
    ) -> None:
        self.local_files, self.local_keys = LocalFiles(), LocalKeys()
        self.files: Files = self.local_files
        self.keys: Keys = self.local_keys
        self.records: Records = NoRecords()
        self.local_triggers = LocalTriggers()
        self.triggers: Triggers = self.local_triggers
        self.secrets, self.all_outputs, self._sealer = dict(secrets or {}), dict(outputs or {}), sealer
        self.errors: list[dict[str, Json]] = []
        self.fetched: list[str] = []  # the tasks whose outputs were asked for

    def outputs(self, task_id: str) -> Mapping[str, Json]:
        self.fetched.append(task_id)
        found: Mapping[str, Json] = _found(self.all_outputs, task_id)
        return found

    def open_sealed(self, sealed: Sequence[Json]) -> Sequence[str]:
        return [self._cipher().open(value) for value in sealed]

    def seal(self, text: str) -> Json:
        return self._cipher().seal(text)

    def _cipher(self) -> Sealer:
        if self._sealer is None:
            raise BadSettings("no encryption key is configured: set ORCHESTRATOR_ENCRYPTION_SECRET_KEY")
        return self._sealer

    def secret(self, namespace: str, key: str) -> str:
        return str(_found(self.secrets, key))

    def error_logs(self) -> list[dict[str, Json]]:
        return list(self.errors)

    def interrupt(self) -> None:
        """Nothing of this takes time."""


class LocalFiles(Files):
    """Internal storage in memory; `namespaces` maps a namespace to its files by path, with a leading `/`."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.namespaces: dict[str, dict[str, bytes]] = {}
        self.cached: dict[str, bytes] = {}

    def put(self, source: Path | BinaryIO, name: str) -> str:
        uri = f"kestra:///local/{len(self.stored)}/{name}"
        self.stored[uri] = source.read_bytes() if isinstance(source, Path) else source.read()
        return uri

    def _content(self, uri: str) -> bytes:
        folder, found, path = uri.removeprefix(SCHEME).partition("/_files/")
        content: bytes = _found(self.namespaces.get(folder.strip("/").replace("/", "."), {}), "/" + path) if found else _found(self.stored, uri)
        return content

    def fetch(self, uri: str, to: Path) -> None:
        _write(self._content(uri), to)

    def open(self, uri: str) -> BinaryIO:
        return io.BytesIO(self._content(uri))

    def size(self, uri: str) -> int:
        return len(self._content(uri))

    def fetch_cache(self, name: str, to: Path, ttl: timedelta | None) -> None:
        _write(_found(self.cached, name), to)

    def put_cache(self, name: str, source: Path) -> None:
        self.cached[name] = source.read_bytes()

    def namespace_files(self, namespace: str) -> Sequence[str]:
        return sorted(self.namespaces.get(namespace, {}))

    def fetch_namespace_file(self, namespace: str, path: str, to: Path) -> None:
        _write(_found(self.namespaces.get(namespace, {}), path), to)

    def delete(self, uri: str) -> bool:
        return self.stored.pop(uri, None) is not None

    def purge(self) -> Sequence[str]:
        gone = list(self.stored)
        self.stored.clear()
        return gone

    def put_namespace_file(self, namespace: str, path: str, source: Path) -> None:
        self.namespaces.setdefault(namespace, {})[path] = source.read_bytes()

    def delete_namespace_file(self, namespace: str, path: str) -> bool:
        files = self.namespaces.get(namespace, {})
        gone = [one for one in files if one == path or one.startswith(path.rstrip("/") + "/")]
        for one in gone:
            del files[one]
        return bool(gone)


class NoRecords(Records):
    """Remembers no execution: without a server there is only the one that runs."""

    def logs(self, execution_id: str, *, min_level: Level, task_ids: Sequence[str] = ()) -> Iterator[Mapping[str, Json]]:
        return iter(())

    def outputs_of_called(self, task_id: str) -> Iterator[Mapping[str, Json]]:
        return iter(())

    def count(self, namespace: str, flow_id: str | None = None, *, states: Sequence[str] = (), start: str | None = None, end: str | None = None) -> int:
        return 0

    def resume(self, execution_id: str, inputs: Mapping[str, Json]) -> None:
        raise NotFound(f"there is no execution {execution_id}")

    def purge_executions(self, which: Mapping[str, Json], what: Mapping[str, bool]) -> Mapping[str, int]:
        return {"executions": 0, "logs": 0, "metrics": 0, "storages": 0}

    def purge_logs(self, which: Mapping[str, Json]) -> Mapping[str, int]:
        return {"executions": 0, "others": 0}


class LocalKeys(Keys):
    """A key-value store in memory; nothing in it expires."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Json] = {}

    def get(self, namespace: str, key: str) -> Json:
        return _found(self.values, (namespace, key))

    def put(self, namespace: str, key: str, value: Json, ttl: timedelta | None = None, *, description: str | None = None, overwrite: bool = True) -> None:
        if not overwrite and (namespace, key) in self.values:
            raise Conflict(f"there is a key {key} in {namespace}")
        self.values[namespace, key] = value

    def delete(self, namespace: str, key: str) -> bool:
        return self.values.pop((namespace, key), self) is not self

    def names(self, namespace: str) -> Sequence[str]:
        return sorted(key for space, key in self.values if space == namespace)


def _found(held: Mapping[Any, Any], key: Any) -> Any:
    try:
        return held[key]
    except KeyError as err:
        raise NotFound(f"there is no {key}") from err


def _write(content: bytes, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(content)


class LocalTriggers(Triggers):
    """Triggers by name, and whether each is enabled."""

    def __init__(self) -> None:
        self.enabled: dict[tuple[str, str, str], bool] = {}

    def switch(self, namespace: str, flow_id: str, trigger_id: str, *, enabled: bool) -> None:
        _found(self.enabled, (namespace, flow_id, trigger_id))
        self.enabled[namespace, flow_id, trigger_id] = enabled
