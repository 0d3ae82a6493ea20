"""A small executor for tests: drives an execution by the engine's decisions, with workers that do as they are told."""

from __future__ import annotations

import json
import operator
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from orchestrator.engine.aftermath import LISTENING, is_over
from orchestrator.engine.events import (
    Decision,
    Evaluate,
    Evaluated,
    Event,
    Run,
    RunEnded,
    RunReceived,
    Say,
    SetTimer,
    StartAnew,
    Started,
    StopRun,
    TimerFired,
)
from orchestrator.engine.reconcile import reconcile
from orchestrator.engine.sla import SLA
from orchestrator.engine.step import step
from orchestrator.engine.variables import variables
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import ExpressionFailed, TaskFailed
from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow, TaskSpec
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Json
from orchestrator.sdk.task import Flowable, Order, Plan
from orchestrator.sdk.values import truthy
from orchestrator.sdk.waits import Repeat, Wait

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Sequential(Flowable):
    tasks: tuple[TaskSpec, ...]

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks)

    def branches(self) -> Mapping[str, tuple[TaskSpec, ...]]:
        return {"tasks": self.tasks}


class AllowFailure(Sequential):
    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, on_failure=State.WARNING)


class Parallel(Sequential):
    concurrent: int = 0

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, order=Order.PARALLEL, limit=self.concurrent)


class Dag(Sequential):
    needs: dict[str, tuple[str, ...]]

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, order=Order.GRAPH, waits_for=self.needs)


class ForEach(Sequential):
    values: Any
    limit: int = 1
    inner: Order = Order.SEQUENTIAL

    def questions(self) -> Mapping[str, Json]:
        return {"values": self.values}

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        values = answers["values"]
        values = json.loads(values) if isinstance(values, str) else values
        if any(value is None for value in values):
            raise TaskFailed("Found null values", outputs={"nulls": 1})
        texts = tuple(value if isinstance(value, str) else json.dumps(value) for value in values)
        return Plan(tasks=self.tasks, values=texts, limit=self.limit, order=self.inner)


class If(Flowable):
    condition: str
    then: tuple[TaskSpec, ...] = ()
    else_: tuple[TaskSpec, ...] = ()

    def questions(self) -> Mapping[str, Json]:
        return {"condition": self.condition}

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        holds = truthy(answers["condition"])
        return Plan(branch="then" if holds else "else", tasks=self.then if holds else self.else_, outputs={"evaluationResult": holds})

    def branches(self) -> Mapping[str, tuple[TaskSpec, ...]]:
        return {"then": self.then, "else": self.else_}


class Pause(Sequential):
    tasks: tuple[TaskSpec, ...] = ()
    seconds: int | None = None
    overdue: State = State.SUCCESS
    beside: tuple[TaskSpec, ...] = ()

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        length = None if self.seconds is None else self.seconds * SECOND
        return Plan(tasks=self.tasks, wait=Wait(length=length, overdue=self.overdue, beside=self.beside))


class Until(Sequential):
    condition: str
    most: int | None = None
    spent: State = State.SUCCESS

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        repeat = Repeat(condition=self.condition, interval=SECOND, most=self.most, spent=self.spent)
        return Plan(tasks=self.tasks, outputs={"iterationCount": 1}, repeat=repeat)


FLOWABLES: dict[str, type[Flowable]] = {cls.__name__: cls for cls in (Sequential, AllowFailure, Parallel, Dag, ForEach, If, Pause, Until)}


