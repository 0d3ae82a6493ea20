"""In which order tasks run, and what their ends make of those around them."""

from __future__ import annotations

import pytest
from engine_driving import Driver, a_flow, fail, log, of

from orchestrator.model.state import State


def test_a_plain_flow_runs_its_tasks_one_after_the_other() -> None:
    driven = Driver(a_flow(log("a"), log("b"))).run()
    assert (driven.history, driven.states()) == (["CREATED", "RUNNING", "SUCCESS"], [("a", "SUCCESS"), ("b", "SUCCESS")])


def test_a_normal_run_has_one_attempt_and_three_entries() -> None:
    run = Driver(a_flow(log("a"))).run().one("a")
    assert [entry.state for entry in run.state.histories] == [State.CREATED, State.RUNNING, State.SUCCESS]
    assert [[entry.state for entry in attempt.state.histories] for attempt in run.attempts] == [[State.CREATED, State.RUNNING, State.SUCCESS]]
    assert run.attempts[0].worker_id == "w1"


def test_runs_are_numbered_in_the_order_they_were_made() -> None:
    flow = a_flow(of("Sequential", "s", log("a"), of("Sequential", "inner", log("b")), log("c")), log("d"))
    driven = Driver(flow).run()
    assert [run.task_id for run in driven.view.runs] == ["s", "a", "inner", "b", "c", "d"]
    assert [run.seq for run in driven.view.runs] == list(range(6))
    assert driven.view.execution.task_run_count == 6


def test_a_flowable_has_no_attempts_and_leads_its_children() -> None:
    driven = Driver(a_flow(of("Sequential", "s", log("a")))).run()
    assert (driven.one("s").attempts, driven.one("a").parent_id) == ((), driven.one("s").id)


def test_a_failure_stops_later_siblings_and_fails_every_level() -> None:
    driven = Driver(a_flow(of("Sequential", "s", log("a"), fail("f"), log("b")), log("c"))).run()
    assert driven.states() == [("s", "FAILED"), ("a", "SUCCESS"), ("f", "FAILED")]
    assert driven.state is State.FAILED


def test_errors_run_after_a_failure_under_the_leader_that_has_them() -> None:
    flow = a_flow(of("Sequential", "s", fail("f"), log("b"), errors=[log("e1"), log("e2")]), errors=[log("g")])
    driven = Driver(flow).run()
    assert [task for task, _ in driven.states()] == ["s", "f", "e1", "e2", "g"]
    assert (driven.one("e1").parent_id, driven.one("g").parent_id) == (driven.one("s").id, None)
    assert driven.state is State.FAILED


def test_errors_do_not_run_without_a_failure() -> None:
    driven = Driver(a_flow(log("a"), errors=[log("e")])).run()
    assert driven.states() == [("a", "SUCCESS")]


@pytest.mark.parametrize("first", [log("x"), fail("x")])
def test_finally_always_runs_and_runs_last(first: dict[str, object]) -> None:
    driven = Driver(a_flow(first, errors=[log("e")], **{"finally": [log("z")]})).run()
    assert driven.states()[-1] == ("z", "SUCCESS")
    assert driven.state is (State.FAILED if first["type"] == "Fail" else State.SUCCESS)


def test_disabled_tasks_leave_no_run() -> None:
    flow = a_flow(log("a"), log("b", disabled=True), of("Sequential", "s", log("c", disabled=True)), log("d"))
    assert Driver(flow).run().states() == [("a", "SUCCESS"), ("s", "SUCCESS"), ("d", "SUCCESS")]


def test_a_flow_of_disabled_tasks_succeeds() -> None:
    assert Driver(a_flow(log("a", disabled=True))).run().state is State.SUCCESS


def test_parallel_tasks_start_together() -> None:
    driven = Driver(a_flow(of("Parallel", "p", log("a"), log("b"), log("c")), log("last"))).start()
    assert len(driven.waiting) == 3
    assert driven.go_on().states()[-1] == ("last", "SUCCESS")


def test_parallel_keeps_its_limit() -> None:
    driven = Driver(a_flow(of("Parallel", "p", *(log(f"t{i}") for i in range(5)), concurrent=2))).start()
    most = 0
    while driven.waiting:
        most = max(most, len(driven.view.active()) - 1)
        driven.work_one()
    assert (most, driven.state, len(driven.view.runs)) == (2, State.SUCCESS, 6)


def test_nothing_new_starts_in_parallel_after_a_failure_and_the_rest_ends() -> None:
    driven = Driver(a_flow(of("Parallel", "p", fail("a"), log("b"), log("c"), concurrent=2))).run()
    assert driven.states() == [("p", "FAILED"), ("a", "FAILED"), ("b", "SUCCESS")]


