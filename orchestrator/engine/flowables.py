"""From a run's creation to what it is: skipped, sent to a place, or the leader of other runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.endings import end_run, fail_before
from orchestrator.engine.events import Evaluate, Evaluated
from orchestrator.engine.leads import plan_lead
from orchestrator.engine.pausing import wait_here
from orchestrator.engine.runs import dispatch
from orchestrator.engine.standing import dispatched, unbegun
from orchestrator.engine.wishes import asked_of, holds_template, templates_of
from orchestrator.errors import TaskFailed
from orchestrator.model.execution import TaskRun
from orchestrator.model.flow import TaskSpec
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.sdk.task import Flowable
from orchestrator.sdk.template import is_template
from orchestrator.sdk.values import truthy
from orchestrator.sdk.workspace import Workspace

BEFORE, PLAN = "before", "plan"
PLACEMENT, RESOURCES = "placement", "resources"  # questions about a run's place


def begin(draft: Draft, run_id: str) -> None:
    """Ask what a new run's templates say, or go on at once when it has none. A flowable that was begun is asked for its plan."""
    run = draft.known(run_id)
    if not unbegun(run):
        _plan_again(draft, run)
        return
    spec = draft.spec(run)
    try:
        flowable = draft.resolve(spec)
    except Exception as err:  # a plugin's bug must end its run, not hang it
        fail_before(draft, run, _reason(err), attempted=False)
        return
    templates = _templates_before(draft, run, spec, flowable)
    if templates:
        draft.commands.append(Evaluate(run.id, BEFORE, templates))
    else:
        _go_on(draft, run, spec, flowable, {})


def _plan_again(draft: Draft, run: TaskRun) -> None:
    if run.state.current is State.RUNNING and run.answers is None and not dispatched(run):
        flowable = draft.resolve(draft.spec(run))
        if flowable is not None:
            ask_plan(draft, run, flowable)


def _templates_before(draft: Draft, run: TaskRun, spec: TaskSpec, flowable: Flowable | None) -> Mapping[str, Json]:
    asked: dict[str, Json] = {"runIf": spec.run_if}
    if _is_sent(flowable):
        asked |= {"timeout": spec.timeout, "queueTimeout": spec.queue_timeout}
    found = {name: value for name, value in asked.items() if is_template(value)}
    return {**found, **_templates_of_place(draft, run, spec)} if _is_sent(flowable) else found


def _is_sent(flowable: Flowable | None) -> bool:
    """Whether a place gets it: what does something, and what has a place for what it leads."""
    return flowable is None or isinstance(flowable, Workspace)


def _templates_of_place(draft: Draft, run: TaskRun, spec: TaskSpec) -> Mapping[str, Json]:
    place, _ = asked_of(spec, draft.ancestors(run), draft.view.flow, draft.view.rules())
    asked = {PLACEMENT: templates_of(place) if place.anything else None, RESOURCES: spec.resources if holds_template(spec.resources) else None}
    return {name: value for name, value in asked.items() if value is not None}


def on_before(draft: Draft, event: Evaluated) -> None:
    """Go on with a run whose templates are rendered."""
    run = draft.run(event.task_run_id or "")
    if run is None or not unbegun(run):
        return
    spec, flowable = draft.spec(run), draft.resolve(draft.spec(run))
    if event.error is not None:
        fail_before(draft, run, event.error, attempted=_is_sent(flowable))
    else:
        _go_on(draft, run, spec, flowable, dict(event.answers))


def _go_on(draft: Draft, run: TaskRun, spec: TaskSpec, flowable: Flowable | None, answers: dict[str, Json]) -> None:
    run_if = answers.get("runIf", spec.run_if)
    if run_if is not None and not truthy(run_if):
        end_run(draft, run, State.SKIPPED)
    elif flowable is None or isinstance(flowable, Workspace):
        dispatch(draft, run, spec, answers)
    else:
        ask_plan(draft, draft.change(run, state=run.state.to(State.RUNNING, draft.now)), flowable)


def ask_plan(draft: Draft, run: TaskRun, flowable: Flowable) -> None:
    """Have a flowable's questions answered, or let it plan at once when it has none."""
    try:
        questions = flowable.questions()
    except Exception as err:
        fail_before(draft, run, _reason(err), attempted=False)
        return
    if questions:
        draft.commands.append(Evaluate(run.id, PLAN, questions))
    else:
        _plan(draft, run, flowable, {})


def on_plan(draft: Draft, event: Evaluated) -> None:
    """Let a flowable decide by its answers."""
    run = draft.run(event.task_run_id or "")
    if run is None or run.state.current is not State.RUNNING or run.answers is not None or dispatched(run):
        return
    flowable = draft.resolve(draft.spec(run))
    if event.error is not None:
        fail_before(draft, run, event.error, attempted=False)
    elif flowable is not None:
        _plan(draft, run, flowable, dict(event.answers))


def _plan(draft: Draft, run: TaskRun, flowable: Flowable, answers: dict[str, Any]) -> None:
    try:
        plan = flowable.plan(answers)
        lead = plan_lead(run.id, flowable, plan, answers)
    except TaskFailed as err:
        fail_before(draft, run, _reason(err), attempted=False, outputs=err.outputs)
        return
    except Exception as err:  # a plugin's bug must end its run, not hang it
        fail_before(draft, run, _reason(err), attempted=False)
        return
    led = draft.change(run, answers=answers, outputs=dict(plan.outputs))
    draft.view.remember(led, lead)
    if plan.wait is not None and not draft.counters.retried:
        wait_here(draft, led, plan.wait)
    else:
        draft.todo.append(Advance(run.id))


def _reason(err: Exception) -> str:
    return str(err) or type(err).__name__
