"""The reaper over a real executor and store, and a back end in memory: who lives is looked up after what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.errors import RunnerUnavailable
from orchestrator.model.execution import TaskRun
from orchestrator.model.job import JobHandle
from orchestrator.model.state import Lifecycle
from orchestrator.model.stock import Stocked
from orchestrator.model.values import parse_duration
from orchestrator.runtime.reaping import ownership
from orchestrator.sdk import Found
from tests.unit.runtime.executor_house import House, house
from tests.unit.runtime.test_job_run import Rented, Site


class Yard(Rented):
    """A back end that is told where it is; it keeps what is asked of it."""

    things: ClassVar[dict[str, Found]]
    backend_fields: ClassVar[tuple[str, ...]] = ("region",)
    listing: ClassVar[Callable[[], None]]
    told: ClassVar[list[str]]
    region: str = "here"
    key: str = ""
    image: str | None = None

    def backend(self) -> str:
        return f"yard:{self.region}"

    def ls(self, installation: str) -> list[Found]:
        type(self).told.append(self.key)
        type(self).listing()
        return list(self.things.values())

    def reap(self, installation: str, live: Callable[[str], bool]) -> list[str]:
        gone = [key for key, found in self.things.items() if not found.keep and not live(key)]
        for key in gone:
            del self.things[key]
        return gone


@pytest.fixture(autouse=True)
def yard(monkeypatch: pytest.MonkeyPatch) -> type[Yard]:
    Rented.site = Site()
    Yard.things, Yard.listing, Yard.told = {}, lambda: None, []
    monkeypatch.setattr("orchestrator.runtime.backends._of_this_machine", lambda: [Yard(type="test.Yard")])
    monkeypatch.setattr("orchestrator.runtime.backends.built_runner", lambda given: Yard.model_validate({**given, "type": "test.Yard"}))
    return Yard


def leave(*keys: str, keep: bool = False) -> None:
    Yard.things.update({key: Found(key=key, kind="job", name=f"name-{key}", state="RUNNING", keep=keep, labels={"kestra-task-id": "t"}) for key in keys})


def checked(folder: Path, check: Callable[[House], Any], **settings: Any) -> None:
    async def run() -> None:
        async with house(folder, reap_grace=parse_duration("PT1H"), **settings) as own:
            await check(own)

    asyncio.run(run())


async def sleeping(own: House) -> tuple[str, str]:
    """An execution whose one run is out, and the key of its job."""
    source = "id: f\nnamespace: house\ntasks:\n  - {id: t, type: io.kestra.plugin.core.flow.Sleep, duration: PT1M}\n"
    started = await own.run(source, wait=False)
    await own.until(started["id"], lambda e: bool(e["taskRunList"]) and e["taskRunList"][0]["state"]["current"] == "RUNNING")
    (key,) = own.parts.executor.reaping.owners()
    return started["id"], key


def test_a_reaping_removes_what_nobody_owns_and_neither_a_live_runs_nor_what_is_kept(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        _, key = await sleeping(own)
        leave(key, "dead")
        leave("kept", keep=True)
        told = await own.call("reap")
        assert (told["removed"], [one["name"] for one in told["found"]], sorted(Yard.things)) == (["dead"], ["name-dead"], sorted([key, "kept"]))
        shown = {one["key"]: one["ownership"] for one in (await own.call("runners"))["found"]}
        assert shown == {key: "running", "kept": "kept"}

    checked(tmp_path, check)


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        leave("dead")
        told = await own.call("reap", dry_run=True)
        assert (told["dryRun"], told["removed"], [one["ownership"] for one in told["found"]], list(Yard.things)) == (True, [], ["orphaned"], ["dead"])

    checked(tmp_path, check)


def test_a_job_that_begins_while_the_back_end_is_asked_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    """What is listed is old by the time it is held against the store; what comes later is not on the list that is removed."""

    async def check(own: House) -> None:
        leave("dead")
        seen = await own.parts.executor.reaping.look()
        _, key = await sleeping(own)
        leave(key)
        assert own.parts.executor.reaping.orphans(seen) == {"dead"}
        await own.parts.executor.reaping.remove({"dead"})
        assert list(Yard.things) == [key]

    checked(tmp_path, check)


def test_the_server_leaves_alone_what_has_been_without_an_owner_for_less_than_the_grace(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        leave("dead")
        executor = own.parts.executor
        assert await executor.reaping.tidy() == ()
        later = executor.clock() + parse_duration("PT2H")
        executor.clock = lambda: later
        await executor.reaping.tidy()
        assert Yard.things == {}

    checked(tmp_path, check)


def test_an_ended_runs_job_is_nobodys(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        execution, key = await sleeping(own)
        leave(key)
        await own.call("act", execution_id=execution, verb="kill")
        await own.ended(execution)
        assert own.parts.executor.reaping.orphans(await own.parts.executor.reaping.look()) == {key}

    checked(tmp_path, check)


def test_a_back_end_that_does_not_answer_is_told_and_asked_again(tmp_path: Path) -> None:
    def away() -> None:
        raise RunnerUnavailable("nobody answers")

    async def check(own: House) -> None:
        leave("dead")
        Yard.listing = away
        told = await own.call("runners")
        assert (told["found"], told["troubles"]) == ([], [{"backend": "yard:here", "message": "nobody answers"}])
        Yard.listing = lambda: None
        assert (await own.call("reap"))["removed"] == ["dead"]

    checked(tmp_path, check)


def test_a_place_that_a_job_has_gone_to_is_asked_also_by_the_next_executor(tmp_path: Path) -> None:
    """Its templates are kept as they were written, and rendered where the back end is asked: as far as that goes without the run's inputs."""

    async def noted(own: House) -> None:
        execution, _ = await sleeping(own)
        executor = own.parts.executor
        live = executor.live[execution]
        run = live.view.runs[0]
        written = {"type": "test.Yard", "region": "far", "key": "{{ globals.key }}", "image": "{{ inputs.image }}"}
        spec = live.view.spec(run)
        spec = spec.model_copy(update={"raw": {**spec.raw, "taskRunner": written}})
        await executor.do(lambda turn: executor.reaping.known.note(turn, run, spec, JobHandle(key="k", runner="test.Yard", backend="yard:far")))
        assert "opened" not in str(executor.store.settings("backend:"))

    async def asked(own: House) -> None:
        await own.call("runners")
        assert sorted(set(Yard.told)) == ["", "opened"]

    checked(tmp_path, noted)
    checked(tmp_path, asked, globals={"key": "opened"})


@pytest.mark.parametrize(("lease", "told"), [(1, "running"), (2, "adopted")])
def test_a_job_that_is_watched_from_elsewhere_since_it_was_made_is_adopted(lease: int, told: str) -> None:
    handle = JobHandle(key="k", runner="r", backend="b", details={"lease": 1})
    about: dict[str, Any] = {"id": "r", "execution_id": "e", "namespace": "n", "flow_id": "f", "task_id": "t"}
    owners = {"k": TaskRun(state=Lifecycle.begin(datetime(2026, 1, 1, tzinfo=UTC)), lease=lease, job=handle, **about)}
    one = Stocked(runner="r", backend="b", found=Found(key="k", kind="container", name="n", state="running"))
    assert ownership(one, owners) == told
