"""What one turn of the executor costs in the store: `python benchmarks/store_commit.py [URL]` (default: a new SQLite file).

Prints CPU and wall time of a small turn (one execution, one task run, one command, two log lines), of large turns by
their number of task runs, and of reading an execution's JSON.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from orchestrator.model.execution import Execution, Phase, PhaseName, Placement, TaskRun
from orchestrator.model.log import Level, LogLine
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Label
from orchestrator.store.opening import open_store
from orchestrator.store.port import Changes, Command, StateStore

NOW = datetime.now(UTC)
WHERE = {"namespace": "company.team", "flow_id": "bench"}


def execution(id: str, version: int) -> Execution:
    state = Lifecycle.begin(NOW).to(State.RUNNING, NOW)
    return Execution(id=id, flow_revision=1, state=state, version=version, labels=(Label(key="system.correlationId", value=id),), **WHERE)


def task_run(id: str, execution_id: str, seq: int) -> TaskRun:
    phases = (Phase(name=PhaseName.QUEUED, at=NOW), Phase(name=PhaseName.PLACED, at=NOW))
    return TaskRun(id=id, execution_id=execution_id, task_id="work", seq=seq, state=Lifecycle.begin(NOW), placement=Placement(), phases=phases, **WHERE)


def small_turn(id: str, number: int) -> Changes:
    run = f"{id}-{number}"
    lines = [LogLine(execution_id=id, task_run_id=run, timestamp=NOW, level=Level.INFO, message="hello", offset=n, **WHERE) for n in range(2)]
    command = Command(id=f"run:{run}:1", execution_id=id, kind="run", target="worker", body={"a": 1}, created=NOW)
    return Changes(executions=[execution(id, number)], task_runs=[task_run(run, id, number)], commands=[command], logs=lines)


def timed(label: str, each: int, work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.thread_time()
    work()
    print(f"{label:<44} {(time.thread_time() - cpu) / each * 1e3:8.3f} ms CPU {(time.perf_counter() - wall) / each * 1e3:8.3f} ms wall")


def commit_all(store: StateStore, turns: Sequence[Changes]) -> None:
    for turn in turns:
        store.commit(turn)


def main(url: str) -> None:
    store = open_store(url, migrate=True)
    store.take_ownership("benchmark", NOW)
    id, count = uuid4().hex[:12], 1000
    turns = [small_turn(id, number + 1) for number in range(count)]
    timed("small turn", count, lambda: commit_all(store, turns))
    for size in (100, 1000, 10_000):
        big = uuid4().hex[:12]
        turn = Changes(executions=[execution(big, 1)], task_runs=[task_run(f"{big}-{n}", big, n) for n in range(size)])
        timed(f"turn of {size} task runs, per task run", size, lambda turn=turn: store.commit(turn))  # type: ignore[misc]
        timed(f"JSON of an execution of {size} task runs", 1, lambda big=big: store.execution_json(big))  # type: ignore[misc]
    store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/orchestrator.db")
