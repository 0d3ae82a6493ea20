"""What every store must do: the port's promises, one by one. Subclass it and give it a `store` fixture.

The fixture's store is fresh, and has taken ownership once.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.errors import Fenced, StoreUnavailable
from orchestrator.model.execution import Attempt, Cause, Phase, PhaseName, Placement, Where
from orchestrator.model.job import JobHandle
from orchestrator.model.log import Level
from orchestrator.model.reason import PassedOver, Reason
from orchestrator.model.state import State
from orchestrator.store.port import Changes, LogFilter, Page, StateStore
from tests.contract.store_values import NOON, a_command, a_flow, a_key, a_line, a_metric, a_run, after, an_execution, ids, life, saved

PASSED_OVER = PassedOver(place="a", reason=Reason.AT_CAPACITY, detail="full", waited=timedelta(seconds=2))


class StoreContract:
    # ownership and all-or-nothing

    def test_each_owner_gets_a_higher_epoch(self, store: StateStore) -> None:
        assert store.take_ownership("a", NOON) < store.take_ownership("b", NOON)

    def test_the_installation_stays_the_same(self, store: StateStore) -> None:
        first = store.installation()
        assert first.id
        assert len(base64.b64decode(first.secrets["tokens"])) == 32
        assert store.installation() == first
        assert first.secrets["tokens"] not in repr(first)

    def test_an_execution_is_replaced_only_by_the_next_version(self, store: StateStore) -> None:
        saved(store, executions=[an_execution(version=1)])
        saved(store, executions=[an_execution("e1", State.RUNNING, version=2)])
        for version in (1, 2, 4):
            with pytest.raises(Fenced):
                store.commit(Changes(executions=[an_execution("e1", State.RUNNING, State.FAILED, version=version)]))
        found = store.execution("e1")
        assert found is not None
        assert (found.version, found.current) == (2, State.RUNNING)

    def test_a_refused_turn_leaves_nothing_behind(self, store: StateStore) -> None:
        saved(store, executions=[an_execution(version=1), an_execution("other")], keys=[a_key("old")])
        with pytest.raises(Fenced):
            store.commit(
                Changes(
                    executions=[an_execution("e2"), an_execution("e1", version=7)],
                    task_runs=[a_run("t", "e2")],
                    logs=[a_line()],
                    commands=[a_command()],
                    keys=[a_key("new")],
                    keys_gone=[("company.team", "old")],
                    executions_gone=["other"],
                    settings={"s": 1},
                    flows=[a_flow()],
                )
            )
        assert ids(store) == ["e1", "other"]
        assert (store.task_run("t"), store.commands(), store.logs(LogFilter()), store.setting("s")) == (None, [], [], None)
        assert [k.key for k in store.keys(None)] == ["old"]
        assert store.flows().rows == []

    def test_the_store_goes_on_after_a_refused_turn(self, store: StateStore) -> None:
        saved(store, executions=[an_execution(version=1, labels=({"key": "a", "value": "1"},))])
        with pytest.raises(Fenced):
            store.commit(Changes(executions=[an_execution(version=9, labels=({"key": "a", "value": "2"},))]))
        saved(store, executions=[an_execution(version=2, labels=({"key": "a", "value": "2"},))])
        assert store.execution("e1") == an_execution(version=2, labels=({"key": "a", "value": "2"},))

    def test_a_task_run_of_no_execution_is_refused(self, store: StateStore) -> None:
        with pytest.raises(StoreUnavailable):
            store.commit(Changes(task_runs=[a_run("t", "nowhere")], keys=[a_key()]))
        assert store.keys() == []

    def test_an_empty_turn_is_a_turn(self, store: StateStore) -> None:
        store.commit(Changes())

    # executions and task runs

    def test_an_execution_comes_back_whole(self, store: StateStore) -> None:
        execution = an_execution(
            "e1",
            State.RUNNING,
            inputs={"a": None, "b": [1, 2.5, {"c": "ü€😀\x00"}], "big": 10**30},
            outputs={"x": {"y": None}},
            labels=({"key": "k", "value": "v"}, {"key": "k2", "value": ""}),
            variables={"v": True},
            parent_id="p",
            trigger={"id": "daily", "type": "T", "variables": {"executionId": "caller"}},
            metadata={"attempt_number": 2, "original_created_date": NOON},
            schedule_date=after(60),
            kind="TEST",
            task_run_count=3,
        )
        assert saved(store, executions=[execution]).execution("e1") == execution
        assert store.execution("e2") is None

    def test_a_task_run_comes_back_whole(self, store: StateStore) -> None:
        run = a_run(
            "t1",
            "e1",
            State.FAILED,
            seq=4,
            parent_id="p",
            branch="cases.a",
            value="1",
            iteration=0,
            attempts=(Attempt(state=life(State.FAILED), worker_id="w"),),
            outputs={"a": None, "b": {"c": [None]}},
            dynamic=True,
            answers={"plan": [None, 1]},
            phases=(Phase(name=PhaseName.QUEUED, at=NOON), Phase(name=PhaseName.IMAGE, at=after(1), detail="alpine")),
            placement=Placement(
                where=Where.SUPERVISOR,
                group="gpu",
                worker="w",
                passed_over=(PASSED_OVER,),
            ),
            lease=3,
            generation=2,
            job=JobHandle(key="j", runner="docker", backend="local", details={"container": "abc"}),
            cause=Cause.EXIT_CODE,
            error="exit 1",
            cost=0.25,
            lost_workers=1,
            due=after(9),
        )
        saved(store, executions=[an_execution()], task_runs=[run])
        assert store.task_run("t1") == run
        assert store.task_runs("e1") == [run]
        assert store.task_run("t2") is None

    def test_task_runs_are_replaced_by_id_and_come_in_order(self, store: StateStore) -> None:
        saved(store, executions=[an_execution()], task_runs=[a_run("b", seq=1), a_run("a", seq=2), a_run("c", seq=0)])
        saved(store, task_runs=[a_run("a", "e1", State.SUCCESS, seq=2, lease=1)])
        assert [(r.id, r.current.value, r.lease) for r in store.task_runs("e1")] == [("c", "CREATED", 0), ("b", "CREATED", 0), ("a", "SUCCESS", 1)]

    @pytest.mark.parametrize("state", [s for s in State if s is not State.CREATED])
    def test_every_state_can_be_stored(self, store: StateStore, state: State) -> None:
        saved(store, executions=[an_execution("e1", state)], task_runs=[a_run("t1", "e1", state)])
        found, run = store.execution("e1"), store.task_run("t1")
        assert found is not None
        assert run is not None
        assert (found.current, run.current) == (state, state)

    def test_the_json_of_an_execution_holds_its_task_runs(self, store: StateStore) -> None:
        runs = [a_run("b", seq=1, outputs={"n": None}), a_run("a", seq=0, value="x")]
        saved(store, executions=[an_execution("e1", State.RUNNING, labels=({"key": "k", "value": "v"},))], task_runs=runs)
        shown = json.loads(store.execution_json("e1") or "")
        assert [run["id"] for run in shown["taskRunList"]] == ["a", "b"]
        assert (shown["flowId"], shown["state"]["current"], shown["labels"]) == ("hello", "RUNNING", [{"key": "k", "value": "v"}])
        assert not {"inputs", "outputs", "variables", "parentId", "trigger", "kind"} & set(shown)
        assert shown["taskRunList"][0]["outputs"] == {}
        assert shown["taskRunList"][1]["outputs"] == {"n": None}
        assert store.execution_json("e2") is None

    def test_the_json_of_an_execution_without_task_runs_has_an_empty_list(self, store: StateStore) -> None:
        saved(store, executions=[an_execution(inputs={"a": 1}, outputs={"b": 2})])
        shown = json.loads(store.execution_json("e1") or "")
        assert (shown["taskRunList"], shown["inputs"], shown["outputs"]) == ([], {"a": 1}, {"b": 2})

    def test_the_unfinished_come_oldest_first(self, store: StateStore) -> None:
        saved(
            store,
            executions=[
                an_execution("late", State.RUNNING, start=20),
                an_execution("over", State.SUCCESS, start=1),
                an_execution("paused", State.PAUSED, start=10),
                an_execution("early", start=5),
            ],
        )
        assert [e.id for e in store.unfinished()] == ["early", "paused", "late"]

    def test_task_runs_go_by_id_and_others_of_the_turn_come(self, store: StateStore) -> None:
        saved(store, executions=[an_execution()], task_runs=[a_run("t1", seq=0), a_run("t2", seq=1), a_run("t3", seq=2)])
        saved(store, executions=[an_execution(version=2)], task_runs_gone=["t2", "never"], task_runs=[a_run("t4", seq=3)])
        assert [run.id for run in store.task_runs("e1")] == ["t1", "t3", "t4"]
        assert store.task_run("t2") is None
        assert '"t2"' not in str(store.execution_json("e1"))

    def test_an_execution_goes_with_its_task_runs_and_commands(self, store: StateStore) -> None:
        labels = ({"key": "k", "value": "v"},)
        saved(store, executions=[an_execution("e1", labels=labels), an_execution("e2")], task_runs=[a_run("t1"), a_run("t2", "e2")])
        saved(store, commands=[a_command("c1"), a_command("c2", "e2")], logs=[a_line()], metrics=[a_metric()])
        saved(store, executions_gone=["e1"])
        assert (store.execution("e1"), store.task_run("t1"), store.task_runs("e1")) == (None, None, [])
        assert (ids(store), [c.id for c in store.commands()], len(store.task_runs("e2"))) == (["e2"], ["c2"], 1)
        assert len(store.logs(LogFilter(execution_id="e1"))) == 1
        saved(store, executions=[an_execution("e1", labels=labels)])
        assert store.execution("e1") == an_execution("e1", labels=labels)

    def test_an_execution_that_goes_and_comes_back_in_one_turn_has_only_the_task_runs_of_that_turn(self, store: StateStore) -> None:
        labels = ({"key": "k", "value": "v"},)
        saved(store, executions=[an_execution("e1", version=4, labels=labels)], task_runs=[a_run("t1"), a_run("t2")], logs=[a_line()])
        saved(store, executions_gone=["e1"], executions=[an_execution("e1", version=5, labels=labels)], task_runs=[a_run("t2")])
        assert store.execution("e1") == an_execution("e1", version=5, labels=labels)
        assert [run.id for run in store.task_runs("e1")] == ["t2"]
        assert len(store.logs(LogFilter(execution_id="e1"))) == 1

    def test_text_that_is_no_text_is_stored_all_the_same(self, store: StateStore) -> None:
        broken = a_run(outputs={}).model_copy(update={"outputs": {"a": ["x\ud800y"], "n": float("inf")}})
        saved(store, executions=[an_execution()], task_runs=[broken])
        run = store.task_run("t1")
        assert run is not None
        assert run.outputs == {"a": ["x\ufffdy"], "n": None}

    # logs and metrics

    def test_lines_come_in_the_order_taken_with_growing_numbers(self, store: StateStore) -> None:
        saved(store, logs=[a_line("b", timestamp=after(2)), a_line("a", timestamp=after(1))])
        saved(store, logs=[a_line("c")])
        numbers, lines = zip(*store.logs(LogFilter()), strict=True)
        assert [line.message for line in lines] == ["b", "a", "c"]
        assert list(numbers) == sorted(set(numbers))
        assert [line.message for _, line in store.logs(LogFilter(), after=numbers[0])] == ["a", "c"]
        assert [line.message for _, line in store.logs(LogFilter(), after=numbers[0], limit=1)] == ["a"]

    def test_a_line_comes_back_whole(self, store: StateStore) -> None:
        line = a_line("ü\n€", task_id="work", task_run_id="t1", attempt_number=0, trigger_id="daily", level=Level.WARN, thread="main", offset=7)
        assert [found for _, found in saved(store, logs=[line]).logs(LogFilter())] == [line]

    def test_a_line_taken_twice_is_stored_once(self, store: StateStore) -> None:
        saved(store, logs=[a_line("a", task_run_id="t1", offset=0), a_line("b", task_run_id="t1", offset=1)])
        saved(store, logs=[a_line("again", task_run_id="t1", offset=1), a_line("c", task_run_id="t1", offset=2), a_line("d", task_run_id="t2", offset=1)])
        assert [line.message for _, line in store.logs(LogFilter())] == ["a", "b", "c", "d"]

    def test_lines_without_an_offset_or_task_run_are_all_kept(self, store: StateStore) -> None:
        saved(store, logs=[a_line("a", task_run_id="t1"), a_line("a", task_run_id="t1"), a_line("a", offset=1), a_line("a", offset=1)])
        assert len(store.logs(LogFilter())) == 4

    def test_a_nul_in_a_line_is_shown_as_a_replacement(self, store: StateStore) -> None:
        assert saved(store, logs=[a_line("a\x00b")]).logs(LogFilter())[0][1].message == "a\ufffdb"

    def test_a_log_filter_means_what_it_says(self, store: StateStore) -> None:
        saved(
            store,
            logs=[
                a_line("1", task_id="a", task_run_id="t1", attempt_number=0, level=Level.DEBUG),
                a_line("2", task_id="a", task_run_id="t1", attempt_number=1, level=Level.ERROR),
                a_line("3", task_id="b", task_run_id="t2", level=Level.INFO),
                a_line("4", execution_id=None, trigger_id="daily", namespace="other", flow_id="f", level=Level.WARN),
            ],
        )

        def found(which: LogFilter) -> str:
            return "".join(line.message for _, line in store.logs(which))

        assert found(LogFilter(execution_id="e1")) == "123"
        assert found(LogFilter(task_id="a")) == "12"
        assert found(LogFilter(task_run_id="t2")) == "3"
        assert found(LogFilter(attempt=0)) == "1"
        assert found(LogFilter(min_level=Level.WARN)) == "24"
        assert found(LogFilter(namespace="other", flow_id="f", trigger_id="daily")) == "4"
        assert found(LogFilter(execution_id="e1", task_id="a", min_level=Level.INFO)) == "2"

    def test_a_log_filter_means_namespaces_below_dates_levels_and_what_is_no_execution(self, store: StateStore) -> None:
        above, below, beside = (a_line(text, namespace=space) for text, space in (("1", "a"), ("2", "a.b"), ("3", "ab")))
        early = a_line("4", namespace="x", timestamp=after(-60), level=Level.WARN)
        of_a_trigger = a_line("5", namespace="x", execution_id=None, trigger_id="daily", timestamp=after(60), level=Level.ERROR)
        saved(store, logs=[above, below, beside, early, of_a_trigger])

        def found(**which: Any) -> str:
            return "".join(line.message for _, line in store.logs(LogFilter(**which)))

        assert (found(namespace="a"), found(namespace="a", below=True), found(below=True)) == ("1", "12", "12345")
        assert (found(end=after(-1)), found(start=after(1)), found(start=NOON, end=NOON)) == ("4", "5", "123")
        assert (found(levels=(Level.WARN, Level.ERROR)), found(of_executions=False), found(of_executions=True)) == ("45", "5", "1234")
        second = store.logs(LogFilter())[1][0]
        saved(store, logs_gone=[LogFilter(up_to=second)])
        assert found() == "345"

    def test_lines_go_as_filtered_and_their_numbers_never_come_back(self, store: StateStore) -> None:
        saved(store, logs=[a_line("a"), a_line("b", level=Level.ERROR), a_line("c", task_run_id="t", offset=0)])
        last = store.logs(LogFilter())[-1][0]
        saved(
            store, logs_gone=[LogFilter(execution_id="e1", min_level=Level.ERROR), LogFilter(task_run_id="t")], logs=[a_line("c2", task_run_id="t", offset=0)]
        )
        assert [line.message for _, line in store.logs(LogFilter())] == ["a", "c2"]
        assert store.logs(LogFilter())[-1][0] > last

    def test_metrics_come_back_and_go(self, store: StateStore) -> None:
        first = a_metric("a", 1.25, task_id="x", task_run_id="t1", tags={"k": "v"}, type="timer")
        saved(store, metrics=[first, a_metric("b", task_id="y"), a_metric("c", execution_id="e2"), a_metric("bad", float("nan"))])
        assert store.metrics("e1").rows == [first, a_metric("b", task_id="y")]
        assert (store.metrics("e1", task_id="x").rows, store.metrics("e1", task_run_id="t1").total) == ([first], 1)
        paged = store.metrics("e1", page=Page(number=2, size=1))
        assert ([m.name for m in paged.rows], paged.total) == (["b"], 2)
        saved(store, metrics_gone=["e1"])
        assert (store.metrics("e1").total, store.metrics("e2").total) == (0, 1)

    # commands

    def test_commands_wait_oldest_first_until_answered(self, store: StateStore) -> None:
        saved(store, executions=[an_execution()], commands=[a_command("z"), a_command("a")])
        saved(store, commands=[a_command("m")])
        assert store.commands() == [a_command("z"), a_command("a"), a_command("m")]
        saved(store, answered=["a", "unknown"])
        assert [c.id for c in store.commands()] == ["z", "m"]

    def test_a_command_written_twice_is_one(self, store: StateStore) -> None:
        saved(store, commands=[a_command("a", target="first")])
        saved(store, commands=[a_command("a", target="second"), a_command("b")])
        assert [(c.id, c.target) for c in store.commands()] == [("a", "first"), ("b", "worker-1")]

    def test_a_command_answered_and_written_in_one_turn_waits(self, store: StateStore) -> None:
        saved(store, commands=[a_command("a", target="first")])
        saved(store, answered=["a"], commands=[a_command("a", target="second")])
        assert [c.target for c in store.commands()] == ["second"]

    # flows

    def test_a_flow_comes_back_as_written(self, store: StateStore) -> None:
        flow = a_flow(labels={"a": "1"}, inputs=[{"id": "x", "type": "STRING", "defaults": None}], disabled=True)
        assert saved(store, flows=[flow]).flow("company.team", "hello") == flow
        assert store.flow("company.team", "other") is None

    def test_revisions_are_kept_and_the_newest_is_the_flow(self, store: StateStore) -> None:
        for revision in (1, 2, 10):
            saved(store, flows=[a_flow(revision=revision, description=f"r{revision}")])
        newest, second = store.flow("company.team", "hello"), store.flow("company.team", "hello", 2)
        assert newest is not None
        assert second is not None
        assert (newest.flow.revision, second.flow.description) == (10, "r2")
        assert store.flow("company.team", "hello", 3) is None
        assert [r.flow.revision for r in store.revisions("company.team", "hello")] == [1, 2, 10]

    def test_a_deleted_flow_is_seen_only_when_asked_for(self, store: StateStore) -> None:
        saved(store, flows=[a_flow(), a_flow("other", "x")])
        saved(store, flows=[a_flow(revision=2, deleted=True)])
        assert store.flow("company.team", "hello") is None
        assert store.flow("company.team", "hello", 1) is None
        shown = store.flow("company.team", "hello", deleted=True)
        assert shown is not None
        assert shown.flow.deleted
        assert ([f.flow.id for f in store.flows().rows], store.namespaces()) == (["other"], ["x"])
        saved(store, flows=[a_flow(revision=3)])
        assert store.namespaces() == ["company.team", "x"]

    def test_a_revision_saved_again_is_replaced(self, store: StateStore) -> None:
        saved(store, flows=[a_flow(labels={"a": "1"})])
        saved(store, flows=[a_flow(labels={"b": "2"}, deleted=True)])
        assert store.flows().rows == []
        assert len(store.revisions("company.team", "hello")) == 1

    def test_closing_twice_is_harmless(self, store: StateStore) -> None:
        store.close()
        store.close()
