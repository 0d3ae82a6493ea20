"""`orchestrator run` as a job of a Ray cluster: the cluster's executor, found or started, spoken to by actor calls."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator import settings as configuration
from orchestrator.model.session import ExecutionNews, FlowRef, LogNews, Start, Update
from orchestrator.errors import BadSettings, Refused, Unavailable
from orchestrator.runtime import ray_boot
from orchestrator.runtime.client import ExecutorClient
from orchestrator.runtime.ray_actors import EXECUTOR, call_executor
from orchestrator.runtime.requests import CreateExecution, ExecutionAction, LogsAfter, SaveFlow, Watch

STEP = 0.1  # seconds that `follow` waits before it lets its caller look round
_OF_THE_JOB = ("RAY_JOB", "PYTHONPATH", "RAY_RUNTIME_ENV", "VIRTUAL_ENV_PROMPT")


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
            watched = self._loop.run_until_complete(self._client.watch(Watch(execution_id=execution_id, version=news, seconds=STEP)))
            news, ended = watched["version"], watched["ended"]
            for number, entry in self._lines(execution_id, line):
                line = number
                yield LogNews(entry)
            yield ExecutionNews(watched["execution"]) if watched["execution"] is not None else None

    def _lines(self, execution_id: str, after: int) -> list[tuple[int, dict[str, Any]]]:
        told = self._loop.run_until_complete(self._client.logs_after(LogsAfter(execution_id=execution_id, after=after)))
        return [(number, entry) for number, entry in told]

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
        _start_cleanly(environ, address)
    return ClusterSession(ExecutorClient(call_executor), address)


def _start_cleanly(environ: Mapping[str, str], address: str) -> None:
    """Executor and API, from a process outside this job's runtime environment: they outlive the job and its working_dir."""
    data, database = environ.get("ORCHESTRATOR_DATA"), environ.get("ORCHESTRATOR_DATABASE")
    if not (database or (data and os.path.isabs(data))):
        raise BadSettings(
            "this cluster has no executor yet, and it needs a lasting place for its store: set ORCHESTRATOR_DATA to an absolute folder "
            "(or ORCHESTRATOR_DATABASE to a database URL) in the cluster's or the job's environment"
        )
    clean = {key: value for key, value in environ.items() if not key.startswith(_OF_THE_JOB)}
    command = [sys.executable, "-m", "orchestrator.runtime.standalone", address]
    done = subprocess.run(command, env=clean, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    if done.returncode != 0:
        raise Unavailable("the executor could not be started: " + " | ".join((done.stdout + done.stderr).strip().splitlines()[-3:]))
