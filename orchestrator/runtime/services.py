"""What one run may read and keep outside its worker: outputs of others, secrets, keys, files. `local_services` is the small peer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from orchestrator.model import internal_paths as paths
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.file_uri import SCHEME
from orchestrator.model.values import Json
from orchestrator.runtime.api_client import CHUNK, ApiClient, Body, Query
from orchestrator.runtime.interrupt import Interrupt
from orchestrator.sdk import Files, Keys, Level, Records, Triggers


class Services(Protocol):
    """One execution's way out. Calls block; all raise NotFound, NotAllowed, Refused, or Unavailable after a minute of trying."""

    files: Files
    keys: Keys
    records: Records
    triggers: Triggers

    def outputs(self, task_id: str) -> Mapping[str, Json]:
        """All outputs of a task as templates see them: under a loop a tree by the values of its iterations."""

    def open_sealed(self, sealed: Sequence[Json]) -> Sequence[str]:
        """The texts of sealed values, in their order."""

    def seal(self, text: str) -> Json:
        """The text encrypted. Raises BadSettings when the installation has no key."""

    def secret(self, namespace: str, key: str) -> str: ...

    def error_logs(self) -> list[dict[str, Json]]:
        """The execution's ERROR lines, oldest first."""

    def interrupt(self) -> None:
        """Break off every call that is under way; none begins after. From any thread."""


ServicesFactory = Callable[[Dispatch], Services]


class HttpServices:
    """Services over the API, opened by the run-scoped token of a dispatch."""

    def __init__(self, client: ApiClient, dispatch: Dispatch) -> None:
        self._ask = Asked(client, dispatch)
        self.files: Files = HttpFiles(self._ask, dispatch)
        self.keys: Keys = HttpKeys(self._ask)
        self.records: Records = HttpRecords(self._ask, dispatch.task_run_id)
        self.triggers: Triggers = HttpTriggers(self._ask)

    def outputs(self, task_id: str) -> Mapping[str, Json]:
        found: Mapping[str, Json] = self._ask.json("GET", self._ask.at(paths.OUTPUTS, task_id=task_id))
        return found

    def open_sealed(self, sealed: Sequence[Json]) -> Sequence[str]:
        values: list[str] = self._ask.json("POST", self._ask.at(paths.OPEN), {"sealed": list(sealed)})["values"]
        return values

    def seal(self, text: str) -> Json:
        return self._ask.json("POST", self._ask.at(paths.SEAL), {"text": text})["sealed"]

    def secret(self, namespace: str, key: str) -> str:
        return str(self._ask.json("GET", self._ask.at(paths.SECRET), query={"key": key, "namespace": namespace})["value"])

    def error_logs(self) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = self._ask.json("GET", self._ask.at(paths.ERROR_LOGS))
        return found

    def interrupt(self) -> None:
        self._ask.interrupt.set()


