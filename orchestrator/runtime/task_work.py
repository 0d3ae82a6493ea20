"""The doing of one task: from its spec to the facts of its outcome, in whatever process that is done."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from orchestrator.errors import ExpressionFailed, JobLost, JobRejected, OrchestratorError, RunnerUnavailable, StartFailed, TaskFailed, TimedOut
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.execution import Cause, PhaseName
from orchestrator.model.start import FailedStart
from orchestrator.model.values import Json
from orchestrator.runtime.built_plugins import BuiltTasks
from orchestrator.runtime.context import Changes, Context, Parts, Reports
from orchestrator.runtime.lazy_values import completed
from orchestrator.runtime.node import Node
from orchestrator.runtime.reaching import Known
from orchestrator.runtime.room import Room
from orchestrator.runtime.run_log import RunLog
from orchestrator.runtime.runner_choice import Rule, default_type
from orchestrator.runtime.services import ServicesFactory
from orchestrator.runtime.stopping import StopSignal
from orchestrator.runtime.task_cache import TaskCache
from orchestrator.runtime.trigger_work import plugin_of, work_of
from orchestrator.sdk import Processes, RunInfo, Task, Warned, Workspace

LAST_CALLS = 0.5  # seconds that work which was told to stop may still reach the API: to keep how far it came
_CAUSES: tuple[tuple[type[OrchestratorError], Cause], ...] = (
    (ExpressionFailed, Cause.EXPRESSION),
    (TimedOut, Cause.TIMEOUT),
    (JobLost, Cause.JOB_LOST),
    (JobRejected, Cause.START_FAILED),
    (RunnerUnavailable, Cause.START_FAILED),
    (StartFailed, Cause.START_FAILED),
)


@dataclass(frozen=True)
class Means:
    """What work needs of the machine it is done on."""

    installation: str
    services: ServicesFactory
    node: Node
    tasks: BuiltTasks
    default_runner: Rule
    engine_answers: Callable[[], bool]


@dataclass(frozen=True)
class Around:
    """Who hears of a work while it lasts, what tells it to stop, and what it leaves behind."""

    log: RunLog
    known: Known
    stop: StopSignal
    reports: Reports
    processes: Processes
    keys: set[str] = field(default_factory=set)  # of commands started
    folders: set[str] = field(default_factory=set)  # job keys of the working directories made
    room: Room | None = None  # of a workspace


class TaskWork:
    """One dispatch's task being done. `facts` is called once; a stop reaches it by the signal around it."""

    def __init__(self, dispatch: Dispatch, means: Means, around: Around, *, sealed: bool) -> None:
        self._dispatch, self._means, self._around, self._sealed = dispatch, means, around, sealed
        self._changes = Changes()

    def facts(self) -> dict[str, Json]:
        """State, outputs, labels, cause and error of the outcome. Raises nothing."""
        try:
            outputs = self._done()
        except Warned as err:
            if str(err):
                self._around.log.warn(str(err))
            return self._good("WARNING", err.outputs)
        except BaseException as err:
            return self._failed(err)
        return self._good("SUCCESS", outputs or {})

    def _done(self) -> Mapping[str, Json] | None:
        dispatch, means, around = self._dispatch, self._means, self._around
        if dispatch.warning is not None:
            around.log.warn(dispatch.warning)
        plugin = plugin_of(dispatch, means.tasks)
        services = means.services(dispatch)
        around.stop.add(lambda: _later(services.interrupt))
        docker = dispatch.spec.get("docker")
        parts = Parts(
            info=info_of(dispatch, means.installation),
            log=around.log,
            known=around.known,
            services=services,
            stop=around.stop,
            reports=around.reports,
            processes=around.processes,
            node=means.node,
            default_runner=self._default_runner,
            adopted=dispatch.job,
            start_failures=dispatch.start_failures,
            has_image=bool(dispatch.spec.get("containerImage") or (isinstance(docker, Mapping) and docker.get("image"))),
            changes=self._changes,
            keys=around.keys,
            folders=around.folders,
            home=dispatch.home,
            home_generation=dispatch.home_generation,
        )

        def context_of(dispatch: Dispatch) -> Context:
            return Context(parts, completed(dispatch.context, dispatch.partial, services, around.known, sealed=self._sealed))

        if isinstance(plugin, Workspace):
            return self._in_its_room(plugin, context_of)
        wanted = plugin.task_cache if isinstance(plugin, Task) else None
        run, ctx = work_of(plugin, around.reports).run, context_of(dispatch)
        if wanted is None or not wanted.enabled or dispatch.job is not None:  # a job that is under way already is gone on with
            return run(ctx)
        return self._cached(TaskCache(ctx, dispatch.spec, wanted), lambda: run(ctx))

    def _cached(self, cache: TaskCache, run: Callable[[], Mapping[str, Json] | None]) -> Mapping[str, Json]:
        """Not kept is what did more than give outputs: another execution's labels and variables would not be changed by it."""
        known = cache.outputs()
        if known is not None:
            return known
        outputs = run() or {}
        if not self._changes.facts():
            cache.keep(outputs)
        return outputs

    def _in_its_room(self, workspace: Workspace, context_of: Callable[[Dispatch], Context]) -> Mapping[str, Json]:
        """Open its folder, do what comes in, and close it with what is known then."""
        room = self._around.room
        if room is None:
            raise TaskFailed("a workspace runs on a worker only")
        workspace.open(context_of(self._dispatch))
        self._around.reports.phase(PhaseName.RUNNING, None)
        return workspace.close(context_of(room.work_until_closed(self._around.stop)))

    def _default_runner(self, has_image: bool) -> str:
        means = self._means
        warn = self._around.log.warn
        return default_type(means.default_runner, group=self._dispatch.group, has_image=has_image, engine_answers=means.engine_answers, warn=warn)

    def _good(self, state: str, outputs: Mapping[str, Json]) -> dict[str, Json]:
        return {"state": state, "outputs": dict(outputs), **self._changes.facts()}

    def _failed(self, err: BaseException) -> dict[str, Json]:
        around = self._around
        if around.stop:
            return {}
        message = around.known.mask(str(err) or type(err).__name__)
        if not isinstance(err, OrchestratorError):
            message = f"{type(err).__name__}: {message}" if str(err) else message
            around.log.debug("".join(traceback.format_exception(err)))
        if isinstance(err, StartFailed):  # the executor says which start it was, and what follows
            failed = FailedStart(kind=err.kind, climbs=err.climbs)
            return {"state": "FAILED", "cause": Cause.START_FAILED, "error": message, "failed_start": failed.model_dump()}
        with suppress(Exception):
            around.log.error(message)
        outputs = err.outputs if isinstance(err, TaskFailed) else {}
        return {"state": "FAILED", "outputs": outputs, "cause": _cause_of(err), "error": message}


def _later(action: Callable[[], None]) -> None:
    timer = threading.Timer(LAST_CALLS, action)
    timer.daemon = True
    timer.start()


def info_of(dispatch: Dispatch, installation: str) -> RunInfo:
    """Which run a dispatch is, for its author's eyes."""
    return RunInfo.model_construct(
        installation=installation,
        namespace=dispatch.namespace,
        flow_id=dispatch.flow_id,
        flow_revision=dispatch.flow_revision,
        execution_id=dispatch.execution_id,
        task_id=dispatch.task_id,
        task_run_id=dispatch.task_run_id,
        attempt=dispatch.attempt,
        generation=dispatch.generation,
        group=dispatch.group,
        value=dispatch.value,
    )


def _cause_of(err: BaseException) -> Cause:
    if isinstance(err, TaskFailed):
        if err.cause is not None and err.cause in Cause.__members__:
            return Cause(err.cause)
        if err.exit_code is not None:
            return Cause.EXIT_CODE
    return next((cause for kind, cause in _CAUSES if isinstance(err, kind)), Cause.EXCEPTION)
