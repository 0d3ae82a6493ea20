"""How task runs and executions end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any

from orchestrator.engine.aftermath import afterwards
from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.events import Evaluate, StartAnew
from orchestrator.engine.retry import next_attempt
from orchestrator.model.execution import Attempt, Cause, Phase, PhaseName, TaskRun
from orchestrator.model.flow import Retry, RetryBehavior, TaskSpec
from orchestrator.model.log import Level
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Json

OUTPUTS = "outputs"  # the question about a flow's outputs


def end_run(draft: Draft, run: TaskRun, state: State, *, at: datetime | None = None, **fields: Any) -> None:
    """End a run in `state`, or in what its task allows instead. In KILLING every end is a kill."""
    if run.state.current is State.KILLING:
        state, fields["cause"] = State.KILLED, Cause.KILLED
    else:
        state = allowed(draft.spec(run), state)
    draft.change(run, state=run.state.to(state, at or draft.now), due=None, **fields)


def allowed(spec: TaskSpec, state: State) -> State:
    """What a task's `allowFailure` and `allowWarning` make of an end."""
    if state is State.FAILED and spec.allow_failure:
        state = State.WARNING
    return State.SUCCESS if state is State.WARNING and spec.allow_warning else state


def fail_before(draft: Draft, run: TaskRun, message: str, *, attempted: bool, outputs: Mapping[str, Json] | None = None) -> None:
    """End a run that could not even be prepared, saying why. With `attempted` that counts as its one attempt."""
    draft.say(Level.ERROR, message, run.id)
    if run.state.current in (State.CREATED, State.RESTARTED):
        run = run.model_copy(update={"state": run.state.to(State.RUNNING, draft.now)})
    attempts = (*run.attempts, begun(draft.now)) if attempted else run.attempts
    ended = closed(attempts, State.FAILED, draft.now)
    end_run(draft, run, State.FAILED, cause=Cause.EXPRESSION, error=message, attempts=ended, outputs=dict(outputs or {}))


def try_anew(draft: Draft, retry: Retry | None, ended: datetime) -> bool:
    """Have another execution made in place of this one, where `retry` says so and is not spent. Once per execution."""
    if retry is None or retry.behavior is not RetryBehavior.CREATE_NEW_EXECUTION or draft.counters.retried:
        return False
    about = draft.execution.metadata
    chance = Random(f"{draft.execution.id}:{about.attempt_number}").random()  # noqa: S311 - the same for the same row, no secret
    first = about.original_created_date or draft.execution.state.start
    due = next_attempt(retry, ended=ended, attempts=about.attempt_number, first_started=first, chance=chance)
    if due is None:
        return False
    draft.commands.append(StartAnew(due))
    return True


def begun(at: datetime, worker: str | None = None) -> Attempt:
    """An attempt that runs since `at`."""
    return Attempt.model_construct(state=Lifecycle.begin(at).to(State.RUNNING, at), worker_id=worker, log_file=None)


def closed(attempts: tuple[Attempt, ...], state: State, at: datetime) -> tuple[Attempt, ...]:
    """The attempts with the last one ended, if it goes on."""
    if not attempts or attempts[-1].state.current.ended:
        return attempts
    return (*attempts[:-1], attempts[-1].model_copy(update={"state": attempts[-1].state.to(state, at)}))


def with_phase(run: TaskRun, name: PhaseName, at: datetime) -> tuple[Phase, ...]:
    """A run's phases with one more."""
    return (*run.phases, Phase.model_construct(name=name, at=at, detail=None))


def end_execution(draft: Draft, state: State) -> None:
    """End the execution, once its outputs are known where it has any and did not fail. One that failed may be tried anew."""
    outputs = draft.view.flow.outputs
    if state is State.FAILED and try_anew(draft, draft.view.flow.retry, draft.now):
        _give_up(draft)
        state = State.RETRIED
    if outputs and state in (State.SUCCESS, State.WARNING):
        draft.commands.append(Evaluate(None, OUTPUTS, {output.id: output.value for output in outputs}))
    else:
        close_execution(draft, state)


def _give_up(draft: Draft) -> None:
    """Mark what failed in an execution that another one is made of."""
    for run in draft.runs():
        if run.state.current is State.FAILED:
            draft.change(run, state=run.state.to(State.RETRIED, draft.now))


def close_execution(draft: Draft, state: State, outputs: Json = None) -> None:
    """End the execution now."""
    fields = {} if outputs is None else {"outputs": dict(outputs)}
    draft.amend(state=draft.execution.state.to(state, draft.now), **fields, **afterwards(draft.view.flow))
    draft.todo.append(Advance(None))
