"""A loop over the items of a file that starts an execution for each batch of them."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from orchestrator.sdk import Dynamic, Flowable, Json, Plan, PluginModel, RunContext, Task, TaskFailed, Tasks, TaskSpec, Text
from orchestrator_plugins.core.rows import checked, folder_of, name_of, rows
from orchestrator_plugins.core.split import parts_of
from orchestrator_plugins.core.subflow import FlowCall, FlowProperties
from orchestrator_plugins.core.written import STORED

AT_ONCE = 8  # files on their way to the internal storage
_OWN = "io.kestra.plugin.core.flow.ForEachItem$ForEachItem"  # how the types of its three steps begin
_CALL = ("namespace", "flowId", "revision", "inputs", "labels", "inheritLabels", "scheduleDate", "wait", "transmitFailed", "restartBehavior")
_SHARED = ("workerGroup", "workerSelector", "placement", "logLevel")


class Batch(PluginModel):
    """How many items go together: so many rows (one by default), about so many bytes, or so many parts of all."""

    rows: Dynamic[int] = Field(1, description="How many rows a batch holds.")
    bytes_: Dynamic[Text] | None = Field(None, alias="bytes", description="How many bytes a batch holds before the next begins, such as `10MB`.")
    partitions: Dynamic[int] | None = Field(None, description="How many batches to make.")
    separator: Dynamic[Text] = Field("\n", description="What ends a row.")


class ForEachItem(FlowProperties, Flowable):
    """Start an execution for each batch of the rows of a file.

    It runs three tasks of its own, named after it: `<id>_split` cuts the file, `<id>_items` starts the executions (its outputs
    count them by state), `<id>_merge` puts what they gave as outputs into one file, the output `subflowOutputs`.
    """

    items: Text = Field(description="The URI of the file.", examples=["{{ inputs.file }}", "{{ outputs.extract.uri }}"])
    batch: Batch = Field(Batch(), description="How many items go together.")

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self._steps)

    def branches(self) -> Mapping[str, Tasks]:
        return {}

    @cached_property
    def _steps(self) -> Tasks:
        written = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        shared = {name: written[name] for name in _SHARED if name in written}
        split, called = f"{self.id}_split", f"{self.id}_items"
        steps: list[dict[str, Any]] = [
            {"id": split, "type": f"{_OWN}Split", "items": self.items, "batch": written.get("batch", {})},
            {"id": called, "type": f"{_OWN}Executable", "splitBy": split} | {name: written[name] for name in _CALL if name in written},
            {"id": f"{self.id}_merge", "type": f"{_OWN}MergeOutputs", "calledBy": called},
        ]
        return tuple(TaskSpec.model_validate({**step, **shared}) for step in steps)


class Split(Task):
    """Cut the file into one for each batch; the output `splits` lists their URIs."""

    items: Dynamic[Text]
    batch: Batch = Batch()

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        uri, after = ctx.render(self.items).strip(), ctx.render(self.batch.separator).encode()
        if not uri.startswith(STORED):
            raise TaskFailed(f"`items` must be the URI of a file of the internal storage, and is: {uri[:200]}")
        with folder_of(ctx) as folder, ctx.files.open(uri) as file:
            found = checked(ctx, (row + after for row in rows(file, after)))
            batch = self.batch
            parts = parts_of(found, folder, limit=ctx.render(batch.bytes_), count=ctx.render(batch.rows), partitions=ctx.render(batch.partitions))
            listed = folder / "splits"
            with listed.open("w") as out:
                out.writelines(f"{kept}\n" for kept in _kept(ctx, parts, folder, name_of(uri)))
            return {"splits": ctx.files.put(listed, "splits.txt")}


def _kept(ctx: RunContext, parts: Iterable[Path], folder: Path, name: str) -> Iterator[str]:
    """The URIs of the parts, in their order, a few of them being stored at a time."""
    under_way: deque[Future[str]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="store") as pool:
        for number, part in enumerate(parts):
            aside = folder / f"kept-{number}"
            shutil.move(part, aside)
            under_way.append(pool.submit(_put, ctx, aside, name))
            if len(under_way) >= 2 * AT_ONCE:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _put(ctx: RunContext, path: Path, name: str) -> str:
    try:
        return ctx.files.put(path, name)
    finally:
        path.unlink()


class Executable(FlowCall):
    """Start an execution for each batch. The outputs are `numberOfBatches` and `iterations`, which counts them by their states."""

    split_by: str

    def items_from(self) -> tuple[str, str]:
        return self.split_by, "splits"


class MergeOutputs(Task):
    """Put the outputs of the executions into one file, one row of JSON each, in the order of the batches."""

    called_by: str

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        with folder_of(ctx) as folder:
            path = folder / "outputs"
            with path.open("w") as out:
                for outputs in ctx.records.outputs_of_called(self.called_by):
                    out.write(json.dumps(outputs, ensure_ascii=False, separators=(",", ":")) + "\n")
            return {"subflowOutputs": ctx.files.put(path, "outputs.ion")} if path.stat().st_size else {}
