"""The executor over real workers in this process and a real store: what a turn saves, sends, and takes up again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.unit.runtime.executor_house import house

RETURN = "io.kestra.plugin.core.debug.Return"
SLEEP = "io.kestra.plugin.core.flow.Sleep"


def _flow(tasks: str, name: str = "f") -> str:
    return f"id: {name}\nnamespace: house\ntasks:\n{tasks}"


def _state(execution: Any) -> str:
    return str(execution["state"]["current"])


def test_tasks_in_sequence_end_with_their_outputs(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            done = await own.run(_flow(f"  - {{id: a, type: {RETURN}, format: one}}\n  - {{id: b, type: {RETURN}, format: '{{{{ outputs.a.value }}}} two'}}\n"))
            assert _state(done) == "SUCCESS"
            assert [run["outputs"]["value"] for run in done["taskRunList"]] == ["one", "one two"]
            assert [step["state"] for step in done["state"]["histories"]] == ["CREATED", "RUNNING", "SUCCESS"]

    asyncio.run(check())


def test_an_execution_asked_for_twice_under_one_id_is_one(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            source = _flow(f"  - {{id: a, type: {RETURN}, format: one}}\n")
            first = await own.run(source, execution_id="same")
            again = await own.call("create_execution", namespace="house", flow_id="f", execution_id="same", wait=True)
            assert first["id"] == again["id"] == "same"
            assert len(again["taskRunList"]) == 1

    asyncio.run(check())


def test_a_run_waits_for_a_slot_and_is_killed_where_it_waits(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, slots=1) as own:
            source = _flow(f"  - {{id: s, type: {SLEEP}, duration: PT30S}}\n")
            first, second = await own.run(source, wait=False), await own.run(source.replace("id: f", "id: g"), wait=False)
            await own.until(first["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
            assert own.parts.executor.places.queued() == {"": 1}
            await own.call("act", execution_id=second["id"], verb="kill")
            assert _state(await own.until(second["id"], lambda e: _state(e) == "KILLED")) == "KILLED"
            await own.call("act", execution_id=first["id"], verb="kill")
            await own.until(first["id"], lambda e: _state(e) == "KILLED")
            assert own.parts.executor.store.commands() == [] or not list(own.parts.executor.store.commands())

    asyncio.run(check())


def test_what_a_lost_worker_held_is_sent_again_under_a_new_lease(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("", "other")) as own:
            source = _flow(f"  - {{id: s, type: {SLEEP}, duration: PT1S, workerGroup: {{key: other}}}}\n")
            begun = await own.run(source, wait=False)
            await own.until(begun["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
            own.cluster.lose(next(one.name for one in own.parts.executor.places.workers() if one.group == "other"))
            again = await own.until(begun["id"], lambda e: e["taskRunList"][0]["lease"] == 2)
            assert again["taskRunList"][0]["generation"] == 0
            assert own.parts.executor.places.queued() == {"other": 1}, "it waits for a worker of its group"

    asyncio.run(check())


def test_an_executor_started_again_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    async def check() -> None:
        source = _flow(f"  - {{id: s, type: {SLEEP}, duration: PT0.5S}}\n  - {{id: b, type: {RETURN}, format: done}}\n")
        async with house(tmp_path) as first:
            begun = await first.run(source, wait=False)
            await first.until(begun["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
        async with house(tmp_path) as second:
            done = await second.until(begun["id"], lambda e: _state(e) == "SUCCESS")
            assert [run["taskId"] for run in done["taskRunList"]] == ["s", "b"]
            assert done["taskRunList"][0]["lease"] == 2, "nothing held it any more, so it was sent again"

    asyncio.run(check())


def test_a_second_executor_on_the_same_store_fences_the_first(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as first, house(tmp_path) as second:
            refused = await first.call("save_flow", source=_flow(f"  - {{id: a, type: {RETURN}}}\n"))
            assert refused["error"]["code"] == "unavailable"
            assert first.parts.executor.failed.done()
            first.parts.executor.failed.exception()
            assert _state(await second.run(_flow(f"  - {{id: a, type: {RETURN}}}\n"))) == "SUCCESS"

    asyncio.run(check())


def test_a_flow_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            refused = await own.call("save_flow", source="id: x\nnamespace: house\ntasks:\n  - {id: a, type: no.such.Type}\n")
            assert refused["error"]["code"] == "flow-invalid"
            assert "Invalid type: no.such.Type" in refused["error"]["message"]
            assert own.parts.executor.store.flow("house", "x") is None

    asyncio.run(check())


def test_a_run_that_cannot_be_sent_fails_alone(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            bad = await own.run(_flow(f"  - {{id: a, type: {RETURN}, timeout: \"{{{{ 'no duration' }}}}\"}}\n"))
            assert _state(bad) == "FAILED"
            assert _state(await own.run(_flow(f"  - {{id: a, type: {RETURN}}}\n", name="g"))) == "SUCCESS"
            assert not own.parts.executor.failed.done()

    asyncio.run(check())


def test_a_bug_is_told_as_one_and_not_as_an_executor_that_is_away(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            told = await own.call("create_execution", namespace="house")  # no flow_id: pydantic's error is none of ours
            assert told["error"]["code"] == "internal"

    asyncio.run(check())
