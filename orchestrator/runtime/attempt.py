"""One dispatch on its way: from the moment it is taken until its outcome is saved and what it made is gone."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.errors import ExpressionFailed, JobLost, JobRejected, OrchestratorError, RunnerUnavailable, TaskFailed, TimedOut
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.execution import Cause, PhaseName
from orchestrator.model.job import JobHandle
from orchestrator.model.values import Json, format_duration, format_instant
from orchestrator.runtime.built_plugins import BuiltTasks
from orchestrator.runtime.context import Context, Parts
from orchestrator.runtime.lazy_values import completed
from orchestrator.runtime.node import Node
from orchestrator.runtime.reaching import Known
from orchestrator.runtime.reporter import Reporter
from orchestrator.runtime.run_log import RunLog
from orchestrator.runtime.runner_choice import Rule, default_type
from orchestrator.runtime.services import ServicesFactory
from orchestrator.runtime.spawner import Spawner
from orchestrator.runtime.stopping import Stopped, StopSignal
from orchestrator.runtime.trigger_work import work_of
from orchestrator.sdk import RunInfo, Warned

HEARD = 1.0  # seconds that a run may take to end by itself once its stop actions have run
STUBBORN = 10.0  # seconds after which it is worth a word that an evaluation has not
UNSAID = 0.3  # seconds that an emit is waited for once its listener was told to stop
_CAUSES: tuple[tuple[type[OrchestratorError], Cause], ...] = (
    (ExpressionFailed, Cause.EXPRESSION),
    (TimedOut, Cause.TIMEOUT),
    (JobLost, Cause.JOB_LOST),
    (JobRejected, Cause.START_FAILED),
    (RunnerUnavailable, Cause.START_FAILED),
)


@dataclass(frozen=True)
class Place:
    """What all runs of a worker or supervisor share."""

    name: str
    installation: str
    reporter: Reporter
    services: ServicesFactory
    spawner: Spawner
    node: Node
    tasks: BuiltTasks
    default_runner: Rule
    engine_answers: Callable[[], bool]
    log_limit: int
    apart: Callable[[Callable[[], None]], None]  # does what may block on a thread apart


class Attempt:
    """One run of one task. `run` is called once, on a thread of its own; `stop` from any other."""

    def __init__(self, dispatch: Dispatch, place: Place, *, sealed: bool, ended: Callable[[Attempt], None], saved: Callable[[Attempt], None]) -> None:
        self.dispatch, self._place, self._sealed = dispatch, place, sealed
        self._ended, self._saved = ended, saved
        self.lease = dispatch.lease
        self.stopping = StopSignal()
        self.over = threading.Event()  # its outcome is queued
        self.abandoned = False
        self._outcome: dict[str, Json] | None = None
        self._lock = threading.Lock()
        self._begun = self._is_kept = False
        self._thread_free = threading.Event()
        self._jobless = threading.Event()  # no job in hand: none may outlive the outcome
        self._jobless.set()
        self._afterwards: list[Callable[[], None]] = []
        self._keys: set[str] = set()  # of commands started
        self._folders: set[str] = set()
        self._labels: dict[str, str] = {}
        self._emits = 0
        self._known = Known()
        self._log = RunLog(place.reporter, self.head, self._known, least=dispatch.log_level, most=place.log_limit)
        self.info = RunInfo.model_construct(
            installation=place.installation,
            namespace=dispatch.namespace,
            flow_id=dispatch.flow_id,
            flow_revision=dispatch.flow_revision,
            execution_id=dispatch.execution_id,
            task_id=dispatch.task_id,
            task_run_id=dispatch.task_run_id,
            attempt=dispatch.attempt,
            generation=dispatch.generation,
            group=dispatch.group,
        )

    def head(self) -> dict[str, Json]:
        """Who speaks in every report."""
        return {"task_run_id": self.dispatch.task_run_id, "execution_id": self.dispatch.execution_id, "lease": self.lease}

    def _report(self, kind: str, **facts: Json) -> dict[str, Json]:
        return {**self.head(), "at": format_instant(datetime.now(UTC)), "kind": kind, **facts}

    # --- the run itself

    def run(self) -> None:
        """Do the task and report its end. Raises nothing."""
        with self._lock:
            self._begun = self._outcome is None
        try:
            if not self._begun:
                return
            if not self.stopping:
                self._place.reporter.put(self._report("received", worker=self._place.name), soon=True)
                facts = self._tried()
            else:
                facts = self._stopped()
            self._clear()
            self._end(facts)
        finally:
            self._thread_free.set()
            self._ended(self)

    def _tried(self) -> dict[str, Json]:
        """The facts of the outcome."""
        try:
            outputs = self._done()
        except Warned as err:
            if str(err):
                self._log.warn(str(err))
            facts = self._good("WARNING", err.outputs)
        except BaseException as err:
            facts = self._failed(err)
        else:
            facts = self._good("SUCCESS", outputs or {})
        return self._stopped() if self.stopping else facts

    def _done(self) -> Mapping[str, Json] | None:
        dispatch, place = self.dispatch, self._place
        if dispatch.warning is not None:
            self._log.warn(dispatch.warning)
        task = work_of(dispatch, place.tasks, self)
        services = place.services(dispatch)
        docker = dispatch.spec.get("docker")
        parts = Parts(
            info=self.info,
            log=self._log,
            known=self._known,
            services=services,
            stop=self.stopping,
            reports=self,
            processes=place.spawner,
            node=place.node,
            default_runner=self._default_runner,
            adopted=dispatch.job,
            has_image=bool(dispatch.spec.get("containerImage") or (isinstance(docker, Mapping) and docker.get("image"))),
            labels=self._labels,
            keys=self._keys,
            folders=self._folders,
        )
        variables = completed(dispatch.context, dispatch.partial, services, self._known, sealed=self._sealed)
        return task.run(Context(parts, variables))

    def _default_runner(self, has_image: bool) -> str:
        place = self._place
        return default_type(place.default_runner, group=self.dispatch.group, has_image=has_image, engine_answers=place.engine_answers, warn=self._log.warn)

    def _good(self, state: str, outputs: Mapping[str, Json]) -> dict[str, Json]:
        return {"state": state, "outputs": dict(outputs), "labels": dict(self._labels) or None}

    def _failed(self, err: BaseException) -> dict[str, Json]:
        if self.stopping:
            return {}
        message = self._known.mask(str(err) or type(err).__name__)
        if not isinstance(err, OrchestratorError):
            message = f"{type(err).__name__}: {message}" if str(err) else message
            self._log.debug("".join(traceback.format_exception(err)))
        with suppress(Exception):
            self._log.error(message)
        outputs = err.outputs if isinstance(err, TaskFailed) else {}
        return {"state": "FAILED", "outputs": outputs, "cause": _cause_of(err), "error": message}

    def _stopped(self) -> dict[str, Json]:
        """The outcome of a run that was told to stop, by what told it."""
        cause = self.stopping.cause or Cause.KILLED
        if cause is Cause.WORKER_SHUTDOWN:
            return {"state": "FAILED", "cause": cause, "error": "the worker shut down"}
        if cause is not Cause.TIMEOUT:
            return {"state": "KILLED", "cause": cause}
        limit, noun = self.dispatch.timeout, "task" if self.dispatch.kind == "task" else "evaluation"
        message = f"The {noun} has outlasted its timeout" + (f" of {format_duration(timedelta(seconds=limit))}" if limit else "")
        self._log.error(message)
        return {"state": "FAILED", "cause": Cause.TIMEOUT, "error": message}

    def _clear(self) -> None:
        """Processes go before the outcome, whatever it is: a run leaves nothing behind that still works."""
        for key in self._keys:
            self._place.spawner.stop(key, timedelta())

    # --- its end

    def _end(self, facts: dict[str, Json]) -> None:
        with self._lock:
            if self._outcome is not None:
                return  # reported already, as one that would not stop
            self._outcome = facts
        try:
            report = self._report("outcome", **facts)
            self._place.reporter.put(report, then=self._kept)
        except Exception as err:  # outputs that are no JSON: the run must still end
            self._outcome = {"state": "FAILED", "cause": Cause.EXCEPTION, "error": f"the outputs cannot be written as JSON: {err}"}
            self._place.reporter.put(self._report("outcome", **self._outcome), then=self._kept)
        self.over.set()

    def _kept(self) -> None:
        """The outcome is saved. What must follow may block: not on the reporter's thread."""
        with self._lock:
            if self._is_kept:
                return
            self._is_kept = True
        if self._afterwards or self._folders:
            self._place.apart(self._tidy)
        else:
            self._saved(self)

    def _tidy(self) -> None:
        for action in reversed(self._afterwards):
            with suppress(Exception):  # what cannot be removed now is found by its labels later
                action()
        for key in self._folders:
            self._place.node.remove_working_dir(key)
        self._saved(self)

    def renew(self, lease: int) -> None:
        """The same work under a newer lease: a dispatch of the same generation came again, or its stop."""
        with self._lock:
            if lease <= self.lease:
                return
            self.lease, outcome = lease, self._outcome
        if outcome is not None:
            self._place.reporter.put(self._report("outcome", **outcome), then=self._kept)

    def stop(self, cause: Cause) -> None:
        """Tell the run to stop and see to it; returns when it has, or is given up. Repeatable."""
        if not self.stopping.set(cause):
            return
        self.stopping.run_actions()
        if not self._begun:
            self._give_up()
        elif self.dispatch.kind != "task":
            self._outlast()
        elif not self._thread_free.wait(HEARD):
            rented = not self._jobless.is_set()
            self._jobless.wait()  # whatever was rented must be seen gone first
            if not (rented and self._thread_free.wait(HEARD)):
                self._give_up()

    def _outlast(self) -> None:
        """Of an evaluation the end is told once it is seen, however late: the next begins then."""
        if not self._thread_free.wait(STUBBORN):
            self._log.warn(f"It was told to stop and goes on after {STUBBORN:.0f} s: until it ends, or its worker does, nothing else evaluates this trigger")

    def _give_up(self) -> None:
        """It runs on a thread that cannot be interrupted: what it will say comes too late."""
        with self._lock:
            if self._outcome is not None:
                return
            self.abandoned = self._begun
        self._clear()
        self._end(self._stopped())

    # --- what its context may report (the Reports protocol)

    def lease_of_job(self) -> int:
        return self.dispatch.lease

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        self._place.reporter.put(self._report("phase", name=name, detail=detail), soon=True)

    def metric(self, metric: Mapping[str, Json]) -> None:
        self._place.reporter.say(self.head(), metric=metric)

    def save_job(self, handle: JobHandle, *, wait: bool) -> None:
        ticket = self._place.reporter.put(self._report("job", handle=handle.model_dump(mode="json")))
        while wait and not ticket.wait(0.2):
            self.stopping.check()

    def emit(self, variables: Mapping[str, Json]) -> None:
        with self._lock:  # they are told in the order of their numbers, whichever threads they come from
            self._emits += 1
            ticket = self._place.reporter.put(self._report("emitted", number=self._emits, variables=dict(variables)))
        while not ticket.wait(0.2):
            if self.stopping and not ticket.wait(UNSAID):
                raise Stopped("the listener was stopped before its emit was known to be saved")

    def afterwards(self, action: Callable[[], None]) -> None:
        self._afterwards.append(action)

    @contextmanager
    def holding(self) -> Iterator[None]:
        self._jobless.clear()
        try:
            yield
        finally:
            self._jobless.set()


def _cause_of(err: BaseException) -> Cause:
    if isinstance(err, TaskFailed):
        if err.cause is not None and err.cause in Cause.__members__:
            return Cause(err.cause)
        if err.exit_code is not None:
            return Cause.EXIT_CODE
    return next((cause for kind, cause in _CAUSES if isinstance(err, kind)), Cause.EXCEPTION)
