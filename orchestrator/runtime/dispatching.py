"""Makes of a task run what is sent: where it goes, what its templates may need, the token that opens its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from orchestrator.engine.admission import Target
from orchestrator.engine.standing import attempt_number
from orchestrator.engine.variables import outputs_of, variables
from orchestrator.engine.view import ExecutionView
from orchestrator.engine.waiting import Queued
from orchestrator.engine.wishes import Step, Wish, asked_of, chain_of, rendered
from orchestrator.lang.expressions import references_of
from orchestrator.lang.sealing import Sealer, is_sealed
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.execution import Placement, TaskRun, Where
from orchestrator.model.flow import TaskSpec
from orchestrator.model.resources import Resources
from orchestrator.model.run_token import RunTokens
from orchestrator.model.values import Json, parse_duration
from orchestrator.runtime.engines import docker_answers
from orchestrator.runtime.flow_cache import FlowCache
from orchestrator.runtime.lazy_values import PartialOutputs, Whole
from orchestrator.runtime.runner_choice import NO_ENGINE, PROCESS, backend_of, full_name, is_ephemeral, is_script, runner_of, with_runner
from orchestrator.sdk.workspace import Workspace
from orchestrator.settings import Settings

TOKEN_LIFE = timedelta(days=7)  # a run that takes longer gets a new one with its next dispatch
OF_PLACEMENT = "named by the placement"
_EVERYTHING = ("*",)
_OF_A_HOME = frozenset({("taskrun", "value")})  # what a workspace needs beside its templates


class Dispatcher:
    """Reads settings and flows; decides nothing about states."""

    def __init__(self, settings: Settings, tokens: RunTokens, flows: FlowCache) -> None:
        self._settings, self._tokens, self._flows = settings, tokens, flows
        key = settings.encryption_key()
        self._sealer = Sealer(key) if key is not None else None
        self.seal = self._sealer.seal if self._sealer is not None else None

    def head_context(self, view: ExecutionView, run: TaskRun | None, templates: Json) -> dict[str, Any]:
        """The variables for templates rendered on the head: sealed values opened, outputs of other iterations read when asked for."""
        return self._context(view, run, templates, self._opened if self._sealer is not None else _as_it_is)

    def sealed_context(self, view: ExecutionView, run: TaskRun | None, templates: Json) -> dict[str, Any]:
        """The same with sealed values as they are stored: for what a person gets to see."""
        return self._context(view, run, templates, _as_it_is)

    def _context(self, view: ExecutionView, run: TaskRun | None, templates: Json, opened: Callable[[Any], Any]) -> dict[str, Any]:
        wanted = references_of(templates)
        context, partial = variables(view, run, wanted)
        self._add_own(context, wanted)
        context = {name: opened(value) for name, value in context.items()}
        for task_id in partial:
            near = context["outputs"].get(task_id) or {}
            context["outputs"][task_id] = PartialOutputs(near, Whole(lambda task_id=task_id: opened(outputs_of(view, task_id)) or {}))  # type: ignore[misc]
        return context

    def _opened(self, value: Any) -> Any:
        if is_sealed(value):
            return self._sealer.open(value) if self._sealer is not None else value
        if isinstance(value, Mapping):
            return {key: self._opened(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._opened(inner) for inner in value]
        return value

    def _add_own(self, context: dict[str, Any], wanted: frozenset[tuple[str, ...]]) -> None:
        names = {path[0] for path in wanted}
        if "globals" in names or _EVERYTHING in wanted:
            context["globals"] = dict(self._settings.globals)
        if "envs" in names or _EVERYTHING in wanted:
            context["envs"] = dict(self._settings.envs)

    def wish(self, view: ExecutionView, run: TaskRun, spec: TaskSpec) -> Wish:
        """The places a run should be tried at, and who said so. Raises ValueError when what was rendered is none."""
        asked, level = asked_of(spec, view.ancestors(run), view.flow, view.rules())
        return chain_of(rendered(asked, (view.before_answers(run) or {}).get("placement")), level)

    def resources(self, view: ExecutionView, run: TaskRun, spec: TaskSpec) -> Resources | None:
        """What a run needs of a machine for itself. Raises ValueError when what was rendered is no such thing."""
        asked = (view.before_answers(run) or {}).get("resources", spec.resources)
        return Resources.model_validate(asked) if asked is not None else None

    def placement(self, view: ExecutionView, run: TaskRun, spec: TaskSpec, queued: Queued) -> tuple[Placement, Target]:
        """Where a run goes from its present step, as it is recorded and as it stands in line."""
        step = queued.step
        runner, reason = self._runner(spec, step, resources=queued.resources is not None)
        ephemeral = runner is not None and runner != PROCESS and is_ephemeral(runner)
        where = Where.SUPERVISOR if ephemeral else Where.PROCESS if queued.resources is not None else Where.WORKER
        resources = queued.resources if where is Where.PROCESS else None
        backend = backend_of(runner, self._written_runner(spec, step)) if ephemeral and runner is not None else None
        placement = Placement(
            where=where,
            group=step.group or "",
            tags=step.tags,
            asked_at=queued.wish.level,
            fallback=queued.wish.fallback.value,
            step=queued.at,
            since=queued.since,
            runner=runner,
            reason=reason,
            backend=backend,
            resources=resources,
            passed_over=queued.passed,
        )
        return placement, Target.of(step, supervised=ephemeral, resources=resources, backend=backend or "")

    def placement_at_home(self, spec: TaskSpec, home: TaskRun) -> Placement:
        """Where a run of a workspace goes: to the place of that, with a runner of its own."""
        at = home.placement or Placement()
        runner, reason = runner_of(spec, group=at.group, rule=self._settings.default_runner, engine_answers=docker_answers)
        return Placement(where=at.where, group=at.group, asked_at="parent", worker=at.worker, runner=runner, reason=reason)

    def has_a_home(self, spec: TaskSpec) -> bool:
        """Whether it is a workspace."""
        return isinstance(self._flows.resolve(spec), Workspace)

    def is_script(self, spec: TaskSpec) -> bool:
        """Whether a task runner may run it."""
        return is_script(spec.type)

    @staticmethod
    def _written_runner(spec: TaskSpec, step: Step) -> Mapping[str, Json]:
        written = step.runner if step.runner is not None else spec.raw.get("taskRunner")
        return written if isinstance(written, Mapping) else {}

    def _runner(self, spec: TaskSpec, step: Step, *, resources: bool) -> tuple[str | None, str | None]:
        if step.runner is not None and is_script(spec.type):
            return full_name(step.runner), OF_PLACEMENT
        group = step.group or ", ".join(step.tags)
        return runner_of(spec, group=group, rule=self._settings.default_runner, engine_answers=docker_answers, resources=resources)

    def dispatch(self, view: ExecutionView, run: TaskRun, spec: TaskSpec, now: datetime, *, home: TaskRun | None = None) -> Dispatch:
        """All that the place needs, and nothing it does not. `home` is the workspace that it is of."""
        wanted = self._flows.references(spec) | (_OF_A_HOME if home is not None else frozenset())
        context, partial = variables(view, run, wanted)
        self._add_own(context, wanted)
        answers = view.before_answers(run) or {}
        timeout = answers.get("timeout", spec.timeout)
        placement = run.placement or Placement()
        raw = with_runner(spec.raw, placement.runner)
        if placement.reason == OF_PLACEMENT:
            raw.pop("runner", None)
            raw["taskRunner"] = self.wish(view, run, spec).steps[placement.step].runner
        return Dispatch(
            task_run_id=run.id,
            execution_id=run.execution_id,
            namespace=run.namespace,
            flow_id=run.flow_id,
            flow_revision=view.execution.flow_revision,
            task_id=run.task_id,
            attempt=attempt_number(run),
            lease=run.lease,
            generation=run.generation,
            spec=raw,
            context=context,
            partial=partial,
            group=placement.group,
            value=run.value,
            timeout=parse_duration(str(timeout)).total_seconds() if timeout else None,
            job=run.job,
            api_token=self._tokens.mint(run.execution_id, now + TOKEN_LIFE),
            log_level=spec.log_level,
            home=home.id if home is not None else None,
            home_generation=home.generation if home is not None else 0,
            warning=NO_ENGINE if placement.reason == NO_ENGINE else None,
            start_failures=run.start_failures,
        )


def _as_it_is(value: Any) -> Any:
    return value