class Resolver:
    """Builds each flowable once, by the identity of its spec."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[TaskSpec, Flowable | None]] = {}

    def __call__(self, spec: TaskSpec) -> Flowable | None:
        if id(spec) not in self._known:
            kind = FLOWABLES.get(spec.type)
            self._known[id(spec)] = (spec, kind.model_validate(dict(spec.raw)) if kind is not None else None)
        return self._known[id(spec)][1]


def a_flow(*tasks: Mapping[str, Any], **fields: Any) -> Flow:
    return Flow.model_validate({"id": "f", "namespace": "io.test", "tasks": list(tasks), **fields})


def log(task_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "Log", **fields}


def fail(task_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "Fail", **fields}


def leave(task_id: str, state: str = "SUCCESS", **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "Exit", "state": state, **fields}


def of(kind: str, task_id: str, *tasks: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": kind, "tasks": list(tasks), **fields}


def an_execution(flow: Flow, **fields: Any) -> Execution:
    values = {"id": "e", "namespace": flow.namespace, "flow_id": flow.id, "flow_revision": 1, "state": Lifecycle.begin(EPOCH), **fields}
    return Execution(**values)


def rendered(template: Json, context: Mapping[str, Json]) -> Json:
    """Enough of the expression language for these tests: `{{ a.b[c.d] }}` alone, or plain values."""
    if isinstance(template, str) and template.startswith("{{"):
        try:
            return eval(_compiled(template[2:-2].strip()), {"__builtins__": {}}, _Names(context))
        except Exception as err:
            raise ExpressionFailed(f"Unable to find `{err}`") from err
    if isinstance(template, Mapping):
        return {key: rendered(value, context) for key, value in template.items()}
    return [rendered(value, context) for value in template] if isinstance(template, list) else template


@cache
def _compiled(text: str) -> Any:
    return compile(text, "<template>", "eval")


class _Names(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        raise KeyError(name)

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        return _Names(value) if isinstance(value, dict) else value

    __getattr__ = __getitem__


def _those_that_render(templates: Mapping[str, Json], context: Mapping[str, Json]) -> dict[str, Json]:
    found = {}
    for key, template in templates.items():
        with suppress(ExpressionFailed):
            found[key] = rendered(template, context)
    return found


Worker = Callable[["Driver", TaskRun], Outcome | None]


class Driver:
    """Runs everything at once, one second per run, unless `worker` says otherwise (None: it goes on until told)."""

    def __init__(self, flow: Flow, worker: Worker | None = None, **execution: Any) -> None:
        self.flow, self.resolve = flow, Resolver()
        self.view = ExecutionView(flow, an_execution(flow, **execution), ())
        self.now, self.ids = EPOCH, 0
        self.worker = worker or type(self).by_type
        self.waiting: deque[Run] = deque()
        self.timers: list[SetTimer] = []
        self.stops: list[StopRun] = []
        self.said: list[Say] = []
        self.unanswered: list[Evaluate] = []
        self.anew: list[StartAnew] = []
        self.listening: Callable[[int], bool] = lambda at: True
        self.answering = True
        self.events = 0

    def new_id(self) -> str:
        self.ids += 1
        return f"r{self.ids}"

    # --- one event

    def send(self, event: Event) -> Decision:
        self.events += 1
        before = self.view.execution
        decision = step(self.view, event, self.now, self.new_id, self.resolve)
        assert self.view.execution is before, "a step changes no row"
        return self.take(decision)

    def take(self, decision: Decision) -> Decision:
        self.view.apply(decision)
        for command in decision.commands:
            match command:
                case Evaluate():
                    self.unanswered.append(command)
                case Run():
                    self.waiting.append(command)
                case SetTimer():
                    self.timers.append(command)
                case StopRun():
                    self.stops.append(command)
                case StartAnew():
                    self.anew.append(command)
                case Say():
                    self.said.append(command)
        if self.answering:
            self.answer()
        return decision

    def answer(self) -> None:
        """Answer every question asked."""
        while self.unanswered:
            asked = self.unanswered.pop(0)
            self.send(self.evaluated(asked))

    def evaluated(self, asked: Evaluate) -> Evaluated:
        run = self.view.run(asked.task_run_id) if asked.task_run_id else None
        context, _ = variables(self.view, run, None)
        if asked.question == LISTENING:
            return Evaluated(None, LISTENING, {str(at): self.listening(at) for at in range(len(self.flow.listeners))})
        if asked.question == SLA:
            return Evaluated(None, SLA, {"assertions": _those_that_render(asked.templates["assertions"], context)})
        try:
            return Evaluated(asked.task_run_id, asked.question, {name: rendered(value, context) for name, value in asked.templates.items()})
        except ExpressionFailed as err:
            return Evaluated(asked.task_run_id, asked.question, error=str(err))

    # --- whole lives

    def start(self) -> Driver:
        self.send(Started())
        return self

    def run(self) -> Driver:
        """Start, and go on until nothing moves: runs first, then the earliest timer."""
        self.start()
        return self.go_on()

    def run_until_paused(self) -> Driver:
        """Start, and let everything begin that may; timers are left alone."""
        self.start()
        while self.waiting:
            self.work_one()
        assert self.state is State.PAUSED
        return self

    def go_on(self) -> Driver:
        while not is_over(self.view):
            if self.waiting:
                self.work_one()
            elif self.timers:
                timer = min(self.timers, key=operator.attrgetter("at"))
                self.timers.remove(timer)
                self.now = max(self.now, timer.at)
                self.send(TimerFired(timer.kind, timer.task_run_id))
            else:
                break
        return self

    def work_one(self) -> None:
        run = self.waiting.popleft().run
        self.send(RunReceived(run.id, run.lease, "w1", self.now))
        self.now += SECOND
        outcome = self.worker(self, run)
        if outcome is not None:
            self.send(RunEnded(outcome))

    def by_type(self, run: TaskRun) -> Outcome:
        """Log succeeds, Fail fails, Exit ends the execution, Return gives its `format` rendered."""
        spec = self.view.spec(run)
        if spec.type == "Fail":
            return self.outcome(run, "FAILED", error="Task failure")
        if spec.type == "Exit":
            return self.outcome(run, "SUCCESS", ends=spec.raw["state"])
        if spec.type != "Return":
            return self.outcome(run, "SUCCESS")
        try:
            value = rendered(spec.raw["format"], variables(self.view, self.view.run(run.id), None)[0])
        except ExpressionFailed as err:
            return self.outcome(run, "FAILED", error=str(err))
        return self.outcome(run, "SUCCESS", outputs={"value": value})

    def outcome(self, run: TaskRun, state: Any, **fields: Any) -> Outcome:
        return Outcome(task_run_id=run.id, execution_id=run.execution_id, lease=run.lease, at=self.now, state=state, **fields)

    def restart(self) -> Driver:
        """Forget all that is not saved, and come back from the rows."""
        execution = Execution.model_validate_json(self.view.execution.model_dump_json(by_alias=True))
        runs = [TaskRun.model_validate_json(run.model_dump_json(by_alias=True)) for run in self.view.runs]
        self.view = ExecutionView(self.flow, execution, runs)
        self.timers, self.unanswered = [], []
        self.take(reconcile(self.view, self.now, self.resolve, self.new_id))
        return self

    # --- what came of it

    @property
    def state(self) -> State:
        return self.view.execution.state.current

    @property
    def history(self) -> list[str]:
        return [entry.state.value for entry in self.view.execution.state.histories]

    def states(self) -> list[tuple[str, str]]:
        return [(run.task_id, run.state.current.value) for run in self.view.runs]

    def one(self, task_id: str) -> TaskRun:
        (run,) = [run for run in self.view.runs if run.task_id == task_id]
        return run

    def all_of(self, task_id: str) -> list[TaskRun]:
        return [run for run in self.view.runs if run.task_id == task_id]
