"""An ended execution set back by a person: what begins again, what stays, what is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from engine_driving import Driver, a_flow, log, of

from orchestrator.engine.events import KillAsked, RunStopped
from orchestrator.engine.reopening import Reopened
from orchestrator.engine.replaying import copied, cut_at, fresh
from orchestrator.engine.restarting import marked, restarted
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Conflict, Refused
from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import TaskRun
from orchestrator.model.state import State


def fails_once(task_id: str) -> Any:
    def worker(driver: Driver, run: TaskRun) -> Outcome | None:
        failing = run.task_id == task_id and run.value in (None, "x") and not run.attempts
        return driver.outcome(run, "FAILED" if failing else "SUCCESS")

    return worker


def taken_up(driver: Driver, reopened: Reopened) -> Driver:
    driver.view = ExecutionView(driver.flow, reopened.execution, reopened.runs)
    return driver.restart().go_on()


def states(reopened: Reopened) -> list[tuple[str, str]]:
    return [(run.task_id, run.state.current.value) for run in reopened.runs]


def test_a_restart_goes_on_from_the_task_run_that_failed() -> None:
    driver = Driver(a_flow(log("a"), log("b"), log("c")), fails_once("b")).run()
    reopened = restarted(driver.view, driver.now)
    assert states(reopened) == [("a", "SUCCESS"), ("b", "RESTARTED")]
    assert reopened.execution.current is State.RESTARTED
    taken_up(driver, reopened)
    assert driver.states() == [("a", "SUCCESS"), ("b", "SUCCESS"), ("c", "SUCCESS")]
    assert driver.history == ["CREATED", "RUNNING", "FAILED", "RESTARTED", "RUNNING", "SUCCESS"]
    assert [attempt.state.current for attempt in driver.one("b").attempts] == [State.FAILED, State.SUCCESS]


def test_a_restarted_run_is_sent_under_a_lease_and_a_generation_of_its_own() -> None:
    driver = Driver(a_flow(log("a")), fails_once("a")).run()
    before = driver.one("a")
    set_back = restarted(driver.view, driver.now).runs[0]
    assert set_back.lease > before.lease, "what still speaks of the last dispatch is not heard"
    taken_up(driver, restarted(driver.view, driver.now))
    after = driver.one("a")
    assert after.lease > set_back.lease
    assert after.generation == 1


def test_leaders_above_what_failed_go_on_with_their_plans() -> None:
    loop = of("ForEach", "each", log("t"), values=["x", "y"])
    driver = Driver(a_flow(of("Sequential", "s", loop), log("end")), fails_once("t")).run()
    reopened = restarted(driver.view, driver.now)
    assert states(reopened)[:2] == [("s", "RUNNING"), ("each", "RUNNING")]
    taken_up(driver, reopened)
    assert driver.state is State.SUCCESS
    assert [(run.value, run.state.current) for run in driver.all_of("t")] == [("x", State.SUCCESS), ("y", State.SUCCESS)]


def test_iterations_that_another_ones_failure_stopped_are_gone_on_with() -> None:
    def worker(driver: Driver, run: TaskRun) -> Outcome | None:
        failing = run.task_id == "one" and run.value == "x" and not run.attempts
        return driver.outcome(run, "FAILED" if failing else "SUCCESS")

    loop = of("ForEach", "each", log("one"), log("two"), values=["x", "y", "z"], limit=0)
    driver = Driver(a_flow(loop), worker).run()
    assert driver.all_of("two") == [], "after the failure nothing new began"
    taken_up(driver, restarted(driver.view, driver.now))
    assert driver.state is State.SUCCESS
    assert sorted(run.value or "" for run in driver.all_of("two")) == ["x", "y", "z"]


def test_a_loop_gone_on_with_keeps_its_limit() -> None:
    most = 0

    def worker(driver: Driver, run: TaskRun) -> Outcome | None:
        nonlocal most
        most = max(most, len([r for r in driver.view.active() if r.task_id in ("one", "two")]))
        return driver.outcome(run, "SUCCESS")

    loop = of("ForEach", "each", log("one"), log("two"), values=["x", "y", "z"], limit=1)
    driver = Driver(a_flow(loop), worker).run()
    first = next(run for run in driver.all_of("two") if run.value == "x")
    reopened = cut_at(driver.view, first.id, driver.now)
    assert [(run.task_id, run.value) for run in reopened.runs] == [("each", None), ("one", "x"), ("two", "x"), ("one", "y"), ("one", "z")]
    taken_up(driver, reopened)
    assert driver.state is State.SUCCESS
    assert len(driver.all_of("two")) == 3
    assert most == 1


def test_what_ran_because_of_the_failure_is_forgotten() -> None:
    driver = Driver(a_flow(log("a"), errors=[log("err")], **{"finally": [log("fin")]}), fails_once("a")).run()
    assert [name for name, _ in driver.states()] == ["a", "err", "fin"]
    gone = {driver.one("err").id, driver.one("fin").id}
    reopened = restarted(driver.view, driver.now)
    assert set(reopened.gone) == gone
    assert reopened.execution.task_run_count == 1
    taken_up(driver, reopened)
    assert driver.states() == [("a", "SUCCESS"), ("fin", "SUCCESS")]
    assert [run.seq for run in driver.view.runs] == [0, 1]


def test_only_the_part_that_failed_is_restarted_when_it_failed_last() -> None:
    driver = Driver(a_flow(log("a"), **{"finally": [log("f1"), log("f2")]}), fails_once("f2")).run()
    reopened = restarted(driver.view, driver.now)
    assert states(reopened) == [("a", "SUCCESS"), ("f1", "SUCCESS"), ("f2", "RESTARTED")]


def test_a_leader_that_could_not_plan_is_asked_again() -> None:
    driver = Driver(a_flow(of("ForEach", "each", log("t"), values="{{ inputs.missing }}"))).run()
    assert driver.states() == [("each", "FAILED")]
    reopened = restarted(driver.view, driver.now)
    assert states(reopened) == [("each", "RESTARTED")]
    taken_up(driver, reopened)
    assert driver.states() == [("each", "FAILED")]
    assert driver.history[-1] == "FAILED"


def test_a_killed_execution_is_restarted_from_what_was_killed() -> None:
    hangs = {"a": True}

    def worker(driver: Driver, run: TaskRun) -> Outcome | None:
        return None if hangs["a"] else driver.outcome(run, "SUCCESS")

    driver = Driver(a_flow(log("a"), log("b")), worker).run()
    driver.send(KillAsked())
    run = driver.one("a")
    driver.send(RunStopped(run.id, run.lease))
    assert driver.state is State.KILLED
    hangs["a"] = False
    taken_up(driver, restarted(driver.view, driver.now))
    assert driver.states() == [("a", "SUCCESS"), ("b", "SUCCESS")]


def test_nothing_is_restarted_where_nothing_failed_or_something_goes_on() -> None:
    done = Driver(a_flow(log("a"))).run()
    with pytest.raises(Refused, match="No task found"):
        restarted(done.view, done.now)
    going = Driver(a_flow(log("a")), lambda driver, run: None).run()
    with pytest.raises(Conflict):
        restarted(going.view, going.now)


def test_a_run_restarted_takes_its_retries_up_again_after_a_crash() -> None:
    driver = Driver(a_flow(log("a")), fails_once("a")).run()
    reopened = restarted(driver.view, driver.now)
    driver.view = ExecutionView(driver.flow, reopened.execution, reopened.runs)
    driver.waiting.clear()
    driver.restart()
    assert [run.run.id for run in driver.waiting] == [driver.one("a").id]
    driver.go_on()
    assert driver.state is State.SUCCESS


def test_a_task_run_marked_as_successful_lets_the_rest_run() -> None:
    driver = Driver(a_flow(log("a"), log("b")), fails_once("a")).run()
    reopened = marked(driver.view, driver.one("a").id, State.SUCCESS, driver.now)
    assert states(reopened) == [("a", "SUCCESS")]
    taken_up(driver, reopened)
    assert driver.states() == [("a", "SUCCESS"), ("b", "SUCCESS")]
    assert len(driver.one("a").attempts) == 1


def test_a_task_run_marked_as_failed_fails_what_leads_it() -> None:
    driver = Driver(a_flow(of("Sequential", "s", log("a")), log("b"))).run()
    reopened = marked(driver.view, driver.one("a").id, State.FAILED, driver.now)
    assert states(reopened) == [("s", "RUNNING"), ("a", "FAILED"), ("b", "SUCCESS")]
    taken_up(driver, reopened)
    assert driver.state is State.FAILED
    assert driver.one("s").state.current is State.FAILED


def test_a_task_run_is_marked_only_as_ended() -> None:
    driver = Driver(a_flow(log("a"))).run()
    with pytest.raises(Refused):
        marked(driver.view, driver.one("a").id, State.RUNNING, driver.now)
    with pytest.raises(Refused, match="No task found"):
        marked(driver.view, "nowhere", State.FAILED, driver.now)


def test_a_replay_from_a_task_keeps_what_came_before_it() -> None:
    driver = Driver(a_flow(log("a"), log("b"), log("c"))).run()
    reopened = cut_at(driver.view, driver.one("b").id, driver.now)
    assert states(reopened) == [("a", "SUCCESS"), ("b", "RESTARTED")]


def test_a_replay_keeps_what_ran_beside_it() -> None:
    nested = of("Parallel", "p", log("x"), of("Sequential", "s", log("s1"), log("s2")), log("y"))
    driver = Driver(a_flow(nested, log("end"))).run()
    reopened = cut_at(driver.view, driver.one("s").id, driver.now)
    assert sorted(states(reopened)) == [("p", "RUNNING"), ("s", "RUNNING"), ("x", "SUCCESS"), ("y", "SUCCESS")]
    taken_up(driver, reopened)
    assert driver.state is State.SUCCESS
    assert sorted(name for name, _ in driver.states()) == ["end", "p", "s", "s1", "s2", "x", "y"]


def test_a_copy_has_ids_of_its_own_and_names_where_it_comes_from() -> None:
    driver = Driver(a_flow(of("Sequential", "s", log("a"), log("b")))).run()
    reopened = cut_at(driver.view, driver.one("b").id, driver.now)
    ids = iter("1234")
    execution, runs = copied(reopened, "copy", driver.flow, lambda: next(ids))
    assert (execution.id, execution.parent_id, execution.original_id) == ("copy", "e", "e")
    assert [(run.id, run.parent_id, run.execution_id) for run in runs] == [("1", None, "copy"), ("2", "1", "copy"), ("3", "1", "copy")]


def test_a_fresh_one_begins_where_the_old_one_did() -> None:
    driver = Driver(a_flow(log("a")), inputs={"i": 1}).run()
    again = fresh(driver.view.execution, "again", driver.now)
    assert (again.parent_id, again.original_id, again.inputs) == ("e", "e", {"i": 1})
    assert [entry.state for entry in again.state.histories] == [State.CREATED]
    assert again.metadata.attempt_number == 2
