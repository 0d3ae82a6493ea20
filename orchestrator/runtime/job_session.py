"""`orchestrator run` as a job of a Ray cluster: the cluster's executor, found or started, spoken to by actor calls."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Coroutine, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from orchestrator import settings as configuration
from orchestrator.errors import BadSettings, Conflict, Refused
from orchestrator.model.session import ExecutionNews, FlowRef, LogNews, Start, Update
from orchestrator.runtime import ray_boot, standalone
from orchestrator.runtime.client import ExecutorClient
from orchestrator.runtime.ray_calls import EXECUTOR, call_executor
from orchestrator.runtime.requests import CreateExecution, ExecutionAction, LogsAfter, SaveFlow, Watch

STEP = 0.1  # seconds that `follow` waits before it lets its caller look round
NEWS = 0.3  # seconds that the executor keeps a question for news; log lines are asked for as often
_UNPACKED = "runtime_resources"  # the folder of a Ray session where jobs' working directories are unpacked
T = TypeVar("T")


class ClusterSession:
    """A Session over actor calls."""

    def __init__(self, client: ExecutorClient, where: str) -> None:
        self._client, self.where = client, where
        self._loop = asyncio.new_event_loop()

    def save_flow(self, source: str) -> FlowRef:
        saved = self._loop.run_until_complete(self._client.save_flow(SaveFlow(source=source, upsert=True)))
        return FlowRef(saved.flow.namespace, saved.flow.id, saved.flow.revision)

    def start(self, flow: FlowRef, given: Start) -> dict[str, Any]:
        if given.files:
            raise Refused("--input-file needs a server: in a Ray job put the file in the working directory and read it in the flow, or name a --server")
        request = CreateExecution(namespace=flow.namespace, flow_id=flow.id, inputs=dict(given.inputs), labels=given.labels)
        created: dict[str, Any] = json.loads(self._loop.run_until_complete(self._client.create_execution(request)))
        return created

    def follow(self, execution_id: str) -> Iterator[Update]:
        news, line, ended = -1, 0, False
        while not ended:
            watched = yield from self._patiently(self._client.watch(Watch(execution_id=execution_id, version=news, seconds=NEWS)))
            news, ended = watched["version"], watched["ended"]
            told = yield from self._patiently(self._client.logs_after(LogsAfter(execution_id=execution_id, after=line)))
            yield from (LogNews(entry) for _, entry in told)
            line = told[-1][0] if told else line
            yield ExecutionNews(watched["execution"]) if watched["execution"] is not None else None

    def _patiently(self, answer: Coroutine[Any, Any, T]) -> Generator[None, None, T]:
        """The answer; until it is there None is given every tenth of a second, for signals to be heard."""
        coming = self._loop.create_task(answer)
        while not coming.done():
            self._loop.run_until_complete(asyncio.wait({coming}, timeout=STEP))
            if not coming.done():
                yield None
        return coming.result()

    def kill(self, execution_id: str) -> None:
        self._loop.run_until_complete(self._client.act(ExecutionAction(execution_id=execution_id, verb="kill")))

    def close(self) -> None:
        self._loop.close()
        ray_boot.disconnect()


def open_session() -> ClusterSession:
    """The session of the cluster this job runs on; its executor is started first when there is none.

    Raises BadSettings when the store would lie in the job's own passing folder, Unavailable when no executor comes up.
    """
    environ = configuration.environ()
    address = environ.get("RAY_ADDRESS") or "auto"
    ray_boot.connect(address)
    if not ray_boot.is_there(EXECUTOR):
        try:
            _started(environ, address)
        except BaseException:
            ray_boot.disconnect()
            raise
    return ClusterSession(ExecutorClient(call_executor), address)


def _started(environ: Mapping[str, str], address: str) -> None:
    """Executor and API, from a process outside this job's runtime environment: they outlive the job and its working_dir.

    Of several jobs that come at once one starts them and the others wait for it.
    """
    check_lasting(environ, Path.cwd())
    print("orchestrator: this cluster has no executor yet: starting it", file=sys.stderr, flush=True)
    deadline = time.monotonic() + standalone.START_LIMIT
    while not ray_boot.is_there(EXECUTOR):
        try:
            standalone.start(environ, address)
        except Conflict:
            if time.monotonic() > deadline:
                raise
            time.sleep(STEP)


def check_lasting(environ: Mapping[str, str], cwd: Path) -> None:
    """Refuse a store that would go with the job or with Ray's session. `cwd` is the job's working directory. Raises BadSettings."""
    data = environ.get("ORCHESTRATOR_DATA")
    remedy = "set ORCHESTRATOR_DATA to an absolute folder outside of Ray's, in the environment of the cluster or (--runtime-env-json) of the job"
    if not data:
        raise BadSettings(f"this cluster has no executor yet, and to start one it needs a lasting place for its store: {remedy}")
    if not Path(data).is_absolute():
        raise BadSettings(f"ORCHESTRATOR_DATA is `{data}`, which would lie in the passing folder of this job: {remedy}")
    if _UNPACKED in cwd.parts:
        session = Path(*cwd.parts[: cwd.parts.index(_UNPACKED)]).resolve()
        if Path(data).resolve().is_relative_to(session):
            raise BadSettings(f"ORCHESTRATOR_DATA is `{data}`, in a folder of Ray that goes with the cluster: {remedy}")