def test_a_graph_starts_a_task_when_all_it_needs_has_ended() -> None:
    needs = {"b": ["a"], "c": ["a"], "d": ["b", "c", "off"]}
    tasks = [log("d"), log("c"), log("b"), log("a"), log("off", disabled=True)]
    driven = Driver(a_flow(of("Dag", "dag", *tasks, needs=needs))).run()
    assert [task for task, _ in driven.states()] == ["dag", "a", "c", "b", "d"]
    assert driven.state is State.SUCCESS


def test_a_graph_stops_behind_a_failure() -> None:
    driven = Driver(a_flow(of("Dag", "dag", fail("a"), log("b"), log("c"), needs={"b": ["a"]}))).run()
    assert driven.states() == [("dag", "FAILED"), ("a", "FAILED"), ("c", "SUCCESS")]


def test_if_runs_only_the_branch_it_chose_and_tells_which() -> None:
    choice = {"id": "i", "type": "If", "condition": "{{ inputs.go }}", "then": [log("yes")], "else_": [log("no")]}
    driven = Driver(a_flow(choice), inputs={"go": False}).run()
    assert driven.states() == [("i", "SUCCESS"), ("no", "SUCCESS")]
    assert driven.one("i").outputs == {"evaluationResult": False}
    assert driven.one("no").branch == "else"


def test_a_question_that_cannot_be_answered_fails_the_flowable_and_its_parents() -> None:
    choice = {"id": "i", "type": "If", "condition": "{{ inputs.nope }}", "then": [log("yes")]}
    driven = Driver(a_flow(of("Sequential", "s", choice))).run()
    assert driven.states() == [("s", "FAILED"), ("i", "FAILED")]
    assert "Unable to find" in driven.said[0].message
    assert driven.one("i").attempts == ()


def test_allow_failure_makes_a_warning_of_a_failure() -> None:
    driven = Driver(a_flow(fail("f", allowFailure=True), log("b"))).run()
    assert (driven.states(), driven.state) == ([("f", "WARNING"), ("b", "SUCCESS")], State.WARNING)
    assert [attempt.state.current for attempt in driven.one("f").attempts] == [State.FAILED]


def test_allow_warning_makes_a_success_of_it() -> None:
    flow = a_flow(of("Sequential", "s", fail("f"), log("never"), allowFailure=True, allowWarning=True), log("b"))
    driven = Driver(flow).run()
    assert (driven.states(), driven.state) == ([("s", "SUCCESS"), ("f", "FAILED"), ("b", "SUCCESS")], State.SUCCESS)


def test_a_plan_may_say_what_becomes_of_a_failure() -> None:
    inner = of("AllowFailure", "ok", of("Sequential", "s", fail("ko"), log("never")), errors=[log("local")])
    driven = Driver(a_flow(of("Sequential", "first", inner, log("todo")))).run()
    assert driven.states() == [("first", "WARNING"), ("ok", "WARNING"), ("s", "FAILED"), ("ko", "FAILED"), ("local", "SUCCESS"), ("todo", "SUCCESS")]


def test_a_false_run_if_skips_the_task_and_nothing_else() -> None:
    flow = a_flow(log("a", runIf="{{ inputs.go }}"), of("Sequential", "s", log("b"), runIf=False), log("c"))
    driven = Driver(flow, inputs={"go": 0}).run()
    assert (driven.states(), driven.state) == ([("a", "SKIPPED"), ("s", "SKIPPED"), ("c", "SUCCESS")], State.SUCCESS)


def test_a_run_if_that_cannot_be_rendered_fails_the_task_with_one_attempt() -> None:
    driven = Driver(a_flow(log("a", runIf="{{ outputs.nope }}"), log("b"))).run()
    run = driven.one("a")
    assert [entry.state.value for entry in run.state.histories] == ["CREATED", "RUNNING", "FAILED"]
    assert [attempt.state.current for attempt in run.attempts] == [State.FAILED]
    assert driven.states() == [("a", "FAILED")]


def test_outputs_of_the_flow_come_last() -> None:
    flow = a_flow({"id": "r", "type": "Return", "format": "x"}, outputs=[{"id": "k", "type": "STRING", "value": "{{ outputs.r.value }}"}])
    driven = Driver(flow).run()
    assert (driven.state, driven.view.execution.outputs) == (State.SUCCESS, {"k": "x"})


def test_outputs_that_cannot_be_had_fail_the_execution() -> None:
    driven = Driver(a_flow(log("a"), outputs=[{"id": "k", "type": "STRING", "value": "{{ nope }}"}])).run()
    assert (driven.state, driven.states()) == (State.FAILED, [("a", "SUCCESS")])
    assert driven.said[-1].task_run_id is None
