"""The life of the emulator's jobs: queued, scheduled, run on a machine, ended."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.cloud import batch_v1 as batch

from orchestrator_plugins.gcp.emulator_faults import Faults
from orchestrator_plugins.gcp.emulator_logs import GLUED, Log
from orchestrator_plugins.gcp.emulator_machine import Engine, Machine

State, TaskState = batch.JobStatus.State, batch.TaskStatus.State
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
STEP = 0.05  # seconds in each stage before a job runs, where nothing else is ordered
RECLAIMED, UNRESPONSIVE, OUT_OF_TIME = 50001, 50004, 50005
NO_CAPACITY = "no VM has available quota or capacity: ZONE_RESOURCE_POOL_EXHAUSTED"


class Run:
    """One job from its making to its end, on a thread of its own."""

    def __init__(self, job: batch.Job, engine: Engine, log: Log, faults: Faults, buckets: Path) -> None:
        self.job, self.over = job, threading.Event()
        self._engine, self._log, self._faults, self._buckets = engine, log, faults, buckets
        self.task = batch.Task(name=f"{job.name}/taskGroups/group0/tasks/0")
        self.id, self._project = job.name.rpartition("/")[2], job.name.split("/")[1]
        self._stop, self._code = threading.Event(), 0
        self._machine: Machine | None = None
        self._lock = threading.RLock()
        job.uid = f"{self.id[:20]}-{uuid.uuid4().hex[:12]}"
        job.create_time = _now()
        self.to(State.QUEUED)
        threading.Thread(target=self._live, name=f"job-{self.id}", daemon=True).start()

    def to(self, state: Any, said: str = "") -> None:
        """Be in a state, and say so."""
        with self._lock:
            self.job.status.state, self.job.update_time = state, _now()
            self._tell(said or f"Job state is set to {state.name}")

    def _tell(self, said: str) -> None:
        self.job.status.status_events.append(batch.StatusEvent(type_="STATUS_CHANGED", description=said, event_time=_now()))

    def shown(self) -> Any:
        """The job as it is now."""
        with self._lock:
            return batch.Job.wrap(batch.Job.pb(batch.Job(self.job)))

    def shown_task(self) -> Any:
        with self._lock:
            return batch.Task(self.task)

    @property
    def has_ended(self) -> bool:
        return self.job.status.state in ENDED

    def stop(self, state: Any) -> None:
        """Say that it is being ended, and end it. `over` is set when nothing of it runs any more."""
        with self._lock:
            if state is not None:
                self.to(state)
            self._stop.set()
            machine = self._machine
        if machine is not None:
            machine.stop("it was cancelled")

    def _live(self) -> None:
        try:
            if self._waited("stuck-queued", self._faults.take("slow-start", job=self.id)):
                self.to(State.SCHEDULED)
                if self._waited("stuck-scheduled", None):
                    self._run()
        except Exception as err:  # a machine that cannot be had is the job's failure, not the emulator's
            self._ended(State.FAILED, repr(err)[:300])
        finally:
            self.over.set()

    def _waited(self, stuck: Any, slow: Any) -> bool:
        """One stage before running; False when stopped in it."""
        if self._faults.take(stuck, job=self.id) is not None:
            self._tell(NO_CAPACITY)
            self._stop.wait()
        return not self._stop.wait(slow.seconds if slow is not None else STEP)

    def _run(self) -> None:
        spec = self.job.task_groups[0].task_spec
        self.to(State.RUNNING)
        began = time.monotonic()
        for attempt in range(spec.max_retry_count + 1):
            code, said = self._attempt(spec)
            if self._stop.is_set():
                break
            self._task_ended(code, said or f"Task attempt {attempt} ended with exit code {code}")
            if code == 0 or _fails_at_once(spec, code):
                break
        self.job.status.run_duration = _length(time.monotonic() - began)
        if not self._stop.is_set():
            self._ended(State.FAILED if code else State.SUCCEEDED)

    def _ended(self, state: Any, said: str = "") -> None:
        with self._lock:
            if not self._stop.is_set():
                self.to(state, said)

    def _task_ended(self, code: int, said: str) -> None:
        event = batch.StatusEvent(type_="STATUS_CHANGED", description=said, event_time=_now())
        event.task_state = TaskState(TaskState.FAILED if code else TaskState.SUCCEEDED)
        if code:
            event.task_execution = batch.TaskExecution(exit_code=code)
        with self._lock:
            self.task.status.state = event.task_state
            self.task.status.status_events.append(event)

    def _attempt(self, spec: Any) -> tuple[int, str]:
        mounts = {volume.mount_path: self._folder(volume.gcs.remote_path) for volume in spec.volumes}
        glue = GLUED if self._faults.take("glue-logs", job=self.id) else 1
        machine = Machine(self._engine, dict(self.job.labels), mounts, self._say, glue)
        with self._lock:
            self._machine = machine
            if self._stop.is_set():
                return 137, "it was cancelled"
        ender = _Ender(machine, self._bounds(spec))
        try:
            code, said = self._runnables(spec, machine, ender)
        finally:
            ender.cancel()
            machine.remove()
        return (ender.code, ender.said) if ender.code else (code, said)

    def _runnables(self, spec: Any, machine: Machine, ender: _Ender) -> tuple[int, str]:
        environment = {**dict(spec.environment.variables), "BATCH_JOB_UID": self.job.uid, "BATCH_TASK_INDEX": "0"}
        code, said = 0, ""
        for runnable in spec.runnables:
            if ender.code or self._stop.is_set() or (code and not runnable.always_run):
                continue
            own, word = machine.run(runnable, environment, spec.compute_resource.memory_mib)
            if own and not code and not runnable.ignore_exit_status:
                code, said = own, word
        return code, said

    def _bounds(self, spec: Any) -> list[tuple[float, int, str]]:
        """After how many seconds which end comes."""
        bounds = [(spec.max_run_duration.total_seconds(), OUT_OF_TIME, "the task ran longer than maxRunDuration")] if spec.max_run_duration else []
        instances = self.job.allocation_policy.instances
        is_spot = bool(instances) and instances[0].policy.provisioning_model == batch.AllocationPolicy.ProvisioningModel.SPOT
        if is_spot and (fault := self._faults.take("reclaim", job=self.id)) is not None:
            bounds.append((fault.seconds, RECLAIMED, "the spot VM was preempted"))
        if (fault := self._faults.take("machine-lost", job=self.id)) is not None:
            bounds.append((fault.seconds, UNRESPONSIVE, "the VM is unresponsive"))
        return bounds

    def _folder(self, remote: str) -> Path:
        folder = self._buckets / remote
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _say(self, text: str, stderr: bool) -> None:
        self._log.write(self._project, self.id, self.job.uid, text, stderr=stderr)


class _Ender:
    """Ends a machine when the first of its bounds is reached."""

    def __init__(self, machine: Machine, bounds: list[tuple[float, int, str]]) -> None:
        self.code, self.said, self._machine = 0, "", machine
        self._timer: threading.Timer | None = None
        if bounds:
            seconds, code, said = min(bounds)
            self._timer = threading.Timer(seconds, self._end, (code, said))
            self._timer.daemon = True
            self._timer.start()

    def _end(self, code: int, said: str) -> None:
        self.code, self.said = code, said
        self._machine.stop(said)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _now() -> Any:
    """Now; the library turns it into its own kind of time."""
    return datetime.now(UTC)


def _length(seconds: float) -> Any:
    return timedelta(seconds=seconds)


def _fails_at_once(spec: Any, code: int) -> bool:
    action = batch.LifecyclePolicy.Action
    for policy in spec.lifecycle_policies:
        listed = code in policy.action_condition.exit_codes
        if (policy.action == action.FAIL_TASK and listed) or (policy.action == action.RETRY_TASK and not listed):
            return True
    return False
