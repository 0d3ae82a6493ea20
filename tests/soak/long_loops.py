"""Loops of many thousand items on a real server: their time, item by item, and the executor's memory. Part of `make soak`, or

    python -m tests.soak.long_loops [--items 10000] [--record]

A ForEach with an If and two tasks per item is run with a quarter of the items, half of them, and all; then a ForEachItem with a
subflow for each. Its cost must stay linear, and the executor below 600 MB.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import psutil

from benchmarks.memory import pss_mib
from orchestrator.runtime import ray_processes
from tests.integration.local_server import ENDED, LocalServer, local_server
from tests.soak.recording import parser, record

MOST_MIB = 600
MOST_GROWTH = 1.25  # the time of one item in the longest loop, times that in the shortest
HEAD = ("| loop | items | s | ms per item | executor's peak, MiB |", "| --- | ---: | ---: | ---: | ---: |")
CORE = "io.kestra.plugin.core"
FOR_EACH = f"""
id: loop
namespace: soak
inputs: [{{id: items, type: INT}}]
tasks:
  - id: each
    type: {CORE}.flow.ForEach
    values: "{{{{ range(1, inputs.items) }}}}"
    concurrencyLimit: 16
    tasks:
      - id: made
        type: {CORE}.debug.Return
        format: "{{{{ taskrun.value }}}}"
      - id: whether
        type: {CORE}.flow.If
        condition: "{{{{ taskrun.iteration % 2 == 0 }}}}"
        then:
          - {{id: even, type: {CORE}.debug.Return, format: even}}
        else:
          - {{id: odd, type: {CORE}.debug.Return, format: odd}}
"""
CALLED = f"""
id: called
namespace: soak
inputs: [{{id: rows, type: STRING}}]
tasks:
  - {{id: see, type: {CORE}.debug.Return, format: "{{{{ inputs.rows }}}}"}}
"""
FOR_EACH_ITEM = f"""
id: batches
namespace: soak
inputs: [{{id: items, type: INT}}]
tasks:
  - id: file
    type: {CORE}.storage.LocalFiles
    inputs: {{rows.txt: "{{{{ range(1, inputs.items) | join('\\n') }}}}\\n"}}
    outputs: [rows.txt]
  - id: each
    type: {CORE}.flow.ForEachItem
    items: "{{{{ outputs.file.uris['rows.txt'] }}}}"
    batch: {{rows: 1}}
    namespace: soak
    flowId: called
    inputs: {{rows: "{{{{ taskrun.items }}}}"}}
    wait: true
"""


@dataclass(frozen=True)
class Found:
    loop: str
    items: int
    seconds: float
    peak: float  # MiB

    @property
    def per_item(self) -> float:
        return 1000 * self.seconds / self.items

    def row(self) -> str:
        return f"| {self.loop} | {self.items} | {self.seconds:.1f} | {self.per_item:.1f} | {self.peak:.0f} |"


def main() -> int:
    """1 when a loop failed, its cost grew faster than its length, or the executor's memory was over its bound."""
    found = parser(__doc__)
    found.add_argument("--items", type=int, default=10_000)
    options = found.parse_args()
    rows: list[Found] = []
    print(*HEAD, sep="\n", flush=True)
    for one in chain(_for_each(options.items), _for_each_item(options.items)):
        rows.append(one)
        print(one.row(), flush=True)
    if options.record:
        record("long loops", [*HEAD, *(one.row() for one in rows)])
    return int(not _keeps(rows))


def _for_each(items: int) -> Iterator[Found]:
    """On a server for each length: what one has used is not counted for the next."""
    for count in (items // 4, items // 2, items):
        with _server() as server:
            yield _run(server, server.flow(FOR_EACH), "ForEach, an If, two tasks", count)


def _for_each_item(items: int) -> Iterator[Found]:
    with _server() as server:
        server.flow(CALLED)
        yield _run(server, server.flow(FOR_EACH_ITEM), "ForEachItem, a subflow each", items)


@contextmanager
def _server() -> Iterator[LocalServer]:
    with tempfile.TemporaryDirectory(prefix="orch-loops-") as folder, local_server(Path(folder)) as server:
        yield server


def _run(server: LocalServer, flow: tuple[str, str], name: str, items: int) -> Found:
    begun, peak = time.monotonic(), 0.0
    execution_id = server.execute(flow, inputs={"items": str(items)})["id"]
    while (state := _state(server, flow[1], execution_id)) not in ENDED:
        peak = max(peak, _executor_mib(server))
        time.sleep(0.5)
    seconds = time.monotonic() - begun
    if state != "SUCCESS":
        raise AssertionError(f"{name} with {items} items ended {state}: {server.logs(execution_id)[-3:]}")
    return Found(name, items, seconds, max(peak, _executor_mib(server)))


def _state(server: LocalServer, flow_id: str, execution_id: str) -> str:
    """Of an execution, without its many task runs."""
    page = server.call("GET", f"/api/v1/executions/search?namespace=soak&flowId={flow_id}&size=10")
    return next(str(one["state"]["current"]) for one in page["results"] if one["id"] == execution_id)


def _executor_mib(server: LocalServer) -> float:
    mark = server.mark()
    for process in ray_processes.marked(mark) if mark is not None else ():
        try:
            if "ray::ExecutorActor" in " ".join(process.cmdline()):
                return pss_mib(Path("/proc", str(process.pid)))
        except (psutil.Error, OSError):
            continue
    return 0.0


def _keeps(rows: Sequence[Found]) -> bool:
    loops = [one.per_item for one in rows if one.loop.startswith("ForEach,")]
    return loops[-1] <= MOST_GROWTH * loops[0] and all(one.peak < MOST_MIB for one in rows)


if __name__ == "__main__":
    sys.exit(main())
