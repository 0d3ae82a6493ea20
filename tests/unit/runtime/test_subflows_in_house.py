"""Executions that others start, while the executor dies: each is there once, and its end is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StoreUnavailable
from orchestrator.store.database import DatabaseStore
from tests.unit.runtime.executor_house import house
from tests.unit.runtime.test_subflows import CHILD, FAILING, SLEEPING, _parent

PARENT = "0000000000parent000000"


def _dies_at(monkeypatch: pytest.MonkeyPatch, number: int, *, saved: bool) -> Callable[[], None]:
    """Let the commit of that number (from 0, counted from the call of what is returned) be the last: done, or not done any more."""
    commit, state = DatabaseStore.commit, {"count": -1, "on": False}

    def counted(store: Any, changes: Any) -> None:
        if state["on"]:
            state["count"] += 1
        if state["count"] >= number:
            if saved and state["count"] == number:
                commit(store, changes)
            raise StoreUnavailable("the process was killed")
        commit(store, changes)

    monkeypatch.setattr(DatabaseStore, "commit", counted)
    return lambda: state.update(on=True)


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("number", range(6))
def test_one_child_is_started_whichever_commit_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, saved: bool) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(CHILD)
            begin = _dies_at(monkeypatch, number, saved=saved)
            flow = await own.flow(_parent())
            begin()
            await own.call("create_execution", **flow, wait=False, execution_id=PARENT)
            await asyncio.wait((own.parts.executor.failed,), timeout=1.0)
        monkeypatch.undo()
        async with house(tmp_path) as own:
            await own.call("create_execution", **flow, wait=False, execution_id=PARENT)  # asked again, as one who got no answer does
            parent = await own.ended(PARENT)
            assert parent["state"]["current"] == "SUCCESS"
            assert parent["taskRunList"][0]["outputs"]["outputs"] == {"greeting": "hello nobody"}
            assert sorted(e.flow_id for e in own.executions()) == ["child", "parent"]

    asyncio.run(check())


def test_a_child_that_ends_after_the_restart_is_still_waited_for(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(SLEEPING.replace("PT30S", "PT0.5S"))
            parent = await own.run(_parent(), wait=False)
            await own.until(parent["id"], lambda e: bool(e["taskRunList"]) and bool(e["taskRunList"][0]["outputs"]))
        async with house(tmp_path) as own:
            assert (await own.ended(parent["id"]))["state"]["current"] == "SUCCESS"
            assert len(own.executions()) == 2

    asyncio.run(check())


def test_a_kill_goes_on_after_the_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(SLEEPING)
            parent = await own.run(_parent(), wait=False)
            parent = await own.until(parent["id"], lambda e: bool(e["taskRunList"]) and bool(e["taskRunList"][0]["outputs"]))
            child = parent["taskRunList"][0]["outputs"]["executionId"]
            monkeypatch.setattr(own.parts.executor.calling, "kill_below", lambda execution_id: None)
            monkeypatch.setattr(own.parts.executor.calling, "_kill", lambda execution_id, turn: None)  # it died before it came to that
            await own.call("act", execution_id=parent["id"], verb="kill")
        async with house(tmp_path) as own:
            assert (await own.ended(parent["id"]))["state"]["current"] == "KILLED"
            assert (await own.ended(child))["state"]["current"] == "KILLED"

    asyncio.run(check())


def test_a_retry_after_the_restart_starts_one_more_child_and_no_third(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(FAILING)
            parent = await own.run(_parent("retry: {type: constant, interval: PT0.6S, maxAttempts: 2}"), wait=False)
            await own.until(parent["id"], lambda e: bool(e["taskRunList"]) and e["taskRunList"][0]["state"]["current"] == "RETRYING")
        async with house(tmp_path) as own:
            assert (await own.ended(parent["id"]))["state"]["current"] == "FAILED"
            assert len(own.executions()) == 3

    asyncio.run(check())
