"""Who leads: a flow or a flowable, with the tasks that its plan names, ready to be asked for the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model.flow import Flow, TaskSpec
from orchestrator.model.state import State
from orchestrator.sdk.task import Flowable, Order, Plan

MAIN, ERRORS, FINALLY = "tasks", "errors", "finally"


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
    """What a leader runs: its plan, then `errors` when that failed, then `finally`."""

    owner: str | None
    main: Roster
    errors: Roster
    finally_: Roster
    on_failure: State = State.FAILED

    def roster(self, branch: str) -> Roster:
        return {ERRORS: self.errors, FINALLY: self.finally_}.get(branch, self.main)

    def spec(self, branch: str, task_id: str) -> TaskSpec:
        roster = self.roster(branch)
        return roster.tasks[roster.position[task_id]]


def flow_lead(flow: Flow) -> Lead:
    """The flow as the leader of its own tasks."""
    return Lead(None, Roster(MAIN, flow.tasks), Roster(ERRORS, flow.errors), Roster(FINALLY, flow.finally_))


def plan_lead(owner: str, flowable: Flowable, plan: Plan) -> Lead:
    """A flowable run as the leader of what it plans."""
    main = Roster(plan.branch, plan.tasks, order=plan.order, limit=plan.limit, values=plan.values, waits_for=plan.waits_for)
    return Lead(owner, main, Roster(ERRORS, flowable.errors), Roster(FINALLY, flowable.finally_), plan.on_failure)
