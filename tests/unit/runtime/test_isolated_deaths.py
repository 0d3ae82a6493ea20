"""Child processes that die by themselves, and what they were forked from: their run fails, the worker goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.runtime import isolated_run
from tests.unit.runtime.isolated_house import alive, done, isolated_house, killed, pids_in, run, zygote_of
from tests.unit.runtime.isolated_tasks import TASKS
from tests.unit.runtime.worker_house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with isolated_house(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("what", "cause", "told"),
    [("exits", "EXIT_CODE", "exit code 7"), ("crashes", "EXIT_CODE", "signal 11 (SIGSEGV"), ("is_killed", "EXIT_CODE", "signal 9 (SIGKILL)")],
)
def test_a_child_that_dies_fails_its_run_and_nothing_else(house: House, what: str, cause: str, told: str) -> None:
    outcome = done(house, what, count=7)
    assert (outcome["state"], outcome["cause"]) == ("FAILED", cause)
    assert told in outcome["error"]
    assert house.executor.lines()[-1] == ("ERROR", outcome["error"])
    assert what == "is_killed" or house.executor.lines()[0] == ("INFO", "said before")
    run(house, "says", "r2")
    assert house.executor.outcome("r2")["state"] == "SUCCESS"


def test_a_kill_that_came_with_others_for_lack_of_memory_is_told_as_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter(range(10))
    monkeypatch.setattr(isolated_run, "oom_kills", lambda: next(counted))
    outcome = done(house, "is_killed")
    assert (outcome["cause"], "memory ran out" in outcome["error"]) == ("OOM", True)


def test_one_that_closes_the_line_to_its_worker_fails(house: House, tmp_path: Path) -> None:
    error = done(house, "lets_go")["error"]
    assert "exit code 1 before its task did" in error or "signal 9" in error, "it ends itself, or its own listener does, whichever is first"
    run(house, "ends_its_line", "r2", file=str(tmp_path / "pids"))
    assert "let go of its worker" in house.executor.outcome("r2")["error"]
    assert not [pid for pid in pids_in(tmp_path / "pids") if alive(pid)]


@pytest.mark.parametrize("kind", ["Threaded", "Broken", "Fatal"])
def test_a_module_that_cannot_be_loaded_beforehand_does_no_harm(house: House, kind: str) -> None:
    for number in range(2):
        house.run({"type": f"test.{kind}", "what": "says"}, f"r{number}")
        assert house.executor.outcome(f"r{number}")["state"] == "SUCCESS"
        run(house, "says", f"other{number}")
        assert house.executor.outcome(f"other{number}")["state"] == "SUCCESS"


def test_an_exit_without_an_outcome_is_a_failure_even_with_code_0(house: House) -> None:
    assert "exit code 0 before its task did" in done(house, "exits", count=0)["error"]


def test_children_go_on_when_what_they_were_forked_from_is_killed(house: House, tmp_path: Path) -> None:
    run(house, "listens", file=str(tmp_path / "pids"))
    (pid,) = pids_in(tmp_path / "pids")
    zygote_of(pid).kill()
    run(house, "says", "r2")
    assert house.executor.outcome("r2")["state"] == "SUCCESS"
    assert killed(house)[0]["state"] == "KILLED"
    assert ("INFO", "stopped in good order") in house.executor.lines()


def test_runs_fail_and_the_worker_goes_on_when_its_spawner_is_killed(house: House, tmp_path: Path) -> None:
    run(house, "spins", file=str(tmp_path / "pids"))
    (pid,) = pids_in(tmp_path / "pids")
    spawner = psutil.Process(pid).parent()
    assert spawner is not None
    spawner.kill()
    assert (house.executor.outcome()["cause"], alive(pid)) == ("JOB_LOST", False)
    run(house, "says", "r2")
    assert house.executor.outcome("r2")["state"] == "SUCCESS"


def test_sixty_four_at_once_all_end_well(house: House) -> None:
    for number in range(64):
        run(house, "says", f"r{number}")
    pids = {house.executor.outcome(f"r{number}")["outputs"]["pid"] for number in range(64)}
    assert len(pids) == 64
    house.until_idle()
    assert not [pid for pid in pids if alive(pid)]


def test_without_a_recipe_they_run_in_threads(tmp_path: Path) -> None:
    house = House(tmp_path / "base", TASKS)
    try:
        assert done(house, "says")["outputs"]["pid"] == os.getpid()
    finally:
        house.worker.close()
