"""The outputs that a task gave before with the same properties, in place of another run of it (`taskCache`).

They are kept with the flow, under the task's id and a hash of its properties as they render, so that what they refer to
(inputs, variables, the value of a loop) is in it. Files among them are kept too: an execution may read its own files only,
so whoever takes the outputs gets files of its own.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import ExpressionFailed, NotFound, OrchestratorError
from orchestrator.model.file_uri import SCHEME
from orchestrator.model.values import Json
from orchestrator.runtime.context import Context
from orchestrator.sdk import CachedFor

OUTPUTS = "outputs.json"
_PLACES = {"workingDir": "", "outputDir": "", "bucketPath": ""}  # where a run happens to be is no property of the task


class TaskCache:
    """The kept outputs of one run's task."""

    def __init__(self, ctx: Context, spec: Mapping[str, Json], wanted: CachedFor) -> None:
        self._ctx, self._ttl = ctx, wanted.ttl
        self._name = _name(ctx, spec)

    def outputs(self) -> dict[str, Json] | None:
        """What was kept, its files put among this execution's own; None when nothing is, or it cannot be had."""
        if self._name is None:
            return None
        with self._between() as folder:
            try:
                self._ctx.files.fetch_cache(self._name, Path(folder, "kept"), self._ttl)
                found = self._unpacked(Path(folder))
            except NotFound:
                return None
            except (OrchestratorError, OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as err:
                self._ctx.logger.warn(f"The task's cache cannot be read, so it runs: {err}")
                return None
        self._ctx.logger.info("The task's outputs are taken from its cache")
        return found

    def _between(self) -> tempfile.TemporaryDirectory[str]:
        """A folder within the working directory, which goes with the run whatever becomes of the worker."""
        return tempfile.TemporaryDirectory(dir=self._ctx.working_dir(), prefix=".between-")

    def _unpacked(self, folder: Path) -> dict[str, Json]:
        with tarfile.open(folder / "kept") as kept:
            kept.extractall(folder / "unpacked", filter="data")
        told = json.loads((folder / "unpacked" / OUTPUTS).read_text())
        if any(Path(name).name != name for name in told["files"]):  # another run of the flow wrote it: it must not name files of this machine
            raise ValueError("it names files outside itself")
        own = {uri: self._ctx.files.put(folder / "unpacked" / name, uri.rpartition("/")[2]) for name, uri in told["files"].items()}
        outputs: dict[str, Json] = _replaced(told["outputs"], lambda text: own.get(text, text))
        return outputs

    def keep(self, outputs: Mapping[str, Json]) -> None:
        """Keep outputs for executions to come. What cannot be kept is told in the log: the run has ended well all the same."""
        if self._name is None:
            return
        with self._between() as folder:
            try:
                self._pack(Path(folder), outputs)
                self._ctx.files.put_cache(self._name, Path(folder, "kept"))
            except (OrchestratorError, OSError) as err:
                self._ctx.logger.warn(f"The task's outputs cannot be kept in its cache: {err}")

    def _pack(self, folder: Path, outputs: Mapping[str, Json]) -> None:
        files: dict[str, str] = {}
        with tarfile.open(folder / "kept", "w:gz") as kept:
            for number, uri in enumerate(dict.fromkeys(_uris(outputs))):
                name = f"file-{number}"
                try:
                    self._ctx.files.fetch(uri, folder / name)
                except NotFound:
                    continue
                kept.add(folder / name, name)
                files[name] = uri
            (folder / OUTPUTS).write_text(json.dumps({"outputs": outputs, "files": files}))
            kept.add(folder / OUTPUTS, OUTPUTS)


def _name(ctx: Context, spec: Mapping[str, Json]) -> str | None:
    """None where a property cannot be rendered: the run itself says why."""
    try:
        rendered = ctx.with_variables(_PLACES).render({name: value for name, value in spec.items() if name != "taskCache"})
    except ExpressionFailed:
        return None
    text = json.dumps([rendered, ctx.info.value], sort_keys=True, default=str)
    return f"{ctx.info.task_id}/{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _uris(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith(SCHEME):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _uris(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _uris(one)


def _replaced(value: Any, by: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return by(value)
    if isinstance(value, Mapping):
        return {name: _replaced(one, by) for name, one in value.items()}
    return [_replaced(one, by) for one in value] if isinstance(value, list) else value
