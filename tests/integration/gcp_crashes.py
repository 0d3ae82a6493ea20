"""Supervisors of jobs on the emulator of Google Batch that are killed at a named point, and what must hold in the end."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.runtime.supervisor import Supervisor
from orchestrator_plugins.gcp.emulator import Emulator
from tests.contract.gcp_site import IMAGE, google, objects, on_machines
from tests.integration.local_server import eventually
from tests.unit.runtime.worker_house import House, dispatch

INSTALLATION = "gcp-crashes"
SAID = ["given", "line 1", "line 2", "line 3", "last"]
POINTS = (
    "before staging.Stage.upload",
    "before client.BucketClient.put",
    "after client.BucketClient.put",
    "before client.BatchClient.create",
    "after client.BatchClient.create",
    "after runner.Batch.start",
    "after lookout.Lookout.opened",
    "after client.BatchClient.jobs",
    "before reading.Reading.say",
    "after reading.Reading.say 2",
    "after reading.Reading._tell 2",
    "after reading.Reading._tell 4",
    "before client.BatchClient.task_events",
    "after following.Following.to_end",
    "before client.BucketClient.has",
    "after staging.Stage.bring_back",
    "before client.BatchClient.delete",
    "after client.BatchClient.delete",
    "before client.BucketClient.delete_below",
    "after client.BucketClient.delete_below",
)
PROGRAM = """
    import importlib, itertools, os, signal, sys
    from pathlib import Path
    from orchestrator.runtime.local_services import LocalServices
    from orchestrator.runtime.supervisor import Supervisor
    when, where, *number = {point!r}.split()
    module, owner, name = where.split(".")
    kind = getattr(importlib.import_module("orchestrator_plugins.gcp." + module), owner)
    plain, calls, fatal = getattr(kind, name), itertools.count(1), int(number[0]) if number else 1

    def deadly(self, *given, **named):
        last = next(calls) == fatal
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = plain(self, *given, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(kind, name, deadly)
    reports = open({reports!r}, "a", buffering=1)
    place = dict(name="s", slots=0, services=lambda dispatch: LocalServices(), base=Path({base!r}), installation={installation!r})
    Supervisor(send=lambda text: reports.write(text + chr(10)), **place).run({dispatch!r})
    sys.stdin.read()
"""


class GoogleCrashes:
    """Runs one job a crash; every supervisor works in a folder of its own site, as the next one on a machine does."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self._emulator, self._folder, self._numbers = emulator, folder, itertools.count()

    def crash(self, point: str) -> None:
        """Raises AssertionError with what is not as it must be."""
        run, base = f"r{next(self._numbers)}", self._folder / f"site-{point.replace(' ', '-')}"
        base.mkdir()
        before = len(self._emulator.jobs.created)
        told = self._killed(point, run, base)
        if not any(one["kind"] == "outcome" for one in told):
            told += self._gone_on_with(run, base, next((one["handle"] for one in reversed(told) if one["kind"] == "job"), None))
        outcome = next(one for one in told if one["kind"] == "outcome")
        assert (outcome["state"], outcome["outputs"]["exitCode"], list(outcome["outputs"]["outputFiles"])) == ("FAILED", 7, ["made.txt"]), outcome
        assert _lines(told) == SAID
        assert len(self._emulator.jobs.created) == before + 1
        google(self._emulator).reap(INSTALLATION, lambda key: False)
        eventually(lambda: not self._left(), within=20, what=f"nothing is left: {self._left()}")

    def _spec(self) -> Mapping[str, Any]:
        runner = google(self._emulator).model_dump(exclude_unset=True, by_alias=True, mode="json")
        commands = ["cat given.txt", "for i in 1 2 3; do echo line $i; sleep 0.3; done", "echo kept > made.txt", "printf last", "exit 7"]
        return {
            "type": "io.kestra.plugin.scripts.shell.Commands",
            "taskRunner": {**runner, "type": "io.kestra.plugin.ee.gcp.runner.Batch"},
            "containerImage": IMAGE,
            "inputFiles": {"given.txt": "given\n"},
            "outputFiles": ["made.txt"],
            "commands": commands,
        }

    def _killed(self, point: str, run: str, base: Path) -> list[dict[str, Any]]:
        """What a supervisor told until it was killed."""
        reports = base / "reports"
        reports.touch()
        facts = {"point": point, "reports": str(reports), "base": str(base / "work"), "installation": INSTALLATION}
        program = textwrap.dedent(PROGRAM).format(**facts, dispatch=dispatch(self._spec(), run))
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        try:
            assert process.wait(60) == -9, f"`{point}` was not reached"
        finally:
            process.kill()
            process.wait()
        return [report for batch in reports.read_text().splitlines() for report in json.loads(batch)]

    def _gone_on_with(self, run: str, base: Path, handle: Any) -> list[dict[str, Any]]:
        """What the next supervisor told of the same run."""
        house = House(base / "work", kind=Supervisor, slots=0, installation=INSTALLATION)
        try:
            house.run(self._spec(), run, lease=2, job=handle)
            house.executor.outcome(run)
            house.until_idle()
        finally:
            house.worker.close()
        return house.executor.reports

    def _left(self) -> Sequence[str]:
        return [*self._emulator.jobs.present(), *objects(self._emulator), *on_machines(self._emulator)]


def _lines(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """The job's lines as they are kept: one for each offset, the first that came."""
    kept: dict[int, str] = {}
    for report in told:
        for line in report.get("lines", ()):
            if line["level"] == "INFO":
                kept.setdefault(line["offset"], line["message"])
    return [kept[offset] for offset in sorted(kept)]
