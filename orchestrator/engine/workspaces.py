"""A flowable that has a place on a worker while its tasks run there: sent as a run, then the leader of others."""

from __future__ import annotations

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.endings import with_phase
from orchestrator.engine.events import RunOpened
from orchestrator.engine.leads import plan_lead
from orchestrator.engine.standing import current_run, opened, received
from orchestrator.model.execution import PhaseName
from orchestrator.model.state import State
from orchestrator.sdk.workspace import ROUND, Workspace


def on_opened(draft: Draft, event: RunOpened) -> None:
    """The folder is ready: its tasks may begin, anew when it was lost with a worker."""
    run = current_run(draft, event.task_run_id, event.lease)
    if run is None or opened(run) or not received(run) or run.state.current is State.KILLING:
        return
    flowable = draft.resolve(draft.spec(run))
    if isinstance(flowable, Workspace):
        answers = {ROUND: 0, **(run.answers or {})}
        run = draft.change(run, answers=answers, phases=with_phase(run, PhaseName.RUNNING, event.at))
        draft.view.remember(run, plan_lead(run.id, flowable, flowable.plan(answers), answers))
        draft.todo.append(Advance(run.id))
