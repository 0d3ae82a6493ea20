"""The life of a run that does something: sent, received, ended, tried again, timed out, lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from orchestrator.engine.changing import take_along
from orchestrator.engine.costing import cost_until
from orchestrator.engine.draft import Draft, GiveWay
from orchestrator.engine.endings import begun, closed, end_run, fail_before, try_anew, with_phase
from orchestrator.engine.events import Run, RunEnded, RunLost, RunReached, RunReceived, RunRefused, RunStopped, SetTimer, StopRun, TimerKind
from orchestrator.engine.leads import BESIDE
from orchestrator.engine.retry import next_attempt
from orchestrator.engine.scopes import end_state
from orchestrator.engine.standing import current_run, dispatched, is_home, opened, received, workspace_of
from orchestrator.engine.starting import on_failed_start
from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import Attempt, Cause, Phase, PhaseName, TaskRun, Where
from orchestrator.model.flow import Retry, RetryBehavior, TaskSpec
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json, format_duration, parse_duration
from orchestrator.sdk.workspace import ROUND

_WAITING = frozenset({State.CREATED, State.RETRYING, State.RESTARTED})
MOST_LOST = 3  # places that may be lost under one run before it fails
GETTING_READY = frozenset({PhaseName.PROVISIONING, PhaseName.IMAGE})
OUT_OF_TIME = frozenset({Cause.TIMEOUT, Cause.QUEUE_TIMEOUT})  # noted on a run that is being stopped for it; whatever it says then, it has failed


def limit_of(spec: TaskSpec, answers: Json, name: str) -> timedelta | None:
    """A run's `timeout` or `queueTimeout`, rendered where it was a template. Raises ValueError for a bad duration."""
    text = (answers or {}).get(name, spec.timeout if name == "timeout" else spec.queue_timeout)
    return parse_duration(str(text)) if text is not None and str(text).strip() else None


# --- sending


def dispatch(draft: Draft, run: TaskRun, spec: TaskSpec, answers: Json) -> None:
    """Send a run that is ready, with its own bounds checked first."""
    try:
        limit_of(spec, answers, "timeout")
        queue_limit = limit_of(spec, answers, "queueTimeout")
    except ValueError as err:
        fail_before(draft, run, str(err), attempted=True)
        return
    send(draft, run.model_copy(update={"answers": answers or None}), queue_limit)


def send(draft: Draft, run: TaskRun, queue_limit: timedelta | None, **fields: object) -> None:
    """Give a run to a place, under a new lease."""
    due = draft.now + queue_limit if queue_limit is not None else None
    queued = Phase.model_construct(name=PhaseName.QUEUED, at=draft.now, detail=None)
    sent = draft.change(run, lease=run.lease + 1, phases=(queued,), due=due, placement=None, **fields)
    draft.commands.append(Run(sent))
    if due is not None:
        draft.commands.append(SetTimer(TimerKind.QUEUE_TIMEOUT, due, run.id))


def _queue_limit(draft: Draft, run: TaskRun) -> timedelta | None:
    return limit_of(draft.spec(run), run.answers, "queueTimeout")


# --- reports


def on_received(draft: Draft, event: RunReceived) -> None:
    run = current_run(draft, event.task_run_id, event.lease)
    if run is None or received(run):
        return
    run = _receive(draft, run, event.at, event.worker)
    _count_from(draft, run, event.at)


def _count_from(draft: Draft, run: TaskRun, at: datetime) -> None:
    """Let the run's timeout, if it has one, be counted from `at`."""
    timeout = limit_of(draft.spec(run), run.answers, "timeout")
    if timeout is not None and run.state.current is State.RUNNING and run.cause is None:
        due = at + timeout
        draft.change(run, due=due)
        draft.commands.append(SetTimer(TimerKind.TIMEOUT, due, run.id))


def on_reached(draft: Draft, event: RunReached) -> None:
    """Note a stage. The time in which a rented place gets ready has a bound of its own, and is no part of the task's timeout."""
    run = current_run(draft, event.task_run_id, event.lease)
    if run is None:
        return
    run = draft.change(run, phases=(*run.phases, event.phase))
    if run.placement is None or run.placement.where is not Where.SUPERVISOR or run.cause is not None:
        return
    if event.phase.name is PhaseName.RUNNING:
        since = run.running_since or event.phase.at  # it is watched anew, and has run all the while
        _count_from(draft, draft.change(run, running_since=since), since)
    elif event.phase.name in GETTING_READY and run.state.current is State.RUNNING and received(run):
        draft.change(run, due=None)


def _receive(draft: Draft, run: TaskRun, at: datetime, worker: str | None) -> TaskRun:
    """Note that the run's code begins; under a re-dispatch the attempt that was open goes on elsewhere."""
    attempts = run.attempts
    if attempts and not attempts[-1].state.current.ended:
        attempts = (*attempts[:-1], attempts[-1].model_copy(update={"worker_id": worker}))
    else:
        attempts = (*attempts, begun(at, worker))
    state = run.state.to(State.RUNNING, at) if run.state.current in _WAITING else run.state
    return draft.change(run, attempts=attempts, state=state, due=None, phases=with_phase(run, PhaseName.RECEIVED, at))


