"""Whatever happens, in whatever order: no illegal transition, always a way to the end, and ends that agree."""

from __future__ import annotations

import json
from typing import Any

from engine_driving import SECOND, Driver, a_flow, fail, leave, log, of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.engine.aftermath import is_over
from orchestrator.engine.events import (
    Event,
    KillAsked,
    PauseAsked,
    ResumeAsked,
    RunEnded,
    RunLost,
    RunReceived,
    RunRefused,
    RunStopped,
    Started,
    TimerFired,
    TimerKind,
)
from orchestrator.engine.leads import is_after
from orchestrator.engine.standing import dispatched
from orchestrator.model.execution import Cause, TaskRun
from orchestrator.model.state import State

RETRY = {"type": "constant", "interval": "PT3S", "maxAttempts": 3}
ANEW = {**RETRY, "behavior": "CREATE_NEW_EXECUTION"}
_EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "disabled": st.just(True),
        "allowFailure": st.just(True),
        "allowWarning": st.just(True),
        "retry": st.sampled_from([RETRY, RETRY, ANEW]),
        "runIf": st.sampled_from(["{{ 1 }}", "{{ 0 }}", "{{ nope }}", "false"]),
        "timeout": st.sampled_from(["PT5S", "soon"]),
        "queueTimeout": st.just("PT9S"),
    },
)


