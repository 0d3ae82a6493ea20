"""What every store must find: conditions, order and pages. Subclass it and give it a `store` fixture."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.errors import Refused
from orchestrator.model.execution import TaskRun
from orchestrator.model.log import Level
from orchestrator.model.state import Lifecycle, State
from orchestrator.store.port import Condition, Page, StateStore
from tests.contract.store_values import a_flow, a_line, a_run, a_trigger, after, an_execution, ids, saved


def labelled(**labels: str) -> tuple[dict[str, str], ...]:
    return tuple({"key": key, "value": value} for key, value in labels.items())


def when(seconds: float) -> str:
    return after(seconds).isoformat()


class SearchContract:
    @pytest.fixture
    def full(self, store: StateStore) -> StateStore:
        """Four executions, `a` to `d`, each an hour after the other."""
        return saved(
            store,
            executions=[
                an_execution("a", State.SUCCESS, namespace="company", flow_id="one", labels=labelled(env="prod", team="x")),
                an_execution("b", State.FAILED, start=3600, namespace="company.team", flow_id="two_", labels=labelled(env="dev"), flow_revision=2),
                an_execution(
                    "c",
                    State.RUNNING,
                    start=7200,
                    namespace="company_team",
                    flow_id="twoX",
                    trigger={"id": "daily", "type": "T", "variables": {"executionId": "a"}},
                ),
                an_execution("d", start=10800, namespace="system", flow_id="ONE%", kind="TEST", parent_id="b", original_id="a", labels=labelled(env="prod")),
            ],
            task_runs=[a_run("ra", "a", task_id="load"), a_run("rb", "b", task_id="load"), a_run("rb2", "b", task_id="save")],
        )

    CASES: tuple[tuple[str, str, Any, str], ...] = (
        ("namespace", "EQUALS", "company", "a"),
        ("namespace", "NOT_EQUALS", "company", "bcd"),
        ("namespace", "PREFIX", "company", "ab"),
        ("namespace", "PREFIX", "company.team", "b"),
        ("namespace", "IN", ["company", "system"], "ad"),
        ("namespace", "IN", "company,system", "ad"),
        ("namespace", "NOT_IN", ["company", "system"], "bc"),
        ("namespace", "IN", [], ""),
        ("namespace", "CONTAINS", "team", "bc"),
        ("namespace", "CONTAINS", "_", "c"),
        ("namespace", "NOT_CONTAINS", "team", "ad"),
        ("namespace", "STARTS_WITH", "company.", "b"),
        ("namespace", "ENDS_WITH", "team", "bc"),
        ("namespace", "REGEX", "^company.?team$", "bc"),
        ("flowId", "CONTAINS", "%", "d"),
        ("flowId", "ENDS_WITH", "_", "b"),
        ("flowId", "STARTS_WITH", "ON", "d"),
        ("flowId", "EQUALS", "'; DROP TABLE executions; --", ""),
        ("flowId", "EQUALS", ["one", "twoX"], "ac"),
        ("q", "EQUALS", "one", "ad"),
        ("q", "EQUALS", "COMPANY.", "b"),
        ("q", "EQUALS", "_", "bc"),
        ("q", "NOT_EQUALS", "one", "bc"),
        ("id", "EQUALS", "a", "a"),
        ("executionId", "IN", ["a", "c", "z"], "ac"),
        ("flowRevision", "EQUALS", "2", "b"),
        ("flowRevision", "LESS_THAN", 2, "acd"),
        ("state", "EQUALS", "SUCCESS", "a"),
        ("state", "IN", ["SUCCESS", "FAILED"], "ab"),
        ("state", "NOT_IN", ["SUCCESS", "FAILED"], "cd"),
        ("state", "NOT_EQUALS", "CREATED", "abc"),
        ("startDate", "GREATER_THAN_OR_EQUAL_TO", when(3600), "bcd"),
        ("startDate", "GREATER_THAN", when(3600), "cd"),
        ("startDate", "LESS_THAN", when(3600), "a"),
        ("startDate", "LESS_THAN_OR_EQUAL_TO", after(3600), "ab"),
        ("startDate", "EQUALS", after(3600).astimezone(UTC).isoformat().replace("+00:00", "Z"), "b"),
        ("endDate", "LESS_THAN_OR_EQUAL_TO", when(4000), "ab"),
        ("endDate", "IS_NULL", None, "cd"),
        ("endDate", "IS_NOT_NULL", None, "ab"),
        ("scope", "EQUALS", "USER", "abc"),
        ("scope", "EQUALS", "SYSTEM", "d"),
        ("scope", "IN", ["SYSTEM", "USER"], "abcd"),
        ("triggerExecutionId", "EQUALS", "a", "c"),
        ("triggerExecutionId", "NOT_EQUALS", "a", "abd"),
        ("triggerExecutionId", "NOT_CONTAINS", "zz", "abcd"),
        ("childFilter", "EQUALS", "CHILD", "c"),
        ("childFilter", "EQUALS", "MAIN", "abd"),
        ("triggerId", "EQUALS", "daily", "c"),
        ("kind", "EQUALS", "NORMAL", "abc"),
        ("parentId", "EQUALS", "b", "d"),
        ("originalId", "EQUALS", "a", "ad"),
        ("taskId", "EQUALS", "load", "ab"),
        ("taskId", "NOT_EQUALS", "load", "cd"),
        ("taskId", "STARTS_WITH", "sa", "b"),
        ("taskRunId", "IN", ["ra", "rb2"], "ab"),
        ("labels", "EQUALS", {"env": "prod"}, "ad"),
        ("labels", "EQUALS", {"env": "prod", "team": "x"}, "a"),
        ("labels", "EQUALS", "env:prod", "ad"),
        ("labels", "EQUALS", ["env:prod", "team:x"], "a"),
        ("labels", "EQUALS", [{"key": "env", "value": "dev"}], "b"),
        ("labels", "NOT_EQUALS", {"env": "prod"}, "bc"),
        ("labels", "IN", {"env": ["prod", "dev"]}, "abd"),
        ("labels", "CONTAINS", {"env": "ro"}, "ad"),
        ("labels", "EQUALS", {"env": "PROD"}, ""),
        ("", "ANY", [Condition("id", "EQUALS", "a"), Condition("state", "EQUALS", "FAILED")], "ab"),
        ("", "ANY", [Condition("", "ALL", [Condition("id", "EQUALS", "a"), Condition("state", "EQUALS", "FAILED")]), Condition("id", "EQUALS", "c")], "c"),
    )

    @pytest.mark.parametrize(("field", "op", "value", "expected"), CASES, ids=lambda v: str(v)[:40])
    def test_a_condition_finds_what_it_says(self, full: StateStore, field: str, op: str, value: Any, expected: str) -> None:
        assert "".join(ids(full, Condition(field, op, value))) == expected

    def test_all_conditions_must_hold(self, full: StateStore) -> None:
        assert ids(full, Condition("namespace", "PREFIX", "company"), Condition("labels", "EQUALS", {"env": "dev"})) == ["b"]

    def test_a_time_range_reaches_back_from_now(self, store: StateStore) -> None:
        recent = Lifecycle.begin(datetime.now(UTC) - timedelta(minutes=5))
        saved(store, executions=[an_execution("old"), an_execution("new").model_copy(update={"state": recent})])
        assert ids(store, Condition("timeRange", "EQUALS", "PT1H")) == ["new"]
        assert ids(store, Condition("timeRange", "EQUALS", "PT1M")) == []

    @pytest.mark.parametrize(
        ("field", "op", "value"),
        [
            ("color", "EQUALS", "red"),
            ("namespace; --", "EQUALS", "x"),
            ("namespace", "LIKE", "x"),
            ("state", "EQUALS", "HAPPY"),
            ("state", "CONTAINS", "UN"),
            ("startDate", "EQUALS", "yesterday"),
            ("startDate", "EQUALS", "2024-05-01T10:00:00"),
            ("startDate", "REGEX", "2024"),
            ("flowRevision", "EQUALS", "two"),
            ("flowRevision", "EQUALS", 2**70),
            ("namespace", "REGEX", "("),
            ("namespace", "EQUALS", None),
            ("namespace", "EQUALS", {"a": 1}),
            ("labels", "EQUALS", "nocolon"),
            ("labels", "GREATER_THAN", {"a": "b"}),
            ("scope", "EQUALS", "MINE"),
            ("childFilter", "CONTAINS", "CHILD"),
            ("timeRange", "EQUALS", "soon"),
            ("timeRange", "GREATER_THAN", "PT1H"),
            ("q", "REGEX", "x"),
            ("taskId", "IS_NULL", None),
        ],
    )
    def test_what_cannot_be_asked_is_refused(self, store: StateStore, field: str, op: str, value: Any) -> None:
        with pytest.raises(Refused):
            store.executions([Condition(field, op, value)])

    def test_executions_come_newest_first(self, full: StateStore) -> None:
        assert [e.id for e in full.executions().rows] == ["d", "c", "b", "a"]

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ([("id", True)], "abcd"),
            ([("state.startDate", True)], "abcd"),
            ([("namespace", False)], "dcba"),
            ([("flowId", True)], "dacb"),
            ([("state.endDate", True), ("id", False)], "abdc"),
            ([("state.endDate", False), ("id", True)], "cdba"),
            ([("state.current", True), ("id", True)], "dbca"),
            ([("state.duration", False), ("id", True)], "abcd"),
        ],
    )
    def test_executions_can_be_sorted(self, full: StateStore, sort: list[tuple[str, bool]], expected: str) -> None:
        assert "".join(e.id for e in full.executions(page=Page(sort=sort)).rows) == expected

    def test_a_sort_field_that_is_none_is_refused(self, store: StateStore) -> None:
        with pytest.raises(Refused):
            store.executions(page=Page(sort=[("doc; --", True)]))

    def test_pages_cut_the_order_and_count_all(self, full: StateStore) -> None:
        by_id = [("id", True)]
        pages = [full.executions(page=Page(number=n, size=3, sort=by_id)) for n in (1, 2, 3)]
        assert [[e.id for e in page.rows] for page in pages] == [["a", "b", "c"], ["d"], []]
        assert [page.total for page in pages] == [4, 4, 4]
        assert full.executions([Condition("id", "EQUALS", "z")]).total == 0
        for bad in (Page(number=0), Page(size=0)):
            with pytest.raises(Refused):
                full.executions(page=bad)

    def test_the_order_of_equals_is_the_same_on_every_page(self, store: StateStore) -> None:
        saved(store, executions=[an_execution(f"e{n}") for n in range(7)])
        seen = [e.id for n in range(1, 5) for e in store.executions(page=Page(number=n, size=2)).rows]
        assert sorted(seen) == [f"e{n}" for n in range(7)]

    def test_found_executions_come_as_json_with_their_task_runs(self, full: StateStore) -> None:
        found = full.executions_json([Condition("namespace", "PREFIX", "company")], Page(size=1, sort=[("id", False)]))
        shown = [json.loads(text) for text in found.rows]
        assert [(e["id"], [r["id"] for r in e["taskRunList"]]) for e in shown] == [("b", ["rb", "rb2"])]
        assert found.total == 2
        assert all(TaskRun.model_validate(run) for run in shown[0]["taskRunList"])

    def test_changed_labels_are_found_and_old_ones_not(self, store: StateStore) -> None:
        saved(store, executions=[an_execution(version=1, labels=labelled(a="1", b="2"))])
        saved(store, executions=[an_execution(version=2, labels=labelled(a="3"))])
        found = [ids(store, Condition("labels", "EQUALS", {key: value})) for key, value in (("a", "3"), ("a", "1"), ("b", "2"))]
        assert found == [["e1"], [], []]
        saved(store, executions_gone=["e1"])
        saved(store, executions=[an_execution(version=1, labels=labelled(a="3"))])
        saved(store, executions=[an_execution(version=2, labels=labelled(a="3"))], executions_gone=[])
        assert ids(store, Condition("labels", "EQUALS", {"a": "3"})) == ["e1"]

    def test_an_execution_made_anew_in_one_turn_keeps_its_labels(self, store: StateStore) -> None:
        saved(store, executions=[an_execution(labels=labelled(a="1"))])
        saved(store, executions=[an_execution(labels=labelled(a="1"))], executions_gone=["e1"])
        assert ids(store, Condition("labels", "EQUALS", {"a": "1"})) == ["e1"]

    def test_flows_are_searched_by_their_newest_revision(self, store: StateStore) -> None:
        saved(store, flows=[a_flow("a", labels={"k": "old"}), a_flow("b", "company"), a_flow("C", "other"), a_flow("gone")])
        saved(store, flows=[a_flow("a", revision=2, labels={"k": "new"}), a_flow("gone", revision=2, deleted=True)])

        def found(*conditions: Condition, **page: Any) -> str:
            return "".join(f.flow.id for f in store.flows(conditions, Page(**page)).rows)

        assert found() == "baC"
        assert found(Condition("labels", "EQUALS", {"k": "new"})) == "a"
        assert found(Condition("labels", "EQUALS", {"k": "old"})) == ""
        assert found(Condition("namespace", "PREFIX", "company")) == "ba"
        assert found(Condition("q", "EQUALS", "c")) == "baC"
        assert found(Condition("flowId", "EQUALS", "C")) == "C"
        assert found(sort=[("revision", False), ("id", True)]) == "aCb"
        assert (found(size=2), found(size=2, number=2), store.flows(page=Page(size=2)).total) == ("ba", "C", 3)
        with pytest.raises(Refused):
            store.flows([Condition("state", "EQUALS", "RUNNING")])

    def test_logs_are_searched(self, store: StateStore) -> None:
        saved(
            store,
            logs=[
                a_line("1 Disk full", level=Level.ERROR),
                a_line("2 100%", timestamp=after(10), level=Level.INFO, task_id="t", task_run_id="r", attempt_number=1),
                a_line("3", timestamp=after(20), level=Level.DEBUG, execution_id=None, trigger_id="daily", namespace="other"),
            ],
        )

        def found(field: str, op: str, value: Any) -> str:
            return "".join(line.message[0] for line in store.search_logs([Condition(field, op, value)]).rows)

        assert "".join(line.message[0] for line in store.search_logs().rows) == "321"
        assert found("q", "EQUALS", "disk") == "1"
        assert found("q", "EQUALS", "%") == "2"
        assert found("level", "EQUALS", "INFO") == "2"
        assert found("level", "GREATER_THAN_OR_EQUAL_TO", "INFO") == "21"
        assert found("minLevel", "EQUALS", "info") == "21"
        assert found("executionId", "EQUALS", "e1") == "21"
        assert found("triggerId", "EQUALS", "daily") == "3"
        assert found("namespace", "PREFIX", "company") == "21"
        assert found("startDate", "GREATER_THAN_OR_EQUAL_TO", when(10)) == "32"
        assert found("endDate", "LESS_THAN_OR_EQUAL_TO", when(10)) == "21"
        assert found("taskRunId", "EQUALS", "r") == found("attemptNumber", "EQUALS", 1) == "2"
        page = store.search_logs(page=Page(size=2, sort=[("level", False)]))
        assert ([line.message[0] for line in page.rows], page.total) == (["1", "2"], 3)

    def test_triggers_are_searched(self, store: StateStore) -> None:
        saved(
            store,
            triggers=[
                a_trigger("a", "f", "x.y", next_execution_date=after(9), worker_id="w"),
                a_trigger("b", "f", "x", next_execution_date=after(5)),
                a_trigger("c", "g", "xy"),
            ],
        )

        def found(*conditions: Condition, **page: Any) -> str:
            return "".join(t.trigger_id for t in store.search_triggers(conditions, Page(**page)).rows)

        assert (found(), store.search_triggers().total) == ("bac", 3)
        assert found(Condition("namespace", "PREFIX", "x")) == "ba"
        assert found(Condition("flowId", "EQUALS", "g")) == "c"
        assert found(Condition("q", "EQUALS", "B")) == "b"
        assert found(Condition("workerId", "EQUALS", "w")) == "a"
        assert found(sort=[("nextExecutionDate", True)]) == "bac"
        assert found(sort=[("nextExecutionDate", False)]) == "cab"
        assert found(size=1, number=2) == "a"