def on_ended(draft: Draft, event: RunEnded) -> None:
    outcome = event.outcome
    run = current_run(draft, outcome.task_run_id, outcome.lease)
    if run is None:
        return
    if not received(run):
        run = _receive(draft, run, outcome.at, None)
    if (refused := take_along(draft, outcome)) is not None:
        draft.say(Level.ERROR, refused, run.id)
        outcome = outcome.model_copy(update={"state": State.FAILED, "cause": Cause.EXCEPTION, "error": refused})
    state = _with_those_below(draft, run, State(outcome.state))
    if outcome.failed_start is not None and run.cause not in OUT_OF_TIME and run.state.current is not State.KILLING:
        on_failed_start(draft, run, outcome, outcome.failed_start)
        return
    if run.cause in OUT_OF_TIME:
        state, outcome = State.FAILED, outcome.model_copy(update={"cause": run.cause, "error": run.error})
    finish(draft, run, state, outcome.at, outcome)


def finish(draft: Draft, run: TaskRun, state: State, at: datetime, outcome: Outcome | None, *, cause: Cause | None = None, error: str | None = None) -> None:
    """End the present attempt, and with it the run unless it is tried again."""
    if outcome is not None:
        cause, error = outcome.cause, outcome.error
    spec = draft.spec(run)
    _end_those_below(draft, run)
    killing = run.state.current is State.KILLING
    fields: dict[str, object] = {
        "attempts": closed(_with_log(run.attempts, outcome), State.KILLED if killing else state, at),
        "outputs": dict(outcome.outputs) if outcome is not None else run.outputs,
        "phases": with_phase(run, PhaseName.ENDED, at),
        "cause": cause,
        "error": error,
        "cost": cost_until(run, at, draft.view.prices),
    }
    if state is State.FAILED and not killing and cause is not Cause.QUEUE_TIMEOUT and not is_home(run):
        if _try_again(draft, run, spec, fields, at):
            return
        if _counts(draft, run) and try_anew(draft, _retry_of_task(draft, run, spec), at):
            fields["attempts"] = closed(_with_log(run.attempts, outcome), State.RETRIED, at)
            draft.todo.append(GiveWay())  # before the leader is looked at, which the end of the run asks for
            end_run(draft, run, State.RETRIED, at=at, **fields)
            return
    if state is State.SUCCESS and len(run.attempts) > 1 and (retry := _retry(draft, run, spec)) is not None and retry.warning_on_retry:
        state = State.WARNING
    end_run(draft, run, state, at=at, **fields)


def _with_those_below(draft: Draft, run: TaskRun, state: State) -> State:
    """The end of a workspace is that of its tasks, unless it fails itself."""
    return end_state(draft, draft.lead(run.id)) if opened(run) and state is State.SUCCESS else state


def _with_log(attempts: tuple[Attempt, ...], outcome: Outcome | None) -> tuple[Attempt, ...]:
    """The attempts, the last with the file that its lines are kept in."""
    if outcome is None or outcome.log_file is None or not attempts:
        return attempts
    return (*attempts[:-1], attempts[-1].model_copy(update={"log_file": outcome.log_file}))


# --- trying again


def _retry(draft: Draft, run: TaskRun, spec: TaskSpec) -> Retry | None:
    """The task's own retry, or the nearest flowable's around it, or the flow's."""
    return _retry_of_task(draft, run, spec) or draft.view.flow.retry


def _retry_of_task(draft: Draft, run: TaskRun, spec: TaskSpec) -> Retry | None:
    levels = (spec.retry, *(parent.retry for parent in draft.ancestors(run)))
    return next((retry for retry in levels if retry is not None), None)


def _counts(draft: Draft, run: TaskRun) -> bool:
    """Whether the end of a run is one of the execution's own: not of what runs after it, or beside a pause."""
    at: TaskRun | None = run
    while at is not None:
        if at.branch == BESIDE:
            return False
        at = draft.known(at.parent_id) if at.parent_id is not None else None
    return not draft.execution.state.current.ended


def _try_again(draft: Draft, run: TaskRun, spec: TaskSpec, fields: dict[str, object], at: datetime) -> bool:
    retry = None if draft.leaving is not None else _retry(draft, run, spec)
    if retry is None or retry.behavior is not RetryBehavior.RETRY_FAILED_TASK or not run.attempts:
        return False
    chance = Random(f"{run.id}:{len(run.attempts)}").random()  # noqa: S311 - the same for the same row, no secret
    due = next_attempt(retry, ended=at, attempts=len(run.attempts), first_started=run.attempts[0].state.start, chance=chance)
    if due is None:
        return False
    draft.change(run, state=run.state.to(State.RETRYING, at), due=due, job=None, start_failures=0, running_since=None, **fields)
    draft.commands.append(SetTimer(TimerKind.RETRY, due, run.id))
    return True


