"""Work in child processes: the same as in a thread to its author and its reader, and killed whatever it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.runtime.frames import Frames
from orchestrator.runtime.spawner_process import RUN, SPAWNER
from tests.unit.runtime.isolated_house import alive, done, isolated_house, killed, pids_in, run, until, zygote_of
from tests.unit.runtime.isolated_tasks import SECRET, TASKS, recipe
from tests.unit.runtime.worker_house import House, dispatch

WITHIN = 1.0  # seconds from a stop to KILLED
RETURN = "io.kestra.plugin.core.debug.Return"
STUBBORN = ["spins", "holds_the_interpreter", "ignores_signals", "stops_itself"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with isolated_house(tmp_path) as made:
        yield made


# --- the same as in a thread


def test_what_it_says_comes_in_order_with_its_outputs_and_labels(house: House) -> None:
    house.services.secrets["KEY"] = "unused"
    outcome = done(house, "says", text="{{ 1 + 2 }}")
    assert (outcome["state"], outcome["outputs"]["text"], outcome["labels"]) == ("SUCCESS", "3", {"team": "blue"})
    assert outcome["outputs"]["pid"] not in (os.getpid(), None)
    assert [one["kind"] for one in house.executor.reports] == ["received", "said", "phase", "outcome"]
    assert house.executor.lines() == [("INFO", "hello")]
    assert [(metric["name"], metric["value"]) for metric in house.executor.of("said")[0]["metrics"]] == [("n", 3)]


def test_its_failure_has_its_message_cause_and_outputs_with_secrets_masked(house: House) -> None:
    outcome = done(house, "fails", text="{{ secret('KEY') }}", facts={"context": {"flow": {"namespace": "acme"}}})
    assert (outcome["state"], outcome["cause"], outcome["outputs"]) == ("FAILED", "EXIT_CODE", {"seen": 1})
    assert outcome["error"] == "it was ********"
    assert house.executor.lines() == [("ERROR", "it was ********")]


def test_a_secret_never_leaves_the_child_in_what_it_says(house: House) -> None:
    done(house, "tells", text="{{ secret('KEY') }}", facts={"context": {"flow": {"namespace": "acme"}}})
    assert house.executor.lines() == [("INFO", "it is ********")]
    assert SECRET not in json.dumps(house.executor.reports)


def test_what_it_seals_is_masked(house: House) -> None:
    assert done(house, "seals")["outputs"]["sealed"]["type"] == "io.kestra.datatype:aes_encrypted"
    assert house.executor.lines() == [("INFO", "********")]


def test_it_may_end_in_warning(house: House) -> None:
    outcome = done(house, "warns")
    assert (outcome["state"], outcome["outputs"]) == ("WARNING", {"a": 1})
    assert house.executor.lines() == [("WARN", "look out")]


def test_outputs_that_are_no_json_fail_it(house: House) -> None:
    assert "cannot be written as JSON" in done(house, "odd")["error"]


def test_files_keys_and_the_working_folder_are_there_and_the_folder_goes(house: House) -> None:
    outputs = done(house, "uses")["outputs"]
    assert (outputs["text"], outputs["key"]) == ("content", {"n": 1})
    house.until_idle()
    assert not Path(outputs["folder"]).exists()


def test_a_type_that_is_not_installed_or_does_not_fit_fails_with_the_reason(house: House) -> None:
    assert "extra" in done(house, "says", extra=1)["error"]


def test_two_hundred_thousand_lines_come_in_order_and_each_once(house: House) -> None:
    count = 200_000
    run(house, "chats", count=count)
    with_all = until(lambda: house.executor.of("outcome"), within=100)
    assert with_all[0]["state"] == "SUCCESS"
    assert [message for _, message in house.executor.lines()] == [f"line {number}" for number in range(count)]
    assert house.executor.offsets() == [(1 << 40) + (1 << 39) + number for number in range(count)]


def test_a_log_is_cut_at_the_run_s_limit(tmp_path: Path) -> None:
    house = House(tmp_path / "base", TASKS, log_limit=50, isolated_by=recipe(tmp_path / "base"))
    try:
        assert done(house, "chats", count=500)["state"] == "SUCCESS"
        assert (len(house.executor.lines()), house.executor.lines()[-1][0]) == (50, "WARN")
    finally:
        house.worker.close()


def test_large_outputs_and_contexts_pass(house: House) -> None:
    text = "y" * 3_000_000
    assert len(done(house, "large", count=5_000_000)["outputs"]["value"]) == 5_000_000
    run(house, "says", "r2", text="{{ inputs.x }}", facts={"context": {"inputs": {"x": text}}})
    assert house.executor.outcome("r2")["outputs"]["text"] == text


def test_the_lease_may_be_renewed_while_it_runs(house: House, tmp_path: Path) -> None:
    run(house, "listens", file=str(tmp_path / "pids"))
    pids_in(tmp_path / "pids")
    run(house, "listens", file=str(tmp_path / "pids"), facts={"lease": 2})
    house.stop(lease=2)
    assert (house.executor.outcome()["lease"], house.executor.outcome()["state"]) == (2, "KILLED")
    assert len(pids_in(tmp_path / "pids")) == 1


# --- what it sees of its worker


def test_it_sees_an_allowed_environment_no_secret_and_no_file_of_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    house = House(tmp_path / "base", TASKS, isolated_by=recipe(tmp_path / "base"))
    try:
        outputs = done(house, "looks")["outputs"]
    finally:
        house.worker.close()
    assert {"PATH", "LANG", "https_proxy", RUN, SPAWNER} <= set(outputs["environ"])
    assert not {name for name in (*outputs["environ"], *outputs["outside"]) if name.startswith(("RAY_", "SECRET_", "PYTHON"))}
    assert SECRET not in json.dumps(outputs)
    assert (outputs["oom"], outputs["session"], outputs["cwd"]) == (900, True, str(tmp_path / "base"))
    assert len([name for name in outputs["files"] if name.startswith("socket:")]) == 1  # the line to its worker, and no other


# --- killed


@pytest.mark.alone
@pytest.mark.parametrize("what", STUBBORN)
def test_a_kill_ends_it_within_a_second_whatever_it_does(house: House, tmp_path: Path, what: str) -> None:
    run(house, what, file=str(tmp_path / "pids"))
    (pid,) = pids_in(tmp_path / "pids")
    outcome, took = killed(house)
    assert (outcome["state"], outcome["cause"]) == ("KILLED", "KILLED")
    assert not alive(pid)
    assert took < WITHIN
    house.until_idle()


@pytest.mark.alone
@pytest.mark.parametrize("what", STUBBORN)
def test_a_timeout_ends_it_within_a_second_whatever_it_does(house: House, tmp_path: Path, what: str) -> None:
    run(house, "says", "warm-up")
    house.executor.outcome("warm-up")
    began = time.monotonic()
    run(house, what, file=str(tmp_path / "pids"), facts={"timeout": 0.5})
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"]) == ("FAILED", "TIMEOUT")
    assert time.monotonic() - began < 0.5 + WITHIN
    assert not [pid for pid in pids_in(tmp_path / "pids") if alive(pid)]


def test_what_it_said_before_is_not_lost(house: House, tmp_path: Path) -> None:
    run(house, "holds_the_interpreter", file=str(tmp_path / "pids"))
    house.executor.until(lambda: house.executor.lines() == [("INFO", "said before")])
    killed(house)


@pytest.mark.alone
def test_one_that_listens_ends_in_its_own_way(house: House, tmp_path: Path) -> None:
    run(house, "listens", file=str(tmp_path / "pids"))
    pids_in(tmp_path / "pids")
    outcome, took = killed(house)
    assert outcome["state"] == "KILLED"
    assert took < 0.3
    assert ("INFO", "stopped in good order") in house.executor.lines()


@pytest.mark.parametrize("lingers", [0, 1])
def test_processes_that_it_made_end_with_it_however_it_ends(house: House, tmp_path: Path, lingers: int) -> None:
    run(house, "breeds", file=str(tmp_path / "pids"), count=lingers)
    pids = pids_in(tmp_path / "pids", 3 if lingers else 1)
    outcome = killed(house)[0] if lingers else house.executor.outcome()
    assert outcome["state"] == ("KILLED" if lingers else "SUCCESS")
    assert not [pid for pid in (*pids, *pids_in(tmp_path / "pids")) if alive(pid)]


def test_a_stop_that_comes_before_the_child_has_begun_keeps_it_from_beginning(house: House, tmp_path: Path) -> None:
    run(house, "spins", file=str(tmp_path / "pids"))  # the first: what it is forked from takes a while to start
    outcome, took = killed(house)
    assert (outcome["state"], took < WITHIN) == ("KILLED", True)
    run(house, "says", "r2")
    assert house.executor.outcome("r2")["state"] == "SUCCESS"
    assert not (tmp_path / "pids").exists()


def test_kills_at_any_moment_are_answered_within_a_second_and_leave_nothing(house: House, tmp_path: Path) -> None:
    run(house, "says", "warm-up")
    pid = house.executor.outcome("warm-up")["outputs"]["pid"]
    for number in range(60):
        name = f"k{number}"
        run(house, "spins", name, file=str(tmp_path / "pids"))
        threading.Event().wait(number * 0.0003)
        outcome, took = killed(house, name)
        assert (outcome["state"], took < WITHIN) == ("KILLED", True)
    house.until_idle()
    assert not (tmp_path / "pids").exists() or not [pid for pid in pids_in(tmp_path / "pids") if alive(pid)]
    assert not alive(pid)


def test_a_closing_worker_leaves_none(tmp_path: Path) -> None:
    house = House(tmp_path / "base", TASKS, isolated_by=recipe(tmp_path / "base"))
    run(house, "spins", file=str(tmp_path / "pids"))
    (pid,) = pids_in(tmp_path / "pids")
    zygote = zygote_of(pid)
    house.worker.close()
    assert house.executor.outcome()["cause"] == "WORKER_SHUTDOWN"
    assert not alive(pid)
    until(lambda: not zygote.is_running() or zygote.status() == psutil.STATUS_ZOMBIE)


def test_a_killed_worker_takes_its_children_with_it(tmp_path: Path) -> None:
    text = dispatch({"type": "test.Isolated", "what": "ignores_signals", "file": str(tmp_path / "pids")})
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from tests.unit.runtime.isolated_tasks import TASKS, recipe
        from tests.unit.runtime.worker_house import House
        house = House(Path({str(tmp_path / "own")!r}), TASKS, isolated_by=recipe(Path({str(tmp_path / "own")!r})))
        house.worker.run({text!r})
        sys.stdin.read()
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, cwd=Path(__file__).parents[3])
    (pid,) = pids_in(tmp_path / "pids")
    zygote = zygote_of(pid).pid
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    until(lambda: not alive(pid) and not alive(zygote), within=1.0)


# --- with commands of its own


def shell(*commands: str) -> dict[str, Any]:
    return {"type": "test.Shell", "taskRunner": {"type": "io.kestra.plugin.core.runner.Process"}, "commands": list(commands)}


def test_its_commands_log_and_give_outputs_as_those_of_a_thread(house: House) -> None:
    house.run(shell("echo hello", """echo '::{"outputs":{"n":5}}::'""", "echo bad >&2", "exit 3"))
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"], outcome["outputs"]["exitCode"], outcome["outputs"]["vars"]) == ("FAILED", "EXIT_CODE", 3, {"n": 5})
    assert house.executor.lines()[:1] == [("INFO", "hello")]
    assert house.executor.offsets() == sorted(house.executor.offsets())


def test_a_command_that_does_not_exist_fails_the_start(house: House) -> None:
    house.run({**shell("x"), "interpreter": ["/no/such/shell", "-c"]})
    outcome = house.executor.outcome()
    assert (outcome["cause"], "/no/such/shell" in outcome["error"]) == ("START_FAILED", True)


def test_its_commands_end_with_it_when_it_is_killed(house: House, tmp_path: Path) -> None:
    house.run(shell(f"setsid sleep 300 & echo $! >> {tmp_path}/pids; echo $$ >> {tmp_path}/pids; sleep 300"))
    pids = pids_in(tmp_path / "pids", 2)
    assert killed(house)[0]["state"] == "KILLED"
    assert not [pid for pid in pids if alive(pid)]
    house.until_idle()


@pytest.fixture
def busy_line(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Every line is in use the first times that something is to be said on it at once; gives how often it was tried."""
    plain, tries = Frames.tell, list[bool]()

    def tell(frames: Frames, value: Any) -> bool:
        tries.append(len(tries) >= 3)
        return tries[-1] and plain(frames, value)

    monkeypatch.setattr(Frames, "tell", tell)
    return lambda: len(tries)


def test_a_stop_that_finds_the_line_in_use_is_said_again(house: House, tmp_path: Path, busy_line: Callable[[], int]) -> None:
    house.run(shell(f"echo $$ >> {tmp_path}/pids; sleep 300"))
    (pid,) = pids_in(tmp_path / "pids")
    outcome, took = killed(house)
    assert (outcome["state"], alive(pid), busy_line() > 3, took < 10) == ("KILLED", False, True, True)
    house.until_idle()


def test_a_child_learns_that_its_outcome_is_saved_although_the_line_was_in_use(house: House, busy_line: Callable[[], int]) -> None:
    house.run(shell("true"))
    assert house.executor.outcome()["state"] == "SUCCESS"
    house.until_idle()
    assert busy_line() > 3


def test_a_task_described_by_text_may_be_isolated(house: House) -> None:
    house.run({"type": "io.kestra.plugin.core.templating.TemplatedTask", "spec": "type: core.debug.Return\nformat: hello"})
    assert house.executor.outcome()["outputs"] == {"value": "hello"}
