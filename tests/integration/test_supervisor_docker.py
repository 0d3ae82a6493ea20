"""Containers under a real supervisor: run, killed, and adopted by the next supervisor."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from orchestrator.runtime.supervisor import Supervisor
from tests.unit.runtime.isolated_tasks import TASKS, recipe
from tests.unit.runtime.worker_house import PATIENCE, House, dispatch

pytestmark = pytest.mark.docker

IMAGE = "test/busybox"
INSTALLATION = "supervisor-test"
RUNNER = {"type": "io.kestra.plugin.scripts.runner.docker.Docker", "pullPolicy": "NEVER"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "base", kind=Supervisor, slots=0, installation=INSTALLATION)
    yield made
    made.until_idle()
    made.worker.close()
    assert containers() == []


@pytest.fixture
def isolating(tmp_path: Path) -> Iterator[House]:
    """A worker whose tasks watch their containers from child processes."""
    made = House(tmp_path / "base", TASKS, installation=INSTALLATION, isolated_by=recipe(tmp_path / "base", installation=INSTALLATION))
    yield made
    made.until_idle()
    made.worker.close()
    assert containers() == []


def containers() -> list[str]:
    found = subprocess.run(["docker", "ps", "-aq", "--filter", f"label=kestra.io/installation={INSTALLATION}"], capture_output=True, text=True, check=True)
    return found.stdout.split()


def script(*commands: str) -> dict[str, object]:
    return {"type": "io.kestra.plugin.scripts.shell.Commands", "taskRunner": RUNNER, "containerImage": IMAGE, "commands": list(commands)}


def test_a_container_runs_and_is_removed(house: House) -> None:
    house.run(script("echo hello", "exit 4"))
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"], outcome["outputs"]["exitCode"]) == ("FAILED", "EXIT_CODE", 4)
    assert ("INFO", "hello") in house.executor.lines()
    assert house.executor.of("job")[0]["handle"]["details"]["lease"] == 1


def test_a_killed_container_is_gone_when_it_is_told(house: House) -> None:
    house.run(script("echo begun", "sleep 300"))
    house.executor.until(lambda: ("INFO", "begun") in house.executor.lines())
    house.stop()
    assert house.executor.outcome()["state"] == "KILLED"
    assert containers() == []


def test_a_container_watched_from_a_child_process_is_removed_once_its_outcome_is_saved(isolating: House) -> None:
    isolating.run({**script("echo hello", "exit 4"), "type": "test.Shell"})
    outcome = isolating.executor.outcome()
    assert (outcome["state"], outcome["outputs"]["exitCode"]) == ("FAILED", 4)
    assert isolating.executor.of("job")[0]["handle"]["details"]["lease"] == 1
    isolating.until_idle()
    assert containers() == []


def test_a_child_process_is_not_killed_before_its_container_is_gone(isolating: House) -> None:
    isolating.run({**script("echo begun", "trap '' TERM; sleep 300"), "type": "test.Shell"})
    isolating.executor.until(lambda: ("INFO", "begun") in isolating.executor.lines())
    isolating.stop()
    assert isolating.executor.outcome()["state"] == "KILLED"
    assert containers() == []


def killed_when(said: str, spec: dict[str, object], tmp_path: Path) -> list[dict[str, Any]]:
    """What a supervisor of its own process has reported of a task by the time it was killed: once the task had said something."""
    first = tmp_path / "reports"
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from orchestrator.runtime.local_services import LocalServices
        from orchestrator.runtime.supervisor import Supervisor
        reports = open({str(first)!r}, "a", buffering=1)
        send = lambda text: reports.write(text + chr(10))
        place = dict(name="s", slots=0, services=lambda dispatch: LocalServices(), base=Path({str(tmp_path / "base")!r}), installation={INSTALLATION!r})
        Supervisor(send=send, **place).run({dispatch(spec)!r})
        sys.stdin.read()
        """
    )
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE
    while not (first.exists() and said in first.read_text()):
        assert time.monotonic() < deadline
        Event().wait(0.02)
    supervisor.kill()
    supervisor.wait()
    return [report for batch in first.read_text().splitlines() for report in json.loads(batch)]


def handle_of(reports: list[dict[str, Any]]) -> Any:
    return [report for report in reports if report["kind"] == "job"][-1]["handle"]


def test_a_container_outlives_its_supervisor_and_is_adopted_with_every_line_once(house: House, tmp_path: Path) -> None:
    go = script("for i in 1 2 3; do echo line $i; sleep 1; done; echo last")
    before = killed_when("line 1", go, tmp_path)
    assert len(containers()) == 1
    house.run(go, lease=2, job=handle_of(before))
    assert house.executor.outcome()["state"] == "SUCCESS"
    told: dict[int, str] = {}
    for report in (*before, *house.executor.reports):
        told.update({line["offset"]: line["message"] for line in report.get("lines", ()) if line["level"] == "INFO"})
    assert [told[offset] for offset in sorted(told)] == ["line 1", "line 2", "line 3", "last"]


def test_files_that_a_command_has_changed_are_not_laid_out_again_by_the_next_supervisor(house: House, tmp_path: Path) -> None:
    go = script("echo changed > state.txt; echo wrote; while [ ! -e go ]; do sleep 0.1; done; cat state.txt")
    mounted = {**go, "taskRunner": {**RUNNER, "fileHandlingStrategy": "MOUNT"}, "inputFiles": {"state.txt": "given"}, "outputFiles": ["state.txt"]}
    handle = handle_of(killed_when("wrote", mounted, tmp_path))
    (folder,) = (tmp_path / "base" / "work").iterdir()
    house.run(mounted, lease=2, job=handle)
    house.executor.until(lambda: ("INFO", "wrote") in house.executor.lines())
    (folder / "go").touch()
    assert house.executor.outcome()["state"] == "SUCCESS"
    assert [text for _, text in house.executor.lines()] == ["wrote", "changed"]