# --- timers


def on_retry_due(draft: Draft, run: TaskRun) -> None:
    if run.state.current is State.RETRYING and not dispatched(run) and _due(draft, run, TimerKind.RETRY):
        send(draft, run, _queue_limit(draft, run), generation=run.generation + 1, cause=None, error=None)


def on_timeout(draft: Draft, run: TaskRun) -> None:
    if run.state.current is State.RUNNING and received(run) and _due(draft, run, TimerKind.TIMEOUT):
        timeout = limit_of(draft.spec(run), run.answers, "timeout") or timedelta()
        _stop(draft, run, Cause.TIMEOUT, f"Timeout after {format_duration(timeout)}")


def on_queue_timeout(draft: Draft, run: TaskRun) -> None:
    waits = run.state.current is not State.KILLING and dispatched(run) and not received(run)
    if waits and _due(draft, run, TimerKind.QUEUE_TIMEOUT):
        limit = format_duration(_queue_limit(draft, run) or timedelta())
        _stop(draft, run, Cause.QUEUE_TIMEOUT, f"No worker began it within its queueTimeout of {limit}")


def _stop(draft: Draft, run: TaskRun, cause: Cause, error: str) -> None:
    """Have a run stopped that is out of time; it ends when nothing of it is left, so that it cannot begin afterwards."""
    draft.say(Level.ERROR, error, run.id)
    draft.change(run, cause=cause, error=error, due=None)
    draft.commands.append(StopRun(run.id, run.lease, Cause.TIMEOUT))


def _due(draft: Draft, run: TaskRun, kind: TimerKind) -> bool:
    """Whether the moment noted on the run has come; a timer that rang too early is set again."""
    if run.due is None:
        return False
    if run.due > draft.now:
        draft.commands.append(SetTimer(kind, run.due, run.id))
        return False
    return True


# --- places that fail


def on_lost(draft: Draft, event: RunLost) -> None:
    """Send the run again, or end it when it was to stop anyway or too many places were lost under it."""
    run = current_run(draft, event.task_run_id, event.lease)
    if run is None:
        return
    if run.state.current is State.KILLING or run.cause in OUT_OF_TIME:
        _end_stopped(draft, run)
        return
    home = workspace_of(draft, run)
    if home is not None:
        _end_those_below(draft, home, event.cause)
        if home.state.current is State.KILLING or home.cause in OUT_OF_TIME:
            _end_stopped(draft, home)
            return
        run = draft.change(home, answers={**(home.answers or {}), ROUND: home.answers[ROUND] + 1})
    lost = run.lost_workers + (event.cause is not Cause.WORKER_SHUTDOWN)  # handing work back is no loss
    if lost > MOST_LOST:
        error = f"{lost} workers were lost while they held it; it is not sent again"
        draft.say(Level.ERROR, error, run.id)
        _end_unbegun(draft, run.model_copy(update={"lost_workers": lost}), State.FAILED, event.cause, error)
        return
    draft.say(Level.WARN, f"Sent again: {event.cause.value}", run.id)
    send(draft, run, _queue_limit(draft, run), lost_workers=lost, running_since=run.running_since if run.job is not None else None)


def _end_those_below(draft: Draft, home: TaskRun, cause: Cause = Cause.WORKER_LOST) -> None:
    """What a workspace still runs goes with its folder; none of it is tried again by itself."""
    if is_home(home) and draft.counters.active(home.id):
        for below in draft.view.below(home.id):
            run = draft.known(below.id)
            if not run.state.current.ended:
                _end_unbegun(draft, run, State.FAILED, cause, "it had to end with the folder that it ran in")


def on_refused(draft: Draft, event: RunRefused) -> None:
    run = draft.run(event.task_run_id)
    if run is None or run.state.current.ended or not dispatched(run) or received(run):
        return
    draft.say(Level.ERROR if event.state is State.FAILED else Level.WARN, event.message, run.id)
    _end_unbegun(draft, run, event.state, event.cause, event.message)


def on_stopped(draft: Draft, event: RunStopped) -> None:
    run = current_run(draft, event.task_run_id, event.lease)
    if run is not None and (run.state.current is State.KILLING or run.cause in OUT_OF_TIME):
        _end_stopped(draft, run)


def _end_stopped(draft: Draft, run: TaskRun) -> None:
    state = State.KILLED if run.state.current is State.KILLING else State.FAILED
    finish(draft, run, state, draft.now, None, cause=run.cause, error=run.error)


def _end_unbegun(draft: Draft, run: TaskRun, state: State, cause: Cause, error: str) -> None:
    """End a run whose place never ran it to an end; its user's retry is for its user's failures, not for these."""
    attempts = closed(run.attempts, state, draft.now)
    cost = cost_until(run, draft.now, draft.view.prices)
    end_run(draft, run, state, cause=cause, error=error, attempts=attempts, phases=with_phase(run, PhaseName.ENDED, draft.now), cost=cost)
