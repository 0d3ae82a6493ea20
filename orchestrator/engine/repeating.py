"""A run that repeats its tasks: after each round it is asked whether that was the last, and waits for the next."""

from __future__ import annotations

from datetime import datetime

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.events import Evaluate, Evaluated, SetTimer, TimerKind
from orchestrator.engine.leads import ENDS, Lead
from orchestrator.model.execution import TaskRun
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.sdk.values import truthy
from orchestrator.sdk.waits import Repeat

UNTIL = "until"  # the question whether a round was the last
ROUNDS = "iterationCount"  # the output that counts them


def ask_until(draft: Draft, lead: Lead, repeat: Repeat) -> None:
    """Ask whether it is through; not while it waits for its next round."""
    run = draft.known(str(lead.owner))
    if run.due is None:
        draft.commands.append(Evaluate(run.id, UNTIL, {"condition": repeat.condition}))


def on_until(draft: Draft, event: Evaluated) -> None:
    """End the repeating, or set the time of the next round."""
    run = draft.run(event.task_run_id or "")
    if run is None or run.state.current is not State.RUNNING or run.answers is None or run.due is not None:
        return
    lead = draft.lead(run.id)
    if lead.repeat is None or draft.counters.branch((lead.owner, lead.main.branch)).active:
        return
    if event.error is not None:
        draft.say(Level.ERROR, event.error, run.id)
        _conclude(draft, run, State.FAILED)
    elif truthy(event.answers.get("condition")):
        _conclude(draft, run, State.SUCCESS)
    elif (spent := _spent(draft, run, lead.repeat)) is not None:
        draft.say(Level.ERROR if lead.repeat.spent is State.FAILED else Level.WARN, spent, run.id)
        _conclude(draft, run, lead.repeat.spent)
    else:
        due = draft.now + lead.repeat.interval
        draft.change(run, due=due)
        draft.commands.append(SetTimer(TimerKind.ROUND, due, run.id))


def on_round_due(draft: Draft, run: TaskRun) -> None:
    """Begin the next round: the runs of the last one are forgotten."""
    if run.state.current is not State.RUNNING or run.due is None or run.answers is None:
        return
    if run.due > draft.now:
        draft.commands.append(SetTimer(TimerKind.ROUND, run.due, run.id))
        return
    lead = draft.lead(run.id)
    if lead.repeat is None:
        return
    for below in draft.view.below(run.id):
        draft.drop(below)
    draft.change(run, due=None, outputs={**run.outputs, ROUNDS: _rounds(run) + 1})
    draft.todo.append(Advance(run.id))


def _conclude(draft: Draft, run: TaskRun, state: State) -> None:
    draft.change(run, answers={**(run.answers or {}), ENDS: state.value})
    draft.todo.append(Advance(run.id))


def _spent(draft: Draft, run: TaskRun, repeat: Repeat) -> str | None:
    """Which bound is reached, if any."""
    if repeat.most is not None and _rounds(run) >= repeat.most:
        return f"Max iterations reached: {repeat.most}"
    if repeat.longest is not None and draft.now >= _began(run) + repeat.longest:
        return "Max duration reached"
    return None


def _rounds(run: TaskRun) -> int:
    return int(run.outputs.get(ROUNDS, 1))


def _began(run: TaskRun) -> datetime:
    """When it last began to run, after a restart too."""
    return next(entry.date for entry in reversed(run.state.histories) if entry.state is State.RUNNING)
