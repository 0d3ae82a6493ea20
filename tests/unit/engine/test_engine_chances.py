"""Whatever happens, in whatever order: no illegal transition, always a way to the end, and ends that agree."""

from __future__ import annotations

import json
from typing import Any

from engine_driving import SECOND, Driver, a_flow, fail, log, of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.engine.events import Event, KillAsked, RunEnded, RunLost, RunReceived, RunRefused, RunStopped, Started, TimerFired, TimerKind
from orchestrator.engine.runs import dispatched
from orchestrator.model.execution import Cause, TaskRun
from orchestrator.model.state import State

RETRY = {"type": "constant", "interval": "PT3S", "maxAttempts": 3}
_EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "disabled": st.just(True),
        "allowFailure": st.just(True),
        "allowWarning": st.just(True),
        "retry": st.just(RETRY),
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
        for branch in ("tasks", "errors", "finally", "then", "else_"):
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
    return st.builds(lambda task, around, extra: {**task, **around, **extra}, plain | parallel | each | choice, more, _EXTRAS)


_LEAVES = st.builds(lambda make, extra: {**make("")} | extra, st.sampled_from([log, fail]), _EXTRAS)
_TASKS = st.recursive(_LEAVES, _flowables, max_leaves=8)
_FLOWS = st.builds(
    lambda tasks, errors, last: {"tasks": tasks, "errors": errors, "finally": last},
    st.lists(_TASKS, min_size=1, max_size=4),
    st.lists(_LEAVES, max_size=2),
    st.lists(_LEAVES, max_size=2),
)


def _flow_of(drawn: dict[str, Any]) -> Any:
    names = _Names()
    named = {branch: [names.name(task) for task in tasks] for branch, tasks in drawn.items()}
    return a_flow(*named["tasks"], errors=named["errors"], **{"finally": named["finally"]})


_FIRST: list[Event] = [Started(), KillAsked()]


def _an_event(driven: Driver, data: st.DataObject) -> Event:
    run: TaskRun | None = data.draw(st.sampled_from([*driven.view.runs])) if driven.view.runs else None
    if run is None:
        return data.draw(st.sampled_from(_FIRST))
    lease = max(0, run.lease - data.draw(st.sampled_from([0, 0, 0, 1])))
    ended = [RunEnded(driven.outcome(run.model_copy(update={"lease": lease}), state)) for state in ("SUCCESS", "WARNING", "FAILED", "KILLED", "SKIPPED")]
    events: list[Event] = [
        Started(),
        RunReceived(run.id, lease, "w", driven.now),
        RunReceived(run.id, lease, "w", driven.now),
        *ended,
        RunLost(run.id, lease, data.draw(st.sampled_from([Cause.WORKER_LOST, Cause.WORKER_SHUTDOWN]))),
        RunStopped(run.id, lease),
        RunRefused(run.id, data.draw(st.sampled_from([State.FAILED, State.CANCELLED])), Cause.NO_WORKER, "none"),
        *(TimerFired(kind, run.id) for kind in TimerKind),
    ]
    return data.draw(st.sampled_from(events))


def _check(driven: Driver) -> None:
    """What is true after every step, and can be said of the rows alone."""
    runs = driven.view.runs
    assert [run.seq for run in runs] == list(range(len(runs)))
    assert driven.view.execution.task_run_count == len(runs)
    by_id = {run.id: run for run in runs}
    for run in runs:
        parent = by_id[run.parent_id] if run.parent_id else None
        above = parent.state.current if parent is not None else driven.state
        assert run.state.current.ended or not above.ended, "nothing goes on under what has ended"
        assert (sum(not attempt.state.current.ended for attempt in run.attempts)) <= 1
        if run.state.current.ended:
            assert all(attempt.state.current.ended for attempt in run.attempts)
    if not driven.state.ended and not driven.unanswered:
        movers = [run for run in runs if not run.state.current.ended and (dispatched(run) or run.state.current is State.RETRYING)]
        assert movers or driven.state is State.CREATED, "something is always on its way"


def _check_end(driven: Driver) -> None:
    """The end of the execution agrees with the ends of its own tasks."""
    top = {run.state.current for run in driven.view.runs if run.parent_id is None}
    if "KILLING" in driven.history:
        assert driven.state is State.KILLED
    else:
        order = [State.KILLED, State.CANCELLED, State.FAILED, State.WARNING, State.SUCCESS]
        assert driven.state is next((state for state in order if state in top), State.SUCCESS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_FLOWS, st.data())
def test_any_events_in_any_order_leave_a_way_to_the_end(drawn: dict[str, Any], data: st.DataObject) -> None:
    driven = Driver(_flow_of(drawn))
    if data.draw(st.booleans()):
        driven.start()
    for _ in range(data.draw(st.integers(0, 25))):
        driven.now += data.draw(st.integers(0, 4)) * SECOND
        driven.send(_an_event(driven, data))
        _check(driven)
        if data.draw(st.integers(0, 9)) == 0:
            driven.restart()
            _check(driven)
    if data.draw(st.integers(0, 3)) == 0:
        driven.send(KillAsked())
        _check(driven)
    _to_the_end(driven)
    _check_end(driven)


def _to_the_end(driven: Driver) -> None:
    """Every place answers: what was sent ends, what was stopped is gone."""
    driven.start()
    while not driven.state.ended:
        active = [run for run in driven.view.active() if dispatched(run)]
        for run in active:
            driven.send(RunStopped(run.id, run.lease) if run.state.current is State.KILLING else RunEnded(driven.by_type(run)))
        if not active:
            waits = [run.due for run in driven.view.active() if run.due is not None]
            assert waits, "an execution that has not ended waits for something"
            driven.now = max(driven.now, min(waits))
            for run in driven.view.active():
                driven.send(TimerFired(TimerKind.RETRY, run.id))
        _check(driven)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_FLOWS)
def test_a_restart_at_every_moment_gives_the_same_end(drawn: dict[str, Any]) -> None:
    flow = _flow_of(drawn)
    calm = Driver(flow).run()
    shaken = Driver(flow).start()
    while not shaken.state.ended:
        shaken.restart()
        if shaken.waiting:
            shaken.work_one()
        else:
            shaken.now = min(timer.at for timer in shaken.timers)
            for timer in list(shaken.timers):
                shaken.send(TimerFired(timer.kind, timer.task_run_id))
    assert (shaken.state, shaken.states()) == (calm.state, calm.states())
