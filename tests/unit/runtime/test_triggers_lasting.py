"""Triggers whose executor, or listener, comes and goes: nothing is evaluated twice at once, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.runtime.executor_house import house
from tests.unit.runtime.trigger_house import Post, installed, post, run

SLEEP = "{id: s, type: io.kestra.plugin.core.flow.Sleep, duration: PT30S}"


@pytest.fixture(autouse=True)
def lookouts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


# --- restarts of the executor


def test_a_trigger_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "one")
            await own.save(task=SLEEP)
            (execution,) = await own.until(own.executions)
        async with house(tmp_path) as again:
            own = Post(again, tmp_path / "post")
            count = own.begun()
            assert (await own.reason())["evidence"] == {"executionId": execution.id}
            await again.call("act", execution_id=execution.id, verb="kill")
            await own.until(lambda: own.begun() > count)

    run(check)


def test_an_evaluation_lost_with_everything_is_followed_by_another_after_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("hang")
            await own.save()
            await own.until(lambda: own.begun() == 1)
        async with house(tmp_path) as again:
            own = Post(again, tmp_path / "post")
            await own.until(lambda: own.begun() == 2)

    run(check)


def test_a_leftover_of_a_deleted_flow_is_told_to_stop_again_after_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("hang")
            await own.save()
            await own.until(lambda: own.begun() == 1)
            own.house.cluster.stop = lambda place, stops: None  # type: ignore[method-assign]  # the executor dies before it has told anyone
            await own.delete()
            assert len(own.house.parts.executor.store.commands()) == 1
        async with house(tmp_path) as again:
            own = Post(again, tmp_path / "post")
            await own.save()
            await own.until(lambda: own.begun() == 2)
            assert list(again.parts.executor.store.commands()) == []

    run(check)


def test_flows_of_a_store_from_before_triggers_were_kept_get_theirs(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save(interval="PT1H")
            executor = own.house.parts.executor
            await executor.do(lambda turn: turn.settings.update({"triggers-caught-up": None}))
            await executor.do(lambda turn: turn.keep_trigger(("house", "f", "t"), None))
            assert own.state() is None
        async with house(tmp_path) as again:
            assert Post(again, tmp_path / "post").state() is not None

    run(check)


# --- listening


def test_a_listener_starts_an_execution_for_every_message_in_order(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("queue", "\n".join(map(str, range(20))))
            await own.save(kind="Listener")
            await own.until(lambda: len(own.executions()) == 20)
            assert own.started_with("line") == [str(n) for n in range(20)]
            state = own.state()
            assert state is not None
            assert state.evaluation is not None
            assert (state.execution_id, state.evaluation.emitted, own.begun()) == (None, 20, 1)

    run(check)


def test_a_listener_that_fails_is_begun_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("fail", "no broker")
            await own.save(kind="Listener")
            await own.until(lambda: own.begun() == 2)
            assert ("ERROR", "ValueError: no broker") in own.lines()
            own.take("fail")
            own.put("queue", "x")
            await own.until(own.executions)

    run(check)


def test_a_listener_is_begun_anew_when_what_it_was_given_has_changed_and_only_then(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save(kind="Listener")
            await own.until(lambda: own.begun() == 1)
            await own.save(kind="Listener", flow="description: nothing of its")
            await own.save(kind="Listener", flow="variables: {a: 1}")
            await own.until(lambda: own.begun() == 2)
            await own.delete()
            await own.until(lambda: len(own.log()) == 4)
            assert own.at_once() == 1

    run(check)


def test_a_worker_that_drains_hands_its_listeners_over(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path, groups=("edge",)) as own:
            await own.save(kind="Listener", workerGroup="{key: edge}")
            await own.until(lambda: own.begun() == 1)
            second = own.house.cluster.join("edge")
            own.house.cluster.drain(own.worker("edge"))
            await own.until(lambda: own.begun() == 2)
            state = own.state()
            assert state is not None
            assert (state.worker_id, own.at_once()) == (second, 1)

    run(check)


def test_what_is_emitted_while_the_executor_is_away_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save(kind="Listener")
            await own.until(lambda: own.begun() == 1)
            take, times = own.house.parts.reports.take, 0

            async def broken(text: str) -> None:
                nonlocal times
                times += 1
                if times % 3 == 0:
                    await take(text)  # saved, and not acknowledged
                if times % 3 != 1:
                    raise ConnectionError("gone")
                await take(text)

            own.house.cluster.reports_to(broken)
            own.put("queue", "\n".join(map(str, range(10))))
            await own.until(lambda: (own.folder / "taken").exists() and (own.folder / "taken").read_text() == "10", within=30)
            assert own.started_with("line") == [str(n) for n in range(10)]
            own.house.cluster.reports_to(take)

    run(check)
