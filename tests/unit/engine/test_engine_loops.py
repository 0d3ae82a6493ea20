"""Loops: iterations, their values, their limit, and what one of them failing means."""

from __future__ import annotations

from engine_driving import Driver, a_flow, fail, log, of

from orchestrator.model.state import State


def _each(*tasks: dict[str, object], values: object = '["v1", "v2", "v3"]', **fields: object) -> dict[str, object]:
    return of("ForEach", "each", *tasks, values=values, **fields)


def test_iterations_run_one_after_the_other_with_their_values() -> None:
    driven = Driver(a_flow(_each(log("a"), log("b")), log("end"))).run()
    made = [(run.task_id, run.value, run.iteration) for run in driven.view.runs]
    assert made == [
        ("each", None, None),
        ("a", "v1", 0),
        ("b", "v1", 0),
        ("a", "v2", 1),
        ("b", "v2", 1),
        ("a", "v3", 2),
        ("b", "v3", 2),
        ("end", None, None),
    ]
    assert driven.state is State.SUCCESS


def test_only_direct_children_of_a_loop_have_a_value() -> None:
    driven = Driver(a_flow(_each(of("Sequential", "s", log("a")), values=["x"]))).run()
    assert [(run.task_id, run.value, run.iteration) for run in driven.view.runs] == [("each", None, None), ("s", "x", 0), ("a", None, None)]


def test_a_limit_bounds_the_iterations_that_run_at_once() -> None:
    driven = Driver(a_flow(_each(log("a"), log("b"), values=list(range(5)), limit=2))).start()
    most = 0
    while driven.waiting:
        busy = {run.iteration for run in driven.view.active() if run.iteration is not None}
        most = max(most, len(busy))
        driven.work_one()
    assert (most, driven.state, len(driven.view.runs)) == (2, State.SUCCESS, 11)


def test_without_a_limit_all_iterations_start_together() -> None:
    driven = Driver(a_flow(_each(log("a"), log("b"), limit=0))).start()
    assert [command.run.value for command in driven.waiting] == ["v1", "v2", "v3"]
    assert driven.go_on().state is State.SUCCESS


def test_tasks_of_an_iteration_may_run_together() -> None:
    driven = Driver(a_flow(_each(log("a"), log("b"), limit=1, inner="parallel"))).start()
    assert [(command.run.task_id, command.run.value) for command in driven.waiting] == [("a", "v1"), ("b", "v1")]
    assert (driven.go_on().state, len(driven.view.runs)) == (State.SUCCESS, 7)


def test_no_values_is_a_success() -> None:
    assert Driver(a_flow(_each(log("a"), values="[]"), log("end"))).run().states() == [("each", "SUCCESS"), ("end", "SUCCESS")]


def test_a_loop_of_disabled_tasks_ends_at_once() -> None:
    assert Driver(a_flow(_each(log("a", disabled=True)))).run().states() == [("each", "SUCCESS")]


def test_values_that_make_no_plan_fail_the_loop() -> None:
    driven = Driver(a_flow(_each(log("a"), values="[1, null]"), log("end"))).run()
    assert driven.states() == [("each", "FAILED")]
    assert driven.said[0].message == "Found null values"
    assert driven.one("each").outputs == {"nulls": 1}


def test_no_iteration_starts_after_one_failed() -> None:
    driven = Driver(a_flow(_each(fail("a"), log("b")))).run()
    assert driven.states() == [("each", "FAILED"), ("a", "FAILED")]


def test_running_iterations_end_after_one_failed() -> None:
    driven = Driver(a_flow(_each(fail("a"), limit=2, errors=[log("e")]))).run()
    assert driven.states() == [("each", "FAILED"), ("a", "FAILED"), ("a", "FAILED"), ("e", "SUCCESS")]


def test_a_warning_in_one_iteration_is_a_warning_of_the_loop() -> None:
    inner = of("AllowFailure", "ok", {"id": "r", "type": "Return", "format": "{{ {'v1': 1}[parents[0]['taskrun']['value']] }}"})
    driven = Driver(a_flow(_each(log("a"), inner), log("end"))).run()
    assert [state for task, state in driven.states() if task == "ok"] == ["SUCCESS", "WARNING", "WARNING"]
    assert (driven.one("each").state.current, driven.state) == (State.WARNING, State.WARNING)


def test_loops_nest() -> None:
    inner = of("ForEach", "inner", log("t"), values='["x", "y"]')
    driven = Driver(a_flow(_each(inner, log("after"), values='["a", "b"]'))).run()
    assert [(run.task_id, run.value) for run in driven.view.runs] == [
        ("each", None),
        *[("inner", "a"), ("t", "x"), ("t", "y"), ("after", "a")],
        *[("inner", "b"), ("t", "x"), ("t", "y"), ("after", "b")],
    ]


def test_skipped_iterations_do_not_nest_calls() -> None:
    driven = Driver(a_flow(_each(of("Sequential", "s", log("a", disabled=True)), values=list(range(3000))))).run()
    assert (driven.state, len(driven.view.runs)) == (State.SUCCESS, 3001)
