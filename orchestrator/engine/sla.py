"""What a flow promises of its executions: watched from their start, and what becomes of one that breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.endings import close_execution
from orchestrator.engine.events import Evaluate, Evaluated, SetTimer, TimerKind
from orchestrator.engine.killing import stop_all
from orchestrator.model.execution import Execution
from orchestrator.model.flow import Flow
from orchestrator.model.log import Level
from orchestrator.model.sla import Sla, SlaBehavior, SlaKind
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Label, format_duration
from orchestrator.sdk.values import truthy

SLA = "sla"  # the question about assertions
_ENDS: Mapping[SlaBehavior, State] = {SlaBehavior.FAIL: State.FAILED, SlaBehavior.CANCEL: State.CANCELLED}


def set_deadlines(draft: Draft) -> None:
    """Have the engine told when the execution has taken as long as it may."""
    for _, sla in _open(draft, SlaKind.MAX_DURATION):
        if sla.duration is not None:
            draft.commands.append(SetTimer(TimerKind.SLA, began(draft.execution.state) + sla.duration))


def began(state: Lifecycle) -> datetime:
    """When an execution was created, or restarted after it had ended."""
    pairs = zip(state.histories, state.histories[1:], strict=False)
    restarts = [after.date for before, after in pairs if before.state.ended and after.state is State.RESTARTED]
    return restarts[-1] if restarts else state.start


def on_deadline(draft: Draft) -> None:
    """Break every promise about the duration whose time has come."""
    for key, sla in _open(draft, SlaKind.MAX_DURATION):
        if sla.duration is not None and draft.now >= began(draft.execution.state) + sla.duration:
            _break(draft, key, sla, f"the execution has taken more than {format_duration(sla.duration)}")


def ask_assertions(draft: Draft) -> bool:
    """Ask whether the assertions hold, before the flow goes on. False when there are none to ask."""
    templates = {key: sla.assertion for key, sla in _open(draft, SlaKind.EXECUTION_ASSERTION)}
    if not templates:
        return False
    if not any(isinstance(command, Evaluate) and command.question == SLA for command in draft.commands):
        draft.commands.append(Evaluate(None, SLA, {"assertions": templates}))
    return True


def on_assertions(draft: Draft, event: Evaluated) -> bool:
    """Break the assertions that do not hold; whether the flow goes on. One that cannot be rendered says nothing yet: its outputs may be to come."""
    rendered = event.answers.get("assertions") or {}
    for key, sla in list(_open(draft, SlaKind.EXECUTION_ASSERTION)):
        if key in rendered and not truthy(rendered[key]):
            _break(draft, key, sla, f"`{sla.assertion}` does not hold")
    return not draft.execution.state.current.ended and not draft.killing


def end_by_sla(flow: Flow, execution: Execution) -> State | None:
    """What an execution that is being stopped ends in because of a promise that it broke; None: a person stops it."""
    broken = [flow.sla[int(key)] for key in execution.broken_sla or () if int(key) < len(flow.sla)]
    return next((_ENDS[sla.behavior] for sla in broken if sla.behavior in _ENDS), None)


def _open(draft: Draft, kind: SlaKind) -> Iterator[tuple[str, Sla]]:
    """The promises of a kind that are kept so far, by their place in the flow: ids may be given twice."""
    if draft.execution.state.current.ended or draft.killing:
        return
    for at, sla in enumerate(draft.view.flow.sla):
        if sla.type is kind and str(at) not in (draft.execution.broken_sla or ()):
            yield str(at), sla


def _break(draft: Draft, key: str, sla: Sla, why: str) -> None:
    draft.say(Level.WARN if sla.behavior is SlaBehavior.NONE else Level.ERROR, f"SLA '{sla.id}' violated: {why}")
    labels = {label.key: label for label in (*draft.execution.labels, *sla.labels)}
    draft.amend(broken_sla=(*(draft.execution.broken_sla or ()), key), labels=tuple(Label(key=one.key, value=one.value) for one in labels.values()))
    state = _ENDS.get(sla.behavior)
    if state is None or draft.killing or draft.execution.state.current.ended:
        return
    if draft.view.active():
        stop_all(draft)
        draft.todo.append(Advance(None))
    else:
        close_execution(draft, state)