class Asked:
    """Requests about one execution, with its token."""

    def __init__(self, client: ApiClient, dispatch: Dispatch) -> None:
        self._client, self._token, self._execution_id = client, dispatch.api_token, dispatch.execution_id
        self.interrupt = Interrupt()

    def at(self, template: str, **parts: str) -> str:
        return paths.at(template, execution_id=self._execution_id, **parts)

    def ask(self, method: str, path: str, query: Query | None = None, body: Body = None) -> BinaryIO:
        return self._client.ask(method, path, self._token, query=query, body=body, interrupt=self.interrupt)

    def json(self, method: str, path: str, body: Json = None, query: Query | None = None) -> Json:
        content = None if body is None else json.dumps(body).encode()
        with self.ask(method, path, query, content) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def content(self, path: str, query: Query) -> BinaryIO:
        return self.ask("GET", path, query)

    def copy(self, path: str, query: Mapping[str, str], to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        self._client.copy(path, self._token, query, to, interrupt=self.interrupt)


class HttpFiles(Files):
    """Internal storage and namespace files behind the API."""

    def __init__(self, ask: Asked, dispatch: Dispatch) -> None:
        self._ask = ask
        self._about = {"task": dispatch.task_id, "taskRun": dispatch.task_run_id}

    def put(self, source: Path | BinaryIO, name: str) -> str:
        path = self._ask.at(paths.FILES)
        with self._ask.ask("PUT", path, {"name": name, **self._about}, source) as answer:
            return str(json.loads(answer.read())["uri"])

    def _place(self, uri: str) -> tuple[str, Mapping[str, str]]:
        """The path and query that give a file's bytes: of an execution, or of a namespace (`kestra:///a/b/_files/x`)."""
        folder, found, path = uri.removeprefix(SCHEME).partition("/_files/")
        if found and uri.startswith(SCHEME) and "/executions/" not in folder:
            return self._ask.at(paths.NAMESPACE_FILE, namespace=folder.strip("/").replace("/", ".")), {"path": "/" + path}
        return self._ask.at(paths.FILES), {"uri": uri}

    def fetch(self, uri: str, to: Path) -> None:
        self._ask.copy(*self._place(uri), to)

    def open(self, uri: str) -> BinaryIO:
        return self._ask.content(*self._place(uri))

    def size(self, uri: str) -> int:
        path, query = self._place(uri)
        if "uri" in query:
            return int(self._ask.json("GET", self._ask.at(paths.FILE_SIZE), query=query)["size"])
        with self._ask.content(path, query) as file:
            return sum(len(chunk) for chunk in iter(lambda: file.read(CHUNK), b""))

    def fetch_cache(self, name: str, to: Path, ttl: timedelta | None) -> None:
        bound = {} if ttl is None else {"ttl": str(ttl.total_seconds())}
        self._ask.copy(self._ask.at(paths.CACHE), {"name": name, **bound}, to)

    def put_cache(self, name: str, source: Path) -> None:
        self._ask.ask("PUT", self._ask.at(paths.CACHE), {"name": name}, source).close()

    def namespace_files(self, namespace: str) -> Sequence[str]:
        found: list[str] = self._ask.json("GET", self._ask.at(paths.NAMESPACE_FILES, namespace=namespace))
        return found

    def fetch_namespace_file(self, namespace: str, path: str, to: Path) -> None:
        self._ask.copy(self._ask.at(paths.NAMESPACE_FILE, namespace=namespace), {"path": path}, to)

    def delete(self, uri: str) -> bool:
        return bool(self._ask.json("DELETE", self._ask.at(paths.FILES), query={"uri": uri})["deleted"])

    def purge(self) -> Sequence[str]:
        uris: list[str] = self._ask.json("POST", self._ask.at(paths.FILES_PURGE))["uris"]
        return uris

    def put_namespace_file(self, namespace: str, path: str, source: Path) -> None:
        place = self._ask.at(paths.NAMESPACE_FILE, namespace=namespace)
        self._ask.ask("PUT", place, {"path": path}, source).close()

    def delete_namespace_file(self, namespace: str, path: str) -> bool:
        return bool(self._ask.json("DELETE", self._ask.at(paths.NAMESPACE_FILE, namespace=namespace), query={"path": path})["deleted"])


class HttpKeys(Keys):
    """The key-value store behind the API."""

    def __init__(self, ask: Asked) -> None:
        self._ask = ask

    def _at(self, namespace: str, key: str) -> str:
        return self._ask.at(paths.KEY, namespace=namespace, key=key)

    def get(self, namespace: str, key: str) -> Json:
        return self._ask.json("GET", self._at(namespace, key))["value"]

    def put(self, namespace: str, key: str, value: Json, ttl: timedelta | None = None, *, description: str | None = None, overwrite: bool = True) -> None:
        body = {"value": value, "ttl": ttl.total_seconds() if ttl is not None else None}
        more = {**({"description": description} if description is not None else {}), **({} if overwrite else {"overwrite": False})}
        self._ask.json("PUT", self._at(namespace, key), {**body, **more})

    def delete(self, namespace: str, key: str) -> bool:
        return bool(self._ask.json("DELETE", self._at(namespace, key))["deleted"])

    def names(self, namespace: str) -> Sequence[str]:
        found: list[str] = self._ask.json("GET", self._ask.at(paths.KEYS, namespace=namespace))
        return found


class HttpRecords(Records):
    """Logs, outputs and numbers of executions behind the API."""

    def __init__(self, ask: Asked, task_run_id: str) -> None:
        self._ask, self._task_run_id = ask, task_run_id

    def outputs_of_called(self, task_id: str) -> Iterator[Mapping[str, Json]]:
        query = {"taskRun": self._task_run_id, "task": task_id}
        with self._ask.content(self._ask.at(paths.CALLED), query) as answer:
            for line in io.BufferedReader(answer):  # type: ignore[type-var]  # a raw stream, whatever its class
                yield json.loads(line)

    def logs(self, execution_id: str, *, min_level: Level, task_ids: Sequence[str] = ()) -> Iterator[Mapping[str, Json]]:
        query = [("execution", execution_id), ("minLevel", min_level.value), *(("task", task) for task in task_ids)]
        with self._ask.content(self._ask.at(paths.LOGS), query) as answer:
            for line in io.BufferedReader(answer):  # type: ignore[type-var]  # a raw stream, whatever its class
                yield json.loads(line)

    def count(self, namespace: str, flow_id: str | None = None, *, states: Sequence[str] = (), start: str | None = None, end: str | None = None) -> int:
        bounds = {"flowId": flow_id, "startDate": start, "endDate": end}
        query = [("namespace", namespace), *((name, value) for name, value in bounds.items() if value), *(("state", state) for state in states)]
        return int(self._ask.json("GET", self._ask.at(paths.COUNT), query=query)["count"])

    def resume(self, execution_id: str, inputs: Mapping[str, Json]) -> None:
        self._ask.json("POST", self._ask.at(paths.RESUME, other_id=execution_id), {"inputs": dict(inputs)})

    def purge_executions(self, which: Mapping[str, Json], what: Mapping[str, bool]) -> Mapping[str, int]:
        found: dict[str, int] = self._ask.json("POST", self._ask.at(paths.PURGE_EXECUTIONS), {"which": dict(which), "what": dict(what)})
        return found

    def purge_logs(self, which: Mapping[str, Json]) -> Mapping[str, int]:
        found: dict[str, int] = self._ask.json("POST", self._ask.at(paths.PURGE_LOGS), {"which": dict(which)})
        return found


class HttpTriggers(Triggers):
    """The triggers of flows behind the API."""

    def __init__(self, ask: Asked) -> None:
        self._ask = ask

    def switch(self, namespace: str, flow_id: str, trigger_id: str, *, enabled: bool) -> None:
        self._ask.json("PUT", self._ask.at(paths.TRIGGER, namespace=namespace, flow_id=flow_id, trigger_id=trigger_id), {"disabled": not enabled})
