"""Services whose files and records are those of the house's own store, as the API's are of the server's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestrator.model.dispatch import Dispatch
from orchestrator.model.file_uri import FileUri, task_path
from orchestrator.model.values import Json
from orchestrator.runtime.local_services import LocalFiles, LocalServices, NoRecords
from orchestrator.store.blobs import Blobs

if TYPE_CHECKING:
    from tests.unit.runtime.executor_house import House


class HouseServices(LocalServices):
    """Of one dispatch."""

    def __init__(self, own: House, dispatch: Dispatch) -> None:
        super().__init__()
        self.files = HouseFiles(own, dispatch)
        self.records = HouseRecords(own, dispatch)


class Asking:
    """Asks the executor from a worker's thread."""

    def __init__(self, own: House, dispatch: Dispatch) -> None:
        self.own, self.dispatch = own, dispatch

    def ask(self, method: str, **request: Any) -> Any:
        answer = asyncio.run_coroutine_threadsafe(self.own.call(method, **request), self.own.loop).result(10)
        assert not (isinstance(answer, Mapping) and "error" in answer), answer
        return answer


class HouseFiles(Asking, LocalFiles):
    """Internal storage in the house's folder."""

    _count = 0

    def __init__(self, own: House, dispatch: Dispatch) -> None:
        LocalFiles.__init__(self)
        Asking.__init__(self, own, dispatch)
        self._blobs = Blobs(own.parts.executor.settings.data_dir / "storage")

    def put(self, source: Path | BinaryIO, name: str) -> str:
        with self._blobs.draft() as draft:
            draft.write(source.read_bytes() if isinstance(source, Path) else source.read())
            blob, size = draft.keep()
        HouseFiles._count += 1
        of = self.dispatch
        path = task_path(of.task_id, of.task_run_id, f"{HouseFiles._count}-{name}")
        self.ask("put_file", kind="execution", owner=of.execution_id, path=path, size=size, blob=blob)
        return str(FileUri(namespace=of.namespace, flow_id=of.flow_id, execution_id=of.execution_id, path=path))

    def open(self, uri: str) -> BinaryIO:
        parsed = FileUri.parse(uri)
        found = self.own.parts.executor.store.file("execution", parsed.execution_id, parsed.path)
        assert found is not None, uri
        return self._blobs.open(found.blob)

    def _content(self, uri: str) -> bytes:
        with self.open(uri) as file:
            return file.read()


class HouseRecords(Asking, NoRecords):
    """The outputs of executions, from the house's store."""

    def outputs_of_called(self, task_id: str) -> Iterator[Mapping[str, Json]]:
        about = {"task_run_id": self.dispatch.task_run_id, "task_id": task_id}
        for ids in self.ask("act", execution_id=self.dispatch.execution_id, verb="called-beside", args=about):
            found = next((one for name in ids if (one := self.own.parts.executor.store.execution(name)) is not None), None)
            if found is not None and found.outputs:
                yield json.loads(json.dumps(found.outputs))
