"""How an execution is paused and goes on: where a run waits to be resumed, or as a whole because a person asked for it."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.endings import end_run
from orchestrator.engine.events import ResumeAsked, SetTimer, TimerKind
from orchestrator.engine.leads import BESIDE, ENDS, Lead
from orchestrator.engine.taking_up import take_up
from orchestrator.model.execution import Cause, TaskRun
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json, format_duration, format_instant
from orchestrator.sdk.waits import Wait

GIVEN, RESUMED = "onResume", "resumed"  # outputs: the values that were asked for, and when and how it went on


def wait_here(draft: Draft, run: TaskRun, wait: Wait) -> None:
    """Let a run wait to be resumed, and its execution with it."""
    due = draft.now + wait.length if wait.length is not None else None
    draft.change(run, state=run.state.to(State.PAUSED, draft.now), due=due)
    if due is not None:
        draft.commands.append(SetTimer(TimerKind.PAUSE, due, run.id))
    if draft.execution.state.current is State.RUNNING:
        draft.amend(state=draft.execution.state.to(State.PAUSED, draft.now))
    if wait.beside:
        draft.todo.append(Advance(run.id, BESIDE))


def on_pause(draft: Draft) -> None:
    """Let nothing new begin. Only what is RUNNING can be paused."""
    if draft.execution.state.current is State.RUNNING:
        draft.amend(state=draft.execution.state.to(State.PAUSED, draft.now))


def on_resume(draft: Draft, event: ResumeAsked) -> None:
    """Let it go on: the run that waits, or all of an execution that a person has paused."""
    if event.task_run_id is None:
        _go_on_all(draft)
        return
    run = draft.run(event.task_run_id)
    if run is not None and run.state.current is State.PAUSED:
        _go_on(draft, run, event.state, event.values)


def on_pause_over(draft: Draft, run: TaskRun) -> None:
    """Nobody has resumed it in its time."""
    if run.state.current is not State.PAUSED or run.due is None:
        return
    if run.due > draft.now:
        draft.commands.append(SetTimer(TimerKind.PAUSE, run.due, run.id))
        return
    wait = draft.lead(run.id).wait
    if wait is None or wait.length is None:
        return
    fields: dict[str, object] = {}
    if wait.overdue.failed:
        told = f"Timeout after {format_duration(wait.length)}: nobody resumed it"
        draft.say(Level.ERROR if wait.overdue is State.FAILED else Level.WARN, told, run.id)
        fields = {"cause": Cause.TIMEOUT, "error": told}
    _go_on(draft, run, wait.overdue, {}, **fields)


def _go_on_all(draft: Draft) -> None:
    if not draft.held:
        return
    _running_again(draft)
    for run in draft.view.active():
        take_up(draft, run)
    draft.todo.append(Advance(None))


def _go_on(draft: Draft, run: TaskRun, ends: State, values: Mapping[str, Json], **fields: object) -> None:
    """End a run's wait. `ends` is what becomes of it at best; what is no success keeps its tasks from running."""
    outputs = {**run.outputs, GIVEN: dict(values), RESUMED: {"on": format_instant(draft.now), "to": ends.value}}
    changed: dict[str, object] = {"due": None, "outputs": outputs, **fields}
    if ends is not State.SUCCESS:
        changed["answers"] = {**(run.answers or {}), ENDS: ends.value}
    run = draft.change(run, **changed)
    if _has_more(draft, draft.lead(run.id), ends):
        draft.change(run, state=run.state.to(State.RUNNING, draft.now))
        draft.todo.append(Advance(run.id))
    else:
        end_run(draft, run, ends, cause=run.cause)
    _running_again(draft)


def _has_more(draft: Draft, lead: Lead, ends: State) -> bool:
    """Whether there is something left to run, or to wait for, under a run that is resumed."""
    tasks = () if ends.failed else lead.main.tasks
    errors = lead.errors.tasks if ends is State.FAILED else ()
    return bool(tasks or errors or lead.finally_.tasks or draft.counters.active(lead.owner))


def _running_again(draft: Draft) -> None:
    """The execution goes on; where another run still waits to be resumed it is paused again."""
    if draft.execution.state.current is not State.PAUSED:
        return
    states = [State.RESTARTED, State.RUNNING, *([State.PAUSED] if draft.counters.paused else [])]
    for state in states:
        draft.amend(state=draft.execution.state.to(state, draft.now))
