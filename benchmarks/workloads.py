"""The workloads on a server: their flows, and how each is measured. Units are in the names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.rest import Api, Json, moment

RETURN = "type: io.kestra.plugin.core.debug.Return"
PROCESS = "taskRunner: {type: io.kestra.plugin.core.runner.Process}"
NAMESPACE = "benchmarks"
COUNT = 40  # tasks of W1, W2, W7, W8
CALLERS = 8  # of W4
EXECUTIONS = 200  # of W4
REPEATS = 30  # of W5 and W9

Figures = list[float]  # one for each thing measured: a whole run, or each of its calls


@dataclass(frozen=True)
class Workload:
    """What is measured: in which unit, whether less is better, and the mark to reach."""

    about: str
    unit: str
    mark: float
    less_is_better: bool = True

    def ratio(self, server: float, bare: float) -> float:
        """How many times dearer than bare Ray it is, whichever way the unit points."""
        return server / bare if self.less_is_better else bare / server


WORKLOADS: Mapping[str, Workload] = {
    "W1": Workload(f"{COUNT} tasks in sequence", "s", 0.6),
    "W2": Workload(f"{COUNT} tasks in parallel", "s", 0.5),
    "W4": Workload(f"{EXECUTIONS} one-task executions by {CALLERS} callers", "per s", 150, less_is_better=False),
    "W5": Workload("POST sent to the task's code, p50", "ms", 15),
    "W6": Workload("ForEach, items", "per s", 170, less_is_better=False),
    "W7": Workload(f"{COUNT} python scripts in sequence", "s", 3),
    "W8": Workload(f"{COUNT} shell commands in sequence", "s", 0.8),
    "W9": Workload("one task, POST wait=true to answer, p50", "ms", 25),
}


def sources(items: int) -> list[str]:
    """The flows, as YAML."""
    values = json.dumps([str(number) for number in range(items)])
    return [
        _flow("w1", _repeated(f"  - {{id: t@, {RETURN}, format: v@}}\n")),
        _flow("w2", "  - id: all\n    type: io.kestra.plugin.core.flow.Parallel\n    tasks:\n" + _repeated(f"      - {{id: t@, {RETURN}, format: v@}}\n")),
        _flow("one", f"  - {{id: t, {RETURN}, format: v}}\n"),
        _flow("w5", f"  - {{id: t, {RETURN}, format: '{{{{ now() }}}}'}}\n"),
        _flow("w6", f"  - id: each\n    {_FOR_EACH}\n    values: '{values}'\n    tasks:\n      - {{id: t, {RETURN}, format: '{{{{ taskrun.value }}}}'}}\n"),
        _flow("w7", _repeated(f"  - {{id: t@, type: io.kestra.plugin.scripts.python.Script, {PROCESS}, script: print(@)}}\n")),
        _flow("w8", _repeated(f"  - {{id: t@, type: io.kestra.plugin.scripts.shell.Commands, {PROCESS}, commands: [echo @]}}\n")),
    ]


_FOR_EACH = "type: io.kestra.plugin.core.flow.ForEach\n    concurrencyLimit: 0"


def _flow(id: str, tasks: str) -> str:
    return f"id: {id}\nnamespace: {NAMESPACE}\ntasks:\n{tasks}"


def _repeated(task: str) -> str:
    return "".join(task.replace("@", str(number)) for number in range(COUNT))


def measure(api: Api, workload: str, items: int) -> Figures:
    """Run a workload once. Raises AssertionError when an execution did not end well."""
    whole: Mapping[str, Callable[[], float]] = {
        "W1": lambda: _whole(api, "w1", COUNT),
        "W2": lambda: _whole(api, "w2", COUNT + 1),
        "W4": lambda: _many(api),
        "W6": lambda: items / _whole(api, "w6", items + 1, every=0.2),
        "W7": lambda: _whole(api, "w7", COUNT),
        "W8": lambda: _whole(api, "w8", COUNT),
    }
    if workload in whole:
        return [whole[workload]()]
    return [_until_code(api) if workload == "W5" else _until_answer(api) for _ in range(REPEATS)]


def _whole(api: Api, flow: str, runs: int, every: float = 0.01) -> float:
    """Seconds from asking to the end that the server recorded."""
    asked = time.time()
    ended = api.until_ended(api.execute(NAMESPACE, flow, wait=False)["id"], every=every)
    _well(ended)
    assert len(ended["taskRunList"]) == runs, f"{len(ended['taskRunList'])} task runs, {runs} expected"
    return moment(ended["state"]["endDate"]) - asked


def _many(api: Api) -> float:
    """Executions per second."""
    asked = time.time()
    with ThreadPoolExecutor(CALLERS) as pool:
        started = list(pool.map(lambda _: api.execute(NAMESPACE, "one", wait=False), range(EXECUTIONS)))
        ended = list(pool.map(lambda execution: api.until_ended(execution["id"], every=0.2), started))
    for execution in ended:
        _well(execution)
    return EXECUTIONS / (max(moment(execution["state"]["endDate"]) for execution in ended) - asked)


def _until_code(api: Api) -> float:
    """Milliseconds until the task's own code ran: it tells the time, by the same clock."""
    asked = time.time()
    ended = api.until_ended(api.execute(NAMESPACE, "w5", wait=False)["id"], every=0.02)
    _well(ended)
    return (moment(ended["taskRunList"][0]["outputs"]["value"]) - asked) * 1000


def _until_answer(api: Api) -> float:
    asked = time.perf_counter()
    _well(api.execute(NAMESPACE, "one", wait=True))
    return (time.perf_counter() - asked) * 1000


def _well(execution: Json) -> None:
    assert execution["state"]["current"] == "SUCCESS", f"{execution['id']} ended {execution['state']['current']}"