class _Names:
    """Gives every task of a drawn flow an id of its own."""

    def __init__(self) -> None:
        self.count = 0

    def name(self, task: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        named = {**task, "id": f"t{self.count}"}
        for branch in ("tasks", "errors", "finally", "then", "else_", "beside"):
            if branch in task:
                named[branch] = [self.name(child) for child in task[branch]]
        if named["type"] == "Dag":
            ids = [child["id"] for child in named["tasks"]]
            named["needs"] = {task_id: ids[max(0, index - 2) : index] for index, task_id in enumerate(ids)}
        return named


def _flowables(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(children, max_size=3)
    more = st.fixed_dictionaries({}, optional={"errors": some, "finally": some})
    plain = st.builds(lambda kind, tasks: of(kind, "", *tasks), st.sampled_from(["Sequential", "AllowFailure", "Dag"]), some)
    parallel = st.builds(lambda tasks, limit: of("Parallel", "", *tasks, concurrent=limit), some, st.integers(0, 2))
    each = st.builds(
        lambda tasks, count, limit, inner: of("ForEach", "", *tasks, values=json.dumps(list(range(count))), limit=limit, inner=inner),
        some,
        st.integers(0, 4),
        st.integers(0, 2),
        st.sampled_from(["sequential", "parallel"]),
    )
    choice = st.builds(
        lambda yes, no, holds: {"id": "", "type": "If", "condition": holds, "then": yes, "else_": no}, some, some, st.sampled_from(["1", "0", "{{ nope }}"])
    )
    pause = st.builds(
        lambda tasks, beside, seconds, overdue: of("Pause", "", *tasks, beside=beside, seconds=seconds, overdue=overdue),
        some,
        st.lists(children, max_size=1),
        st.sampled_from([None, 2, 6]),
        st.sampled_from(["SUCCESS", "WARNING", "FAILED", "CANCELLED"]),
    )
    until = st.builds(
        lambda tasks, holds, most, spent: of("Until", "", *tasks, condition=holds, most=most, spent=spent),
        some,
        st.sampled_from(["1", "0", "{{ nope }}"]),
        st.integers(1, 3),
        st.sampled_from(["SUCCESS", "FAILED"]),
    )
    return st.builds(lambda task, around, extra: {**task, **around, **extra}, plain | parallel | each | choice | pause | until, more, _EXTRAS)


def _leaver(task_id: str) -> dict[str, Any]:
    return leave(task_id)


_LEAVES = st.builds(lambda make, extra: {**make("")} | extra, st.sampled_from([log, log, fail, _leaver]), _EXTRAS)
_TASKS = st.recursive(_LEAVES, _flowables, max_leaves=8)
_PROMISES = st.lists(
    st.builds(
        lambda kind, behavior: {"id": "s", "behavior": behavior, **kind},
        st.sampled_from(
            [{"type": "MAX_DURATION", "duration": "PT9S"}, *({"type": "EXECUTION_ASSERTION", "assert": text} for text in ("1", "{{ nope }}", "{{ 0 }}"))]
        ),
        st.sampled_from(["FAIL", "CANCEL", "NONE"]),
    ),
    max_size=2,
)
_FLOWS = st.builds(
    lambda tasks, errors, last, after, listeners, more: {
        "tasks": tasks,
        "errors": errors,
        "finally": last,
        "afterExecution": after,
        "listeners": listeners,
        "more": more,
    },
    st.lists(_TASKS, min_size=1, max_size=4),
    st.lists(_LEAVES, max_size=2),
    st.lists(_LEAVES, max_size=2),
    st.just([]) | st.lists(_TASKS, max_size=1),
    st.just([]) | st.lists(_LEAVES, max_size=2),
    st.fixed_dictionaries({}, optional={"sla": st.just([]) | _PROMISES, "retry": st.sampled_from([RETRY, ANEW])}),
)


def _flow_of(drawn: dict[str, Any]) -> Any:
    names = _Names()
    named = {branch: [names.name(task) for task in tasks] for branch, tasks in drawn.items() if branch != "more"}
    listeners = [{"conditions": [{"type": "c"}], "tasks": [task]} for task in named.pop("listeners")]
    return a_flow(*named.pop("tasks"), listeners=listeners, **named, **drawn["more"])


_FIRST: list[Event] = [Started(), KillAsked(), PauseAsked(), ResumeAsked(), TimerFired(TimerKind.SLA)]


def _an_event(driven: Driver, data: st.DataObject) -> Event:
    run: TaskRun | None = data.draw(st.sampled_from([*driven.view.runs])) if driven.view.runs else None
    if run is None:
        return data.draw(st.sampled_from(_FIRST))
    lease = max(0, run.lease - data.draw(st.sampled_from([0, 0, 0, 1])))
    ended = [RunEnded(driven.outcome(run.model_copy(update={"lease": lease}), state)) for state in ("SUCCESS", "WARNING", "FAILED", "KILLED", "SKIPPED")]
    leaving = [RunEnded(driven.outcome(run.model_copy(update={"lease": lease}), "SUCCESS", ends=state)) for state in ("WARNING", "FAILED", "KILLED")]
    events: list[Event] = [
        Started(),
        RunReceived(run.id, lease, "w", driven.now),
        RunReceived(run.id, lease, "w", driven.now),
        *ended,
        data.draw(st.sampled_from(leaving)),
        RunLost(run.id, lease, data.draw(st.sampled_from([Cause.WORKER_LOST, Cause.WORKER_SHUTDOWN]))),
        RunStopped(run.id, lease),
        RunRefused(run.id, data.draw(st.sampled_from([State.FAILED, State.CANCELLED])), Cause.NO_WORKER, "none"),
        *(TimerFired(kind, run.id) for kind in TimerKind),
        PauseAsked(),
        ResumeAsked(),
        *(ResumeAsked(one.id) for one in driven.view.active() if one.state.current is State.PAUSED),
    ]
    return data.draw(st.sampled_from(events))


def _check(driven: Driver) -> None:
    """What is true after every step, and can be said of the rows alone."""
    runs = driven.view.runs
    assert [run.seq for run in runs] == sorted({run.seq for run in runs})
    assert driven.view.execution.task_run_count == len(runs)
    by_id = {run.id: run for run in runs}
    for run in runs:
        parent = by_id[run.parent_id] if run.parent_id else None
        above = parent.state.current if parent is not None else driven.state
        after = run.parent_id is None and is_after(run.branch)
        assert run.state.current.ended or not above.ended or after, "nothing goes on under what has ended"
        assert driven.state.ended or not after, "what runs after the end does not run before"
        assert (sum(not attempt.state.current.ended for attempt in run.attempts)) <= 1
        if run.state.current.ended:
            assert all(attempt.state.current.ended for attempt in run.attempts)
    paused = [run for run in runs if run.state.current is State.PAUSED]
    assert not paused or driven.state in (State.PAUSED, State.KILLING) or driven.state.ended, "where a run waits to be resumed, its execution does"
    if not is_over(driven.view) and not driven.unanswered:
        movers = [run for run in runs if not run.state.current.ended and (dispatched(run) or run.state.current is State.RETRYING or run.due is not None)]
        assert movers or driven.state in (State.CREATED, State.PAUSED) or paused, "something is always on its way"


_STOPPED = (State.KILLED, State.FAILED, State.CANCELLED)  # the last two for a promise that was broken first


def _check_end(driven: Driver, *, killed: bool) -> None:
    """The end of the execution agrees with the ends of its own tasks."""
    top = {run.state.current for run in driven.view.runs if run.parent_id is None and not is_after(run.branch)}
    if killed and "KILLING" in driven.history:
        assert driven.state in _STOPPED
    elif driven.view.execution.broken_sla:
        assert driven.state in _STOPPED or driven.state in top | {State.SUCCESS}
    elif (leaves := driven.view.execution.exit) is not None:
        assert driven.state is leaves.state
    else:
        order = [State.RETRIED, State.KILLED, State.CANCELLED, State.FAILED, State.WARNING, State.SUCCESS]
        assert driven.state is next((state for state in order if state in top), State.SUCCESS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_FLOWS, st.data())
def test_any_events_in_any_order_leave_a_way_to_the_end(drawn: dict[str, Any], data: st.DataObject) -> None:
    driven, asked_to_die = Driver(_flow_of(drawn)), False
    if data.draw(st.booleans()):
        driven.start()
    for _ in range(data.draw(st.integers(0, 25))):
        driven.now += data.draw(st.integers(0, 4)) * SECOND
        event = _an_event(driven, data)
        asked_to_die = asked_to_die or isinstance(event, KillAsked) or (isinstance(event, RunEnded) and event.outcome.ends == "KILLED")
        driven.send(event)
        _check(driven)
        if data.draw(st.integers(0, 9)) == 0:
            driven.restart()
            _check(driven)
    killed = data.draw(st.integers(0, 3)) == 0
    if killed:
        driven.send(KillAsked())
        _check(driven)
    _to_the_end(driven)
    _check_end(driven, killed=killed or asked_to_die)


def _to_the_end(driven: Driver) -> None:
    """Every place answers: what was sent ends, what was stopped is gone."""
    driven.start()
    while not is_over(driven.view):
        active = [run for run in driven.view.active() if dispatched(run)]
        for run in active:
            driven.send(RunStopped(run.id, run.lease) if run.state.current is State.KILLING else RunEnded(driven.by_type(run)))
        if not active:
            before = driven.view.execution.version
            driven.send(ResumeAsked())
            waits = [run.due for run in driven.view.active() if run.due is not None]
            driven.now = max(driven.now, min(waits, default=driven.now))
            for run in driven.view.active():
                for kind in TimerKind:
                    driven.send(TimerFired(kind, run.id))
            for run in driven.view.active():
                driven.send(ResumeAsked(run.id))
            assert driven.view.execution.version > before, "an execution that has not ended waits for something"
        _check(driven)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_FLOWS)
def test_a_restart_at_every_moment_gives_the_same_end(drawn: dict[str, Any]) -> None:
    flow = _flow_of(drawn)
    calm = Driver(flow).run()
    shaken = Driver(flow).start()
    while not is_over(shaken.view) and (shaken.waiting or shaken.timers):
        shaken.restart()
        if shaken.waiting:
            shaken.work_one()
        elif shaken.timers:
            shaken.now = max(shaken.now, min(timer.at for timer in shaken.timers))
            for timer in list(shaken.timers):
                shaken.send(TimerFired(timer.kind, timer.task_run_id))
    assert (shaken.state, shaken.states()) == (calm.state, calm.states())
