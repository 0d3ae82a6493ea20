"""A task with `taskCache` gives the outputs that it gave before with the same properties, and runs when there are none."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.errors import Unavailable
from orchestrator.sdk import Dynamic, RunContext, Task, TaskFailed, Text, Warned
from tests.unit.runtime.isolated_house import until
from tests.unit.runtime.worker_house import House

CACHE = {"enabled": True}


class Counts(Task):
    """Says how often it has run, with a file of it."""

    about: Dynamic[Text] = "x"
    ends: str = "well"
    runs: ClassVar[list[str]] = []

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        self.runs.append(ctx.render(self.about))
        number = len(self.runs)
        match self.ends:
            case "warned":
                raise Warned("careful", {"number": number})
            case "failed":
                raise TaskFailed("no")
            case "labelled":
                ctx.set_labels({"a": "b"})
        return {"number": number, "files": [ctx.files.put(io.BytesIO(b"text"), "a.txt")], "none": "kestra:///gone/b.txt"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    Counts.runs.clear()
    made = House(tmp_path, {"test.Counts": Counts})
    yield made
    made.until_idle()


def outputs(house: House, run: str, *, cache: Mapping[str, Any] | None = CACHE, facts: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    house.run({"type": "test.Counts", **({"taskCache": cache} if cache else {}), **spec}, run, **(facts or {}))
    found: dict[str, Any] = house.executor.outcome(run)["outputs"]
    return found


def test_the_second_run_gives_what_the_first_gave_and_says_so(house: House) -> None:
    first, second = outputs(house, "r1"), outputs(house, "r2")
    assert (first["number"], second["number"], len(Counts.runs)) == (1, 1, 1)
    assert house.executor.lines("r1") == []
    assert house.executor.lines("r2") == [("INFO", "The task's outputs are taken from its cache")]


def test_the_files_are_the_second_runs_own_and_what_is_gone_is_left_as_it_was(house: House) -> None:
    first, second = outputs(house, "r1"), outputs(house, "r2")
    assert first["files"] != second["files"]
    assert house.services.local_files.open(second["files"][0]).read() == b"text"
    assert second["files"][0].endswith("/a.txt")
    assert second["none"] == "kestra:///gone/b.txt"


@pytest.mark.parametrize(
    ("first", "second", "runs"),
    [
        ({"about": "a"}, {"about": "b"}, 2),
        ({"about": "{{ inputs.x }}"}, {"about": "1"}, 1),
        ({"about": "{{ inputs.x }}", "facts": {"context": {"inputs": {"x": 2}}}}, {"about": "{{ inputs.x }}"}, 2),
        ({"facts": {"value": "a"}}, {"facts": {"value": "b"}}, 2),
        ({"facts": {"value": "a"}}, {"facts": {"value": "a"}}, 1),
        ({"about": "{{ workingDir | default('') }}"}, {"about": "{{ workingDir | default('') }}"}, 1),
        ({}, {"cache": None}, 2),
        ({}, {"cache": {"enabled": False}}, 2),
        ({}, {"facts": {"job": {"key": "k", "runner": "x", "backend": "y"}}}, 2),
        ({"facts": {"task_id": "one"}}, {"facts": {"task_id": "two"}}, 2),
    ],
)
def test_outputs_are_those_of_the_same_properties_only(house: House, first: dict[str, Any], second: dict[str, Any], runs: int) -> None:
    for name, given in (("r1", first), ("r2", second)):
        facts = {"context": {"inputs": {"x": 1}}, **given.pop("facts", {})}
        outputs(house, name, facts=facts, **given)
    assert len(Counts.runs) == runs


@pytest.mark.parametrize("ends", ["warned", "failed", "labelled"])
def test_only_a_run_that_ended_well_and_changed_nothing_is_kept(house: House, ends: str) -> None:
    outputs(house, "r1", ends=ends)
    outputs(house, "r2", ends=ends)
    assert len(Counts.runs) == 2
    assert house.services.local_files.cached == {}


def test_a_property_that_cannot_be_rendered_fails_the_run_as_ever(house: House) -> None:
    house.run({"type": "test.Counts", "taskCache": CACHE, "about": "{{ nothing }}"})
    assert "Unable to find `nothing`" in house.executor.outcome()["error"]


@pytest.mark.parametrize("broken", ["fetch_cache", "put_cache"])
def test_a_cache_that_cannot_be_reached_costs_the_run_nothing_but_a_line(house: House, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def away(*given: Any) -> None:
        raise Unavailable("the storage is away")

    monkeypatch.setattr(house.services.local_files, broken, away)
    assert outputs(house, "r1")["number"] == 1
    assert [(level, "the storage is away" in text) for level, text in house.executor.lines()] == [("WARN", True)]


@pytest.mark.parametrize("name", ["../../../../../../etc/hostname", "/etc/hostname", "file-0/../../x"])
def test_a_cache_that_names_files_of_the_machine_is_not_believed(house: House, name: str) -> None:
    outputs(house, "r1")
    (key,) = house.services.local_files.cached
    told = json.dumps({"outputs": {"file": "kestra:///x"}, "files": {name: "kestra:///x"}}).encode()
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w:gz") as tar:
        member = tarfile.TarInfo("outputs.json")
        member.size = len(told)
        tar.addfile(member, io.BytesIO(told))
    house.services.local_files.cached[key] = kept.getvalue()
    assert outputs(house, "r2")["number"] == 2
    assert "names files outside itself" in house.executor.lines("r2")[0][1]


@pytest.mark.parametrize("content", [b"no archive", b"\x1f\x8b\x08\x00 broken off", b""])
def test_a_cache_that_is_damaged_is_told_and_replaced(house: House, content: bytes) -> None:
    outputs(house, "r1")
    (name,) = house.services.local_files.cached
    house.services.local_files.cached[name] = content
    assert outputs(house, "r2")["number"] == 2
    assert outputs(house, "r3")["number"] == 2


def test_a_worker_that_dies_after_it_kept_and_before_it_told_has_the_next_take_what_was_done(house: House, tmp_path: Path) -> None:
    house.executor.away = True
    house.run({"type": "test.Counts", "taskCache": CACHE})
    until(lambda: house.services.local_files.cached)
    other = House(tmp_path / "other", {"test.Counts": Counts})
    other.services = house.services
    assert outputs(other, "r1", facts={"lease": 2})["number"] == 1
    assert len(Counts.runs) == 1
    house.executor.away = False


def test_a_worker_that_dies_before_it_kept_has_the_next_run_the_task(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, died = threading.Event(), threading.Event()

    def dies(*given: Any) -> None:
        asked.set()
        died.wait(20)
        raise Unavailable("gone")

    monkeypatch.setattr(house.services.local_files, "put_cache", dies)
    house.run({"type": "test.Counts", "taskCache": CACHE})
    assert asked.wait(20)
    other = House(tmp_path / "other", {"test.Counts": Counts})
    assert outputs(other, "r1", facts={"lease": 2})["number"] == 2
    died.set()
    house.executor.outcome()


def test_nothing_of_the_cache_stays_in_the_working_directory(house: House, tmp_path: Path) -> None:
    outputs(house, "r1")
    outputs(house, "r2")
    house.until_idle()
    assert list((tmp_path / "work").iterdir()) == []
