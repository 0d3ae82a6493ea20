"""What a task's `run` is given: the sdk's RunContext over one dispatch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer, plain
from orchestrator.model.dispatch import ExitState, VariableChange
from orchestrator.model.execution import PhaseName
from orchestrator.model.job import Job, JobExit, JobHandle
from orchestrator.model.values import Json, format_instant
from orchestrator.runtime.beginning import Beginning
from orchestrator.runtime.built_plugins import described_task, told
from orchestrator.runtime.job_run import JobRun, Ledger
from orchestrator.runtime.node import Node
from orchestrator.runtime.reaching import Known, RunExpressions
from orchestrator.runtime.room import folder_key
from orchestrator.runtime.run_log import RunLog
from orchestrator.runtime.runner_choice import built_runner
from orchestrator.runtime.services import Services
from orchestrator.runtime.stopping import StopSignal
from orchestrator.sdk import AnyTask, JobTools, LogSink, Processes, RunContext, RunInfo, RunningProcess, TaskRunner, Template, is_template, job_key

LONGEST_MASKED = 4096  # characters of a text that is sealed: a whole document is no secret to look for in every line


class Reports(Ledger, Protocol):
    """The ways in which a run speaks to the executor while it lasts."""

    def phase(self, name: PhaseName, detail: str | None) -> None: ...

    def metric(self, metric: Mapping[str, Json]) -> None: ...

    def emit(self, variables: Mapping[str, Json]) -> None:
        """Of a listener: have an execution started, and return once it is saved. Raises Stopped when that is not known."""


@dataclass
class Changes:
    """What a run asks to be changed of its execution, once it has ended well."""

    labels: dict[str, str] = field(default_factory=dict)
    variables: list[VariableChange] = field(default_factory=list)
    ends: ExitState | None = None

    def facts(self) -> dict[str, Json]:
        """As the outcome tells it; nothing where nothing is to be changed."""
        told = {"labels": dict(self.labels), "variables": [change.model_dump() for change in self.variables], "ends": self.ends}
        return {name: fact for name, fact in told.items() if fact}


@dataclass(frozen=True)
class Parts:
    """What a context is made of; shared by those that `with_variables` makes of it."""

    info: RunInfo
    log: RunLog
    known: Known
    services: Services
    stop: StopSignal
    reports: Reports
    processes: Processes
    node: Node
    default_runner: Callable[[bool], str]  # (has an image) -> type
    adopted: JobHandle | None
    start_failures: int  # of this run's job, before
    has_image: bool
    changes: Changes
    keys: set[str]  # of the commands started: what is left of them goes with the run
    folders: set[str]  # job keys of the working directories made
    home: str | None = None  # the task run of the workspace whose folder it has
    home_generation: int = 0


class Context(RunContext):
    """One run's context. Safe in threads."""

    def __init__(self, parts: Parts, variables: Mapping[str, Any]) -> None:
        self._parts = parts
        self.info = parts.info
        self.logger: RunLog = parts.log
        self.files = parts.services.files
        self.keys = parts.services.keys
        self.records = parts.services.records
        self.triggers = parts.services.triggers
        self.variables = variables
        self._renderer = Renderer(RunExpressions(parts.services, parts.known))

    # --- rendering

    def render(self, value: Any) -> Any:
        if isinstance(value, Template):
            return self._read(value)
        if isinstance(value, str):
            return self._renderer.render(value, self.variables) if is_template(value) else value
        if isinstance(value, Mapping):
            return {self.render(key): self.render(one) for key, one in value.items()}
        if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
            return type(value)(self.render(one) for one in value)
        return value

    def _read(self, template: Template) -> Any:
        text = self._renderer.render(template.source, self.variables)
        try:
            return template.parse(text)
        except ValidationError as err:
            raise ExpressionFailed(f"`{template.source}` rendered to `{self._parts.known.mask(text)[:200]}`: {told(err)}") from err

    def render_typed(self, template: str) -> Json:
        return self._renderer.render_typed(template, self.variables)

    def with_variables(self, extra: Mapping[str, Any]) -> RunContext:
        return Context(self._parts, {**self.variables, **extra})

    # --- saying

    def metric(self, kind: str, name: str, value: float, tags: Mapping[str, str] | None = None) -> None:
        if not math.isfinite(value):
            return
        number = value * 1000 if kind == "timer" else value  # a timer is told in seconds and kept in milliseconds
        shown = {str(key): str(one) for key, one in (tags or {}).items()}
        self._parts.reports.metric({"type": kind, "name": name, "value": number, "tags": shown, "timestamp": format_instant(datetime.now(UTC))})

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        self._parts.reports.phase(name, detail)

    def set_labels(self, labels: Mapping[str, str]) -> None:
        self._parts.changes.labels.update(labels)

    def set_variables(self, values: Mapping[str, Json], *, overwrite: bool = True) -> None:
        self._parts.changes.variables.append(VariableChange(put=plain(dict(values)), overwrite=overwrite))

    def unset_variables(self, names: Sequence[str], *, ignore_missing: bool = False) -> None:
        self._parts.changes.variables.append(VariableChange(drop=tuple(names), ignore_missing=ignore_missing))

    def end_execution(self, state: ExitState) -> None:
        self._parts.changes.ends = state

    def seal(self, text: str) -> Json:
        if len(text) <= LONGEST_MASKED:
            self._parts.known.add(text)
        return self._parts.services.seal(text)

    # --- stopping

    def cancelled(self) -> bool:
        return bool(self._parts.stop)

    def on_stop(self, action: Callable[[], None]) -> None:
        self._parts.stop.add(action)

    # --- jobs

    def working_dir(self) -> Path:
        home = self._parts.home
        key = job_key(self.info) if home is None else folder_key(home, self._parts.home_generation)
        if home in (None, self.info.task_run_id):  # who has a workspace removes its folder
            self._parts.folders.add(key)
        return self._parts.node.working_dir(key)

    def cache_dir(self) -> Path:
        return self._parts.node.cache_dir()

    def holds_secret(self, text: str) -> bool:
        return self._parts.known.holds(text)

    def runner(self, spec: Mapping[str, Json] | None) -> TaskRunner:
        properties = self._renderer.render_any(dict(spec or {}), self.variables)
        if not properties.get("type"):
            properties["type"] = self._parts.default_runner(self._parts.has_image)
        return built_runner(properties)

    def task(self, source: str) -> AnyTask:
        return described_task(source, self.info.task_id)

    def tools(self) -> JobTools:
        return Tools(self._parts)

    def adopts(self) -> bool:
        adopted = self._parts.adopted
        return adopted is not None and adopted.key == job_key(self.info)

    def run_job(self, runner: TaskRunner, job: Job, said: LogSink) -> JobExit:
        parts = self._parts
        if parts.known.values:
            job = job.model_copy(update={"secrets": tuple({*job.secrets, *parts.known.values})})
        if parts.home is not None:  # the next task of the workspace finds all that this one leaves
            job = job.model_copy(update={"output_files": ("**",)})
        job = job.model_copy(update={"attempt": parts.start_failures})
        beginning = Beginning()
        run = JobRun(runner, job, adopted=parts.adopted, stop=parts.stop, ledger=parts.reports, beginning=beginning)
        return run.run(Tools(parts, beginning), parts.log, said)


class Tools(JobTools):
    """A runner's way to the machine it is called on."""

    def __init__(self, parts: Parts, beginning: Beginning | None = None) -> None:
        self._parts, self._beginning = parts, beginning or Beginning()
        self.processes: Processes = RunProcesses(parts)

    def cancelled(self) -> bool:
        return bool(self._parts.stop) or self._beginning.late

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        if self._beginning.reached(name, detail):
            self._parts.reports.phase(name, detail)

    def environment(self) -> Mapping[str, str]:
        return self._parts.node.environment

    def allows(self, power: str) -> bool:
        return power in self._parts.node.docker_allow


class RunProcesses(Processes):
    """The node's spawner, noting the keys that a run has used; nothing starts once the run is stopped."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def start(self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], key: str) -> RunningProcess:
        self._parts.stop.check()
        self._parts.keys.add(key)
        return self._parts.processes.start(argv, cwd=cwd, env=env, key=key)
