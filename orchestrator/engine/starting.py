"""Starts that fail: tried again by a budget of their own, apart from the user's `retry`, which is for the user's failures."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from orchestrator.engine.costing import cost_until
from orchestrator.engine.draft import Draft
from orchestrator.engine.endings import closed, end_run, with_phase
from orchestrator.engine.events import SetTimer, TimerKind
from orchestrator.engine.start_budget import next_start
from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import Attempt, Cause, PhaseName, TaskRun
from orchestrator.model.log import Level
from orchestrator.model.start import FailedStart
from orchestrator.model.state import State
from orchestrator.model.values import format_duration


def on_failed_start(draft: Draft, run: TaskRun, outcome: Outcome, failed: FailedStart) -> None:
    """Have the run started again under a new generation, or end it. What never began is no attempt of the user's."""
    failures, reason = run.start_failures + 1, outcome.error or "it could not be started"
    chance = Random(f"{run.id}:{run.generation}").random()  # noqa: S311 - the same for the same row, no secret
    due = next_start(draft.view.starts, failed, at=outcome.at, failures=failures, chance=chance)
    phases = with_phase(run, PhaseName.ENDED, outcome.at)
    fields: dict[str, object] = {"cause": Cause.START_FAILED, "error": reason, "start_failures": failures, "phases": phases}
    fields["cost"] = cost_until(run, outcome.at, draft.view.prices)
    told = f"Start {failures} failed ({failed.kind}): {reason}"
    if due is None:
        draft.say(Level.ERROR, told, run.id)
        end_run(draft, run, State.FAILED, at=outcome.at, attempts=closed(run.attempts, State.FAILED, outcome.at), **fields)
        return
    draft.say(Level.WARN, f"{told}; the next begins in {format_duration(max(due - draft.now, timedelta()))}", run.id)
    draft.change(run, state=run.state.to(State.RETRYING, outcome.at), due=due, job=None, running_since=None, attempts=_begun_ones(run.attempts), **fields)
    draft.commands.append(SetTimer(TimerKind.RETRY, due, run.id))


def _begun_ones(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    return attempts if not attempts or attempts[-1].state.current.ended else attempts[:-1]
