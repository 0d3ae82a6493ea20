"""Triggers on groups that grow: they bring a machine, and keep the one that they use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.runtime.executor_house import House
from tests.unit.runtime.test_placing import in_house
from tests.unit.runtime.test_scaling import ask_of, until, workers_of
from tests.unit.runtime.trigger_house import Post, installed

GROUP = {"key": "gpu", "max": 2, "slots": 1, "idleTimeout": "PT0.5S"}


@pytest.fixture(autouse=True)
def _lookouts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


@pytest.mark.parametrize("fallback", ["WAIT", "FAIL"])
def test_a_trigger_whose_group_has_no_worker_brings_a_machine(tmp_path: Path, fallback: str) -> None:
    async def check(own: House) -> None:
        post = Post(own, tmp_path / "folder")
        await post.save(workerGroup=f"{{key: gpu, fallback: {fallback}}}")
        await until(lambda: ask_of(own).workers == 1)
        await own.join("gpu", 1)
        await until(post.log)

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_a_trigger_that_looks_more_often_than_the_idle_timeout_keeps_its_worker(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        post = Post(own, tmp_path / "folder")
        name = await own.join("gpu", 1)
        await post.save(workerGroup="{key: gpu}")
        await until(lambda: len(post.log()) > 30, within=30)
        assert workers_of(own) == [name]
        await post.delete()
        await until(lambda: not workers_of(own))

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_a_listener_keeps_its_worker_however_little_it_hears(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        post = Post(own, tmp_path / "folder")
        name = await own.join("gpu", 1)
        await post.save(kind="Listener", workerGroup="{key: gpu}")
        await until(post.log)
        await own.parts.executor.scaling.look(own.parts.executor.clock() + timedelta(hours=1))
        assert workers_of(own) == [name]

    in_house(tmp_path, check, worker_groups=(GROUP,))
