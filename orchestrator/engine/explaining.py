"""Why a task run or an execution is not running: a typed reason, the evidence for it, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.engine.standing import dispatched, received
from orchestrator.engine.waiting import Queued, Standing, reason_of, told
from orchestrator.model.execution import Cause, Execution, PhaseName, TaskRun
from orchestrator.model.growth import Growth
from orchestrator.model.reason import Explanation, Reason
from orchestrator.model.state import State
from orchestrator.model.values import Json, format_instant
from orchestrator.model.worker import WorkerState
from orchestrator.sdk.waits import Wait

_MOST_NAMED = 5
_PROVISIONING = (PhaseName.FILES_IN, PhaseName.PROVISIONING, PhaseName.IMAGE)
NO_MACHINE_COMES = "ask the autoscaler why: ray status on the head node; its node types need one with the resource of this group, below its own maximum"
_JOIN = "start a worker: orchestrator server worker --worker-group={group} --server=URL; or give it a `fallback`, or another group"


@dataclass(frozen=True)
class InLine:
    """What is known of a run that stands in a line."""

    queued: Queued
    standing: Standing
    reserved: bool  # slots are free, and kept for others
    ahead: int  # how many came before it
    barred: tuple[Reason, str] | None = None  # why the place can never take it
    growths: tuple[Growth, ...] = ()  # of the groups that would do and have machines on their way


def explain_line(run: TaskRun, line: InLine, now: datetime) -> Explanation:
    """Why a run in line is not taken."""
    queued, standing = line.queued, line.standing
    if line.barred is not None:
        reason, message = line.barred
    else:
        reason = reason_of(standing, queued.resources, reserved=line.reserved)
        message = told(reason, standing, queued.step, queued.resources)
    late = next((growth for growth in line.growths if growth.overdue), None) if reason is Reason.SCALING_UP else None
    if late is not None:
        message += f", and none has come since {format_instant(late.since or queued.since)}"
    evidence: dict[str, Json] = {
        "place": queued.step.name,
        "askedAt": queued.wish.level,
        "groups": list(standing.groups),
        "workersUp": standing.up,
        "workersStarting": standing.starting,
        "slots": standing.slots,
        "slotsUsed": standing.used,
        "ahead": line.ahead,
        "workersAskedFor": standing.asked_for,
        "step": queued.at + 1,
        "steps": len(queued.wish.steps),
        "passedOver": [one.model_dump(mode="json") for one in queued.passed],
    }
    if standing.jobs is not None:
        evidence["jobsWatched"] = standing.jobs
    if queued.resources is not None:
        evidence["resources"] = queued.resources.model_dump()
    if queued.deadline is not None:
        evidence["goesOnAt"] = format_instant(queued.deadline)
    if line.growths:
        evidence["scaling"] = [growth.model_dump(mode="json", exclude_none=True) for growth in line.growths]
    return _of_run(run, reason, _sentence(message), _fix(reason, queued) if late is None else NO_MACHINE_COMES, queued.since, evidence)


def _fix(reason: Reason, queued: Queued) -> str:
    group = queued.step.group or ",".join(queued.step.tags) or "KEY"
    match reason:
        case Reason.NO_SUCH_GROUP:
            return f"declare it: orchestrator worker-group create {group}; or correct the key"
        case Reason.GROUP_NOT_ALLOWED:
            return f"let the namespace in: orchestrator worker-group update {group} --allow NAMESPACE; or name another group"
        case Reason.NO_LIVE_WORKER if queued.step.group or queued.step.tags:
            return _JOIN.format(group=group)
        case Reason.NO_LIVE_WORKER:
            return "see that the server's own worker is up: orchestrator worker ls"
        case Reason.SCALING_UP:
            return "nothing, unless it takes longer than machines of this kind take to start: then look at the autoscaler's log"
        case Reason.NO_ROOM_FOR_RESOURCES:
            return "wait for runs with resources to end, ask for less, or join another machine with these resources"
        case Reason.RESERVED_FOR_OTHERS:
            return f"join another worker, or lower what is kept: orchestrator worker-group show {group}"
    return "join another worker, give the workers more slots, or wait: orchestrator worker ls"


def explain_run(run: TaskRun, place: WorkerState | None, now: datetime) -> Explanation | None:
    """Why a run that stands in no line is not running; None when it is. `place` is the state of the worker that has it."""
    match run.state.current:
        case State.KILLING:
            fix = "nothing: KILLED is shown once it is seen gone"
            return _of_run(run, Reason.STOPPING, "It was told to end and has not been seen gone yet", fix, run.state.last, _placed(run))
        case State.RETRYING if not dispatched(run):
            due = format_instant(run.due) if run.due is not None else None
            evidence: dict[str, Json] = {"due": due, "attempts": len(run.attempts), "lastError": run.error}
            if run.start_failures:
                return _explain_failed_start(run, due, evidence)
            fix = "wait for its next attempt, or kill the execution; the task's `retry` says how often and when"
            return _of_run(run, Reason.WAITING_RETRY, f"Attempt {len(run.attempts)} failed; the next begins at {due}", fix, run.state.last, evidence)
        case State.RUNNING if run.due is not None and not dispatched(run):
            evidence = {"due": format_instant(run.due), "rounds": run.outputs.get("iterationCount")}
            message = f"Its condition does not hold yet; the next round begins at {format_instant(run.due)}"
            return _of_run(run, Reason.NOT_DUE, message, "nothing: `checkFrequency` says how often and how long", run.state.last, evidence)
    if dispatched(run):
        return _explain_out(run, place)
    if run.state.current in (State.CREATED, State.RESTARTED):
        fix = "nothing, unless it lasts: an expression may be waiting for a key, a file or a secret"
        return _of_run(run, Reason.EVALUATING, "Its expressions are being rendered", fix, run.state.last, {})
    return None


def _explain_failed_start(run: TaskRun, due: str | None, evidence: Mapping[str, Json]) -> Explanation:
    message = f"Start {run.start_failures} of its job failed ({run.error}); the next begins at {due}"
    fix = "wait: a failed start has a budget of its own (the setting start_retries); mend the place it starts at, or kill the execution"
    return _of_run(run, Reason.WAITING_RETRY, message, fix, run.state.last, {**evidence, "startFailures": run.start_failures})


def _explain_out(run: TaskRun, place: WorkerState | None) -> Explanation | None:
    since = run.phases[-1].at if run.phases else run.state.last
    if place is WorkerState.SILENT:
        fix = "nothing: it is sent elsewhere once its worker has surely stopped, at most 15 s after the loss"
        return _of_run(run, Reason.LOST_PLACE, "Its worker is out of reach", fix, since, _placed(run))
    if not received(run):
        fix = "nothing, unless it lasts: orchestrator worker ls shows whether its worker is well"
        return _of_run(run, Reason.STARTING, "It was sent and has not begun yet", fix, since, _placed(run))
    last = run.phases[-1]
    if last.name not in _PROVISIONING:
        return None
    stage = last.name.value + (f" ({last.detail})" if last.detail else "") + (f", start {run.start_failures + 1}" if run.start_failures else "")
    fix = "wait: a container or job takes seconds to minutes to start; a worker group starts in milliseconds"
    evidence = {**_placed(run), "stage": last.name.value, "detail": last.detail, "startFailures": run.start_failures}
    return _of_run(run, Reason.PROVISIONING, f"Its job is being prepared: {stage}", fix, last.at, evidence)


def explain_queued(execution: Execution, limit: int, running: int, ahead: int) -> Explanation:
    """Why an execution that waits for others of its flow does not begin."""
    message = f"{running} executions of this flow run, its limit is {limit}; {ahead} wait before this one"
    fix = f"wait, raise the flow's `concurrency.limit`, or: orchestrator execution force-run {execution.id}"
    return _of_execution(execution, Reason.CONCURRENCY_LIMIT, message, fix, {"limit": limit, "running": running, "ahead": ahead})


def explain_waiting(run: TaskRun, wait: Wait | None) -> Explanation:
    """Why a run waits to be resumed: until when, and what is asked of whoever does it."""
    asked = [one.id for one in wait.inputs] if wait is not None else []
    until = f", or until {format_instant(run.due)}: then it ends in {wait.overdue.value}" if run.due is not None and wait is not None else ""
    given = "".join(f" -i {one.id}=VALUE" for one in (wait.inputs if wait is not None else ()) if one.required and not one.has_defaults)
    evidence: dict[str, Json] = {"due": format_instant(run.due) if run.due is not None else None, "asks": asked}
    fix = f"orchestrator execution resume {run.execution_id}{given}"
    return _of_run(run, Reason.PAUSED, f"It is paused until somebody resumes it{until}", fix, run.state.last, evidence)


def explain_leader(run: TaskRun, children: Sequence[TaskRun]) -> Explanation:
    """What a run that leads others waits for."""
    waits = [child for child in children if not child.state.current.ended]
    names = ", ".join(dict.fromkeys(child.task_id for child in waits[:_MOST_NAMED])) + (" ..." if len(waits) > _MOST_NAMED else "")
    evidence: dict[str, Json] = {"goingOn": len(waits), "ended": len(children) - len(waits)}
    fix = f"orchestrator explain {run.execution_id} tells of each of them"
    return _of_run(run, Reason.WAITING_FOR_TASKS, f"It leads others and waits for {len(waits)} of them: {names}", fix, run.state.last, evidence)


def explain_called(run: TaskRun, going: Sequence[str]) -> Explanation:
    """What a run waits for that has started executions."""
    evidence: dict[str, Json] = {"executions": list(going[:_MOST_NAMED]), "goingOn": len(going)}
    fix = f"orchestrator explain {going[0]} tells what that one waits for"
    names = ", ".join(going[:_MOST_NAMED]) + (" ..." if len(going) > _MOST_NAMED else "")
    since = run.phases[-1].at if run.phases else run.state.last
    return _of_run(run, Reason.WAITING_FOR_EXECUTION, f"It waits for {len(going)} that it has started: {names}", fix, since, evidence)


def explain_dated(execution: Execution) -> Explanation:
    """Why an execution that is to begin later has not begun."""
    date = format_instant(execution.schedule_date) if execution.schedule_date is not None else ""
    fix = f"wait, or let it begin now: orchestrator execution force-run {execution.id}"
    return _of_execution(execution, Reason.NOT_DUE, f"It is to begin at {date}", fix, {"date": date})


def explain_paused(execution: Execution) -> Explanation:
    """Why nothing new begins of an execution that a person has paused."""
    message = "A person has paused it: what runs may end, nothing new begins until somebody resumes it"
    return _of_execution(execution, Reason.PAUSED, message, f"orchestrator execution resume {execution.id}", {})


def explain_failed(run: TaskRun, last_words: list[str]) -> Explanation:
    """Why a run has failed: its cause, and the last it said."""
    reason = Reason.FAILED
    if run.cause is Cause.NO_WORKER and run.placement is not None and run.placement.passed_over:
        reason = run.placement.passed_over[-1].reason
    cause = run.cause.value if run.cause is not None else None
    evidence: dict[str, Json] = {**_placed(run), "cause": cause, "attempts": len(run.attempts), "lastLines": last_words}
    if run.placement is not None and run.placement.passed_over:
        evidence["passedOver"] = [one.model_dump(mode="json") for one in run.placement.passed_over]
    message = run.error or (f"It failed: {cause}" if cause else "It failed")
    return _of_run(run, reason, _sentence(message), f"mend the cause, then: orchestrator execution restart {run.execution_id}", run.state.last, evidence)


def _placed(run: TaskRun) -> dict[str, Json]:
    placement = run.placement
    if placement is None:
        return {}
    return {"worker": placement.worker, "group": placement.group, "where": placement.where.value, "runner": placement.runner, "lease": run.lease}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of_run(run: TaskRun, reason: Reason, message: str, fix: str, since: datetime, evidence: Mapping[str, Json]) -> Explanation:
    return Explanation(
        execution_id=run.execution_id,
        task_run_id=run.id,
        task_id=run.task_id,
        value=run.value,
        state=run.state.current.value,
        reason=reason,
        message=message,
        fix=fix,
        since=since,
        evidence=dict(evidence),
    )


def _of_execution(execution: Execution, reason: Reason, message: str, fix: str, evidence: Mapping[str, Json]) -> Explanation:
    state = execution.current.value
    since = execution.state.last
    return Explanation(execution_id=execution.id, state=state, reason=reason, message=message, fix=fix, since=since, evidence=dict(evidence))
