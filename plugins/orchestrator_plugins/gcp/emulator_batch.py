"""Google Batch of the emulator, as gRPC serves it."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.cloud import batch_v1 as batch
from google.longrunning import operations_pb2  # type: ignore[import-untyped]
from google.protobuf import any_pb2, empty_pb2

from orchestrator_plugins.gcp.emulator_faults import Faults
from orchestrator_plugins.gcp.emulator_filters import terms_of
from orchestrator_plugins.gcp.emulator_jobs import Run, State
from orchestrator_plugins.gcp.emulator_logs import Log
from orchestrator_plugins.gcp.emulator_machine import Engine

ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_NAME, LABEL_VALUE = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
LONGEST_END = 60.0  # seconds to wait for a machine to let go


class Jobs:
    """All jobs of the emulator, and the calls on them. Safe in threads."""

    def __init__(self, engine: Engine, log: Log, faults: Faults, buckets: Path) -> None:
        self._engine, self._log, self._faults, self._buckets = engine, log, faults, buckets
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._operations: dict[str, Any] = {}
        self.asked: list[batch.Job] = []  # all jobs ever made, as they were asked for

    @property
    def created(self) -> list[str]:
        """The ids of all jobs ever made."""
        return [job.name.rpartition("/")[2] for job in self.asked]

    def present(self) -> list[str]:
        """The ids of the jobs that there are."""
        return [run.id for run in list(self._runs.values())]

    def close(self) -> None:
        """End every job, and return when nothing of them runs."""
        for run in list(self._runs.values()):
            run.stop(None)
        for run in list(self._runs.values()):
            run.over.wait(LONGEST_END)

    # --- the calls

    def create(self, request: Any, context: Any) -> Any:
        job_id = request.job_id or f"j-{uuid.uuid4().hex[:8]}"
        _check(request.job, job_id, context)
        name = f"{request.parent}/jobs/{job_id}"
        with self._lock:
            if name in self._runs:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Resource '{name}' already exists")
            request.job.name = name
            self._runs[name] = run = Run(request.job, self._engine, self._log, self._faults, self._buckets)
            shown = run.shown()
            self.asked.append(shown)
        return shown

    def get(self, request: Any, context: Any) -> Any:
        return self._run(request.name, context).shown()

    def list(self, request: Any, context: Any) -> Any:
        if self._faults.take("empty-list") is not None:
            return batch.ListJobsResponse()
        try:
            terms = terms_of(request.filter)
        except ValueError as err:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(err))
        with self._lock:
            runs = [run for name, run in self._runs.items() if name.startswith(f"{request.parent}/jobs/")]
        shown = [run.shown() for run in runs]
        wanted = [job for job in shown if all(term.holds(job.labels.get(term.field.removeprefix("labels."), "")) for term in terms)]
        start, size = int(request.page_token or 0), request.page_size or 1000
        more = str(start + size) if len(wanted) > start + size else ""
        return batch.ListJobsResponse(jobs=wanted[start : start + size], next_page_token=more)

    def tasks(self, request: Any, context: Any) -> Any:
        return batch.ListTasksResponse(tasks=[self._run(request.parent.split("/taskGroups/")[0], context).shown_task()])

    def task(self, request: Any, context: Any) -> Any:
        return self._run(request.name.split("/taskGroups/")[0], context).shown_task()

    def cancel(self, request: Any, context: Any) -> Any:
        run = self._run(request.name, context)
        if run.has_ended:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"job {run.id} has ended: it cannot be cancelled")
        run.stop(State.CANCELLATION_IN_PROGRESS)
        answer = any_pb2.Any()
        answer.Pack(batch.CancelJobResponse.pb(batch.CancelJobResponse()))
        return self._operation(run, lambda: run.to(State.CANCELLED), answer)

    def delete(self, request: Any, context: Any) -> Any:
        run = self._run(request.name, context)
        run.stop(State.DELETION_IN_PROGRESS)
        answer = any_pb2.Any()
        answer.Pack(empty_pb2.Empty())
        return self._operation(run, lambda: self._runs.pop(request.name, None), answer)

    def operation(self, request: Any, context: Any) -> Any:
        if request.name not in self._operations:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no operation {request.name}")
        return self._operations[request.name]

    def _operation(self, run: Run, at_end: Callable[[], object], answer: Any) -> Any:
        """What goes on until nothing of the job runs."""
        going = operations_pb2.Operation(name=f"operations/{uuid.uuid4().hex}")
        self._operations[going.name] = going

        def finish() -> None:
            run.over.wait(LONGEST_END)
            at_end()
            going.response.CopyFrom(answer)
            going.done = True

        threading.Thread(target=finish, daemon=True).start()
        return going

    def _run(self, name: str, context: Any) -> Run:
        found = self._runs.get(name)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource '{name}' was not found")
            raise AssertionError("abort raises")
        return found

    # --- serving them

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """All of it for a gRPC server."""
        methods = {
            "CreateJob": self._served("CreateJob", self.create, batch.CreateJobRequest),
            "GetJob": self._served("GetJob", self.get, batch.GetJobRequest),
            "ListJobs": self._served("ListJobs", self.list, batch.ListJobsRequest),
            "CancelJob": self._served("CancelJob", self.cancel, batch.CancelJobRequest),
            "DeleteJob": self._served("DeleteJob", self.delete, batch.DeleteJobRequest),
            "ListTasks": self._served("ListTasks", self.tasks, batch.ListTasksRequest),
            "GetTask": self._served("GetTask", self.task, batch.GetTaskRequest),
        }
        operations = {"GetOperation": self._served("GetOperation", self.operation, operations_pb2.GetOperationRequest)}
        return (
            grpc.method_handlers_generic_handler("google.cloud.batch.v1.BatchService", methods),
            grpc.method_handlers_generic_handler("google.longrunning.Operations", operations),
        )

    def _served(self, method: str, call: Callable[[Any, Any], Any], kind: Any) -> Any:
        return unary(faulty(self._faults, method, call), kind)


def faulty(faults: Faults, method: str, call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A call that fails when it is ordered to."""

    def called(request: Any, context: Any) -> Any:
        faults.count(method)
        if faults.take("throttle", method=method) is not None:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"Quota exceeded for {method}")
        if faults.take("unavailable", method=method) is not None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the service is away")
        if (slow := faults.take("slow-answer", method=method)) is not None:
            time.sleep(slow.seconds)
        answer = call(request, context)
        if faults.take("lose-answer", method=method) is not None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        return answer

    return called


def unary(call: Callable[[Any, Any], Any], kind: Any) -> Any:
    """A call as gRPC serves it, whichever of the two libraries its messages come from."""
    read = kind.deserialize if hasattr(kind, "deserialize") else kind.FromString
    return grpc.unary_unary_rpc_method_handler(call, request_deserializer=read, response_serializer=serialized)


def serialized(message: Any) -> bytes:
    raw = message._pb if hasattr(message, "_pb") else message
    return bytes(raw.SerializeToString())


def _check(job: Any, job_id: str, context: Any) -> None:
    if ID.fullmatch(job_id) is None:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"job_id must match ^{ID.pattern}$")
    if not job.task_groups:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a job needs a task group")
    for name, value in job.labels.items():
        if LABEL_NAME.fullmatch(name) is None or LABEL_VALUE.fullmatch(value) is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"invalid label {name}={value}")
