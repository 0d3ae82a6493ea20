"""Keys as the executor keeps them: only once, and until their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.unit.runtime.executor_house import House, house

KEY = {"namespace": "house", "key": "k"}


def _in_a_house(folder: Path, act: Callable[[House], Awaitable[None]]) -> None:
    async def live() -> None:
        async with house(folder) as own:
            await act(own)

    asyncio.run(live())


def test_of_many_that_may_not_overwrite_a_key_one_wins(tmp_path: Path) -> None:
    async def act(own: House) -> None:
        told = await asyncio.gather(*(own.call("put_key", **KEY, value=number, overwrite=False) for number in range(5)))
        assert [("error" in answer, "already exists" in str(answer)) for answer in told] == [(False, False)] + 4 * [(True, True)]
        assert own.parts.executor.store.key("house", "k").value == 0  # type: ignore[union-attr]

    _in_a_house(tmp_path, act)


def test_a_key_whose_time_is_over_may_be_put_again(tmp_path: Path) -> None:
    async def act(own: House) -> None:
        await own.call("put_key", **KEY, value=1, ttl_seconds=1e-6)
        assert "error" not in await own.call("put_key", **KEY, value=2, overwrite=False)

    _in_a_house(tmp_path, act)


def test_only_expired_keys_are_forgotten_when_so_asked(tmp_path: Path) -> None:
    async def act(own: House) -> None:
        await own.call("put_key", **KEY, value=1, ttl_seconds=1e-6)
        await own.call("put_key", namespace="house", key="lives", value=1, ttl_seconds=1000)
        assert await own.call("delete_keys", namespace="house", keys=["k", "lives", "none"], expired=True) == {"deleted": ["k"]}
        assert own.parts.executor.store.key("house", "lives") is not None

    _in_a_house(tmp_path, act)
