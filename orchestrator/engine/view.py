"""One execution in memory: its rows, and indices that make every step's cost independent of how many they are."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from orchestrator.engine.counters import BranchKey, Counters
from orchestrator.engine.events import Decision
from orchestrator.engine.leads import Lead, flow_lead, plan_lead
from orchestrator.engine.paths import Paths
from orchestrator.engine.start_budget import StartBudget
from orchestrator.engine.wishes import NOTHING_SET, Rules
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow, TaskSpec
from orchestrator.model.price import Price
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.sdk.task import Flowable

Resolve = Callable[[TaskSpec], Flowable | None]


class ExecutionView:
    """The rows of one execution, as saved, and what follows from them.

    Built once, advanced by `apply`. A row that a person set back from an ended state needs a new view.
    `resolve` (spec -> its flowable, None for a task that does something) is also taken from each step.
    """

    def __init__(self, flow: Flow, execution: Execution, runs: Iterable[TaskRun], resolve: Resolve | None = None) -> None:
        self.flow, self.execution, self.resolve = flow, execution, resolve
        self.rules: Callable[[], Rules] = lambda: NOTHING_SET  # what is said of places outside the flow, as it is now
        self.prices: Sequence[Price] = ()
        self.starts = StartBudget()  # how often a job may fail to start
        self.counters = Counters()
        self.paths = Paths(self.run)
        self._runs: dict[str, TaskRun] = {}
        self._active: dict[str, None] = {}
        self._texts: dict[str, str] = {}
        self._leads: dict[str | None, tuple[Json, Lead]] = {}
        self.idle: dict[BranchKey, deque[int]] = {}  # iterations of loops to be gone on with; found again when the rows are taken up
        self._root = flow_lead(flow)
        self.blank = TaskRun(
            id="", execution_id=execution.id, namespace=execution.namespace, flow_id=execution.flow_id, task_id="", state=execution.state
        )  # what new runs are copied from: much faster than making one
        for run in sorted(runs, key=lambda run: run.seq):
            self._take(run)

    # --- rows

    @property
    def runs(self) -> Sequence[TaskRun]:
        """All task runs, in the order they were made."""
        return tuple(self._runs.values())

    def run(self, run_id: str) -> TaskRun | None:
        return self._runs.get(run_id)

    def active(self) -> Sequence[TaskRun]:
        """The task runs that have not ended, oldest first."""
        return tuple(self._runs[run_id] for run_id in self._active)

    def apply(self, decision: Decision) -> None:
        """Take over the rows of a saved decision."""
        if decision.execution is not None:
            self.execution = decision.execution
        for run in decision.runs:
            self._take(run)

    def _take(self, run: TaskRun) -> None:
        old = self._runs.get(run.id)
        self._runs[run.id] = run
        self.counters.take(old, run)
        self._texts.pop(run.id, None)
        if old is None:
            self.paths.add(run)
        if run.state.current.ended:
            self._active.pop(run.id, None)
            self._leads.pop(run.id, None)
        else:
            self._active[run.id] = None

    # --- what the rows mean

    def lead(self, run: TaskRun) -> Lead:
        """What a flowable run leads, by its saved answers.

        Raises TaskFailed when they give no plan, LookupError when it has none yet or is no flowable.
        """
        known = self._leads.get(run.id)
        if known is not None and known[0] is run.answers:
            return known[1]
        flowable = self.resolve(self.spec(run)) if self.resolve is not None else None
        if flowable is None or run.answers is None:
            raise LookupError(f"task run {run.id} leads nothing")
        lead = plan_lead(run.id, flowable, flowable.plan(run.answers))
        self.remember(run, lead)
        return lead

    def remember(self, run: TaskRun, lead: Lead) -> None:
        """Keep a plan that was made of a run's answers: the same answers give the same plan."""
        self._leads[run.id] = (run.answers, lead)

    @property
    def root(self) -> Lead:
        """The flow as the leader of its own tasks."""
        return self._root

    def spec(self, run: TaskRun) -> TaskSpec:
        """The task that a run is of. Raises LookupError for a task that its flow has no more."""
        lead = self._root if run.parent_id is None else self.lead(self._runs[run.parent_id])
        return lead.spec(run.branch, run.task_id)

    def parents(self, run: TaskRun) -> Sequence[TaskRun]:
        """The task runs above a run, nearest first."""
        found = []
        while run.parent_id is not None:
            run = self._runs[run.parent_id]
            found.append(run)
        return found

    def ancestors(self, run: TaskRun) -> Sequence[TaskSpec]:
        """The flowable tasks around a run, nearest first."""
        return [self.spec(parent) for parent in self.parents(run)]

    def before_answers(self, run: TaskRun) -> Json:
        """The rendered `runIf`, `timeout`, `queueTimeout`, `placement` and `resources` of a run that was dispatched, those that held templates."""
        return run.answers if run.lease else None

    # --- as shown

    def as_json(self) -> str:
        """The REST API's Execution with its task runs; only what changed since the last call is written anew."""
        empty = {name for name in ("inputs", "outputs", "variables") if not getattr(self.execution, name)}
        return f'{_text(self.execution, empty)[:-1]},"taskRunList":[{",".join(map(self._run_text, self._runs))}]}}'

    def _run_text(self, run_id: str) -> str:
        text = self._texts.get(run_id)
        if text is None:
            text = self._texts[run_id] = _text(self._runs[run_id])
        return text

    @property
    def killing(self) -> bool:
        return self.execution.state.current is State.KILLING


def _text(row: BaseModel, leave_out: set[str] | None = None) -> str:
    try:
        return row.model_dump_json(by_alias=True, exclude_none=True, exclude=leave_out)
    except PydanticSerializationError:  # half a surrogate pair: JSON can only say it escaped
        shown: dict[str, Any] = row.model_dump(by_alias=True, exclude_none=True, exclude=leave_out)
        return json.dumps(shown, default=to_jsonable_python)
