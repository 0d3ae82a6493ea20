"""A flow's limit on executions that run at once: the one too many waits, or ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runtime.executor_house import House, house

SLEEP = "io.kestra.plugin.core.flow.Sleep"


def _flow(behavior: str, duration: str = "PT30S") -> str:
    return f"""
id: f
namespace: house
concurrency: {{limit: 1, behavior: {behavior}}}
tasks:
  - {{id: s, type: {SLEEP}, duration: {duration}}}
"""


def _history(execution: Any) -> list[str]:
    return [step["state"] for step in execution["state"]["histories"]]


async def _until(own: House, execution: Any, state: str) -> Any:
    return await own.until(execution["id"], lambda e: bool(e["state"]["current"] == state))


async def _kill(own: House, *executions: Any) -> None:
    for execution in executions:
        await own.call("act", execution_id=execution["id"], verb="kill")
        await _until(own, execution, "KILLED")


def test_one_too_many_waits_until_another_has_ended(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            source = _flow("QUEUE", "PT0.3S")
            some = [await own.run(source, wait=False) for _ in range(3)]
            assert [one["state"]["current"] for one in some] == ["CREATED"] * 3
            first, second, third = [await _until(own, one, "SUCCESS") for one in some]
            assert _history(first) == ["CREATED", "RUNNING", "SUCCESS"]
            assert _history(second) == _history(third) == ["CREATED", "QUEUED", "RUNNING", "SUCCESS"]
            ends = [one["state"]["endDate"] for one in (first, second)]
            begins = [one["taskRunList"][0]["state"]["startDate"] for one in (second, third)]
            assert all(begun >= ended for begun, ended in zip(begins, ends, strict=True))

    asyncio.run(check())


@pytest.mark.parametrize(("behavior", "state"), [("CANCEL", "CANCELLED"), ("FAIL", "FAILED")])
def test_one_too_many_ends_where_the_flow_says_so(tmp_path: Path, behavior: str, state: str) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            first = await own.run(_flow(behavior), wait=False)
            second = await own.run(_flow(behavior))
            assert _history(second) == ["CREATED", state]
            assert second["taskRunList"] == []
            await _kill(own, first)
            third = await own.run(_flow(behavior), wait=False)
            await _until(own, third, "RUNNING")
            await _kill(own, third)

    asyncio.run(check())


def test_who_waits_still_waits_in_the_next_executor(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            first, second = [await own.run(_flow("QUEUE", "PT0.5S"), wait=False) for _ in range(2)]
            await _until(own, second, "QUEUED")
        async with house(tmp_path) as own:
            await _until(own, first, "SUCCESS")
            assert _history(await _until(own, second, "SUCCESS")) == ["CREATED", "QUEUED", "RUNNING", "SUCCESS"]

    asyncio.run(check())


@pytest.mark.parametrize("verb", ["unqueue", "force-run"])
def test_who_waits_is_let_go_by_hand(tmp_path: Path, verb: str) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            first, second = [await own.run(_flow("QUEUE"), wait=False) for _ in range(2)]
            answer = await own.call("act", execution_id=second["id"], verb=verb)
            assert _history(answer) == ["CREATED", "QUEUED", "RUNNING"]
            await _kill(own, first, second)
            refused = await own.call("act", execution_id=second["id"], verb=verb)
            assert refused["error"]["code"] == "refused"

    asyncio.run(check())


def test_who_waits_is_taken_out_of_the_line(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            first, second, third = [await own.run(_flow("QUEUE"), wait=False) for _ in range(3)]
            answer = await own.call("act", execution_id=second["id"], verb="unqueue", args={"state": "CANCELLED"})
            assert _history(answer) == ["CREATED", "QUEUED", "CANCELLED"]
            refused = await own.call("act", execution_id=first["id"], verb="unqueue")
            assert refused["error"]["message"] == "The execution is not queued"
            await _kill(own, first)
            await _until(own, third, "RUNNING")
            await _kill(own, third)

    asyncio.run(check())


def test_who_waits_is_killed_where_it_waits(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            first, second = [await own.run(_flow("QUEUE"), wait=False) for _ in range(2)]
            await _kill(own, second, first)
            assert _history(await _until(own, second, "KILLED")) == ["CREATED", "QUEUED", "KILLING", "KILLED"]

    asyncio.run(check())
