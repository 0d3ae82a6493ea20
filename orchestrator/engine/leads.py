"""Who leads: a flow or a flowable, with the tasks that its plan names, ready to be asked for the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model.flow import Flow, TaskSpec
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.sdk.task import Flowable, Order, Plan
from orchestrator.sdk.waits import Repeat, Wait

MAIN, ERRORS, FINALLY = "tasks", "errors", "finally"
BESIDE = "onPause"  # what runs while its leader waits to be resumed
AFTER, LISTENERS = "afterExecution", "listeners."  # what runs once the execution has ended
ENDS = "$ends"  # among a flowable's answers: the state that it ends in at best, once that is known before its tasks have run


class Roster:
    """One branch: its enabled tasks in order, and how they follow each other. `values` None: it runs once."""

    __slots__ = ("branch", "limit", "order", "position", "tasks", "values", "waits_for")

    def __init__(
        self,
        branch: str,
        tasks: Sequence[TaskSpec],
        *,
        order: Order = Order.SEQUENTIAL,
        limit: int = 0,
        values: tuple[str, ...] | None = None,
        waits_for: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.branch, self.order, self.limit = branch, order, limit
        self.tasks = tuple(task for task in tasks if not task.disabled)
        self.position = {task.id: index for index, task in enumerate(self.tasks)}
        self.values = values if values is None or self.tasks else ()
        self.waits_for = waits_for or {}

    def after(self, last: str) -> TaskSpec | None:
        """The task that comes after the one named ("": the first), or None."""
        index = self.position[last] + 1 if last else 0
        return self.tasks[index] if index < len(self.tasks) else None


@dataclass(frozen=True, slots=True)
class Lead:
    """What a leader runs: its plan, then `errors` when that failed, then `finally`; `others` stand apart from these.

    It ends in `ends` at best. With `wait` it begins only when it is resumed, with `repeat` its plan is run again.
    """

    owner: str | None
    main: Roster
    errors: Roster
    finally_: Roster
    on_failure: State = State.FAILED
    ends: State = State.SUCCESS
    others: tuple[Roster, ...] = ()
    wait: Wait | None = None
    repeat: Repeat | None = None

    def roster(self, branch: str) -> Roster:
        own = {ERRORS: self.errors, FINALLY: self.finally_}.get(branch)
        return own or next((other for other in self.others if other.branch == branch), self.main)

    def spec(self, branch: str, task_id: str) -> TaskSpec:
        roster = self.roster(branch)
        return roster.tasks[roster.position[task_id]]


def flow_lead(flow: Flow) -> Lead:
    """The flow as the leader of its own tasks."""
    listening = tuple(Roster(f"{LISTENERS}{at}", listener.tasks) for at, listener in enumerate(flow.listeners))
    after = (*listening, Roster(AFTER, flow.after_execution))
    return Lead(None, Roster(MAIN, flow.tasks), Roster(ERRORS, flow.errors), Roster(FINALLY, flow.finally_), others=after)


def is_after(branch: str) -> bool:
    """Whether a branch of the flow runs once the execution has ended."""
    return branch == AFTER or branch.startswith(LISTENERS)


def plan_lead(owner: str, flowable: Flowable, plan: Plan, answers: Mapping[str, Json]) -> Lead:
    """A flowable run as the leader of what it plans. `answers` are those that the plan was made of."""
    main = Roster(plan.branch, plan.tasks, order=plan.order, limit=plan.limit, values=plan.values, waits_for=plan.waits_for)
    decided = ENDS in answers
    return Lead(
        owner,
        main,
        Roster(ERRORS, flowable.errors),
        Roster(FINALLY, flowable.finally_),
        plan.on_failure,
        ends=State(answers[ENDS]) if decided else State.SUCCESS,
        others=(Roster(BESIDE, plan.wait.beside),) if plan.wait is not None else (),
        wait=None if decided else plan.wait,
        repeat=None if decided else plan.repeat,
    )
