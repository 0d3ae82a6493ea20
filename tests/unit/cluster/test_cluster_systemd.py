"""The systemd units: that systemd knows every word of them, and that a stop leaves a worker the time to drain."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.unit.cluster.cluster_files import CLUSTER, GRACE

UNITS = ("orchestrator-server.service", "orchestrator-standalone.service", "orchestrator-worker@.service")
KNOWN = {
    "Unit": {"Description", "Documentation", "After", "Wants", "StartLimitIntervalSec"},
    "Install": {"WantedBy"},
    "Service": {
        *("Type", "User", "StateDirectory", "StateDirectoryMode", "WorkingDirectory", "EnvironmentFile", "Environment", "ExecStart", "Restart"),
        *("RestartSec", "RestartPreventExitStatus", "KillMode", "KillSignal", "TimeoutStopSec", "OOMPolicy", "LimitNOFILE", "TasksMax", "UMask"),
        *("NoNewPrivileges", "CapabilityBoundingSet", "ProtectSystem", "ReadWritePaths", "ProtectHome", "ProtectKernelTunables"),
        *("ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "RestrictSUIDSGID", "RestrictRealtime"),
        *("LockPersonality", "RestrictAddressFamilies"),
    },
}


def _directives(unit: str) -> list[tuple[str, str, str]]:
    """(section, name, value) of each line."""
    section, found = "", []
    for line in (CLUSTER / "systemd" / unit).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, is_one, value = line.partition("=")
            assert is_one, line
            found.append((section, name, value))
    return found


def _service(unit: str) -> dict[str, str]:
    return {name: value for section, name, value in _directives(unit) if section == "Service"}


@pytest.mark.parametrize("unit", UNITS)
def test_every_directive_is_known(unit: str) -> None:
    for section, name, _ in _directives(unit):
        assert name in KNOWN[section], f"{unit}: [{section}] {name}"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    program = shutil.which("true")
    for unit in UNITS:  # under their own names; the program that they start is not installed here
        (tmp_path / unit).write_text((CLUSTER / "systemd" / unit).read_text().replace("/opt/orchestrator/bin/orchestrator", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", *(str(tmp_path / unit) for unit in UNITS)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_a_service_is_nobody_special_and_has_its_secrets_from_a_file(unit: str) -> None:
    service = _service(unit)
    assert service["User"] == "orchestrator"
    assert (service["NoNewPrivileges"], service["CapabilityBoundingSet"], service["ProtectSystem"]) == ("yes", "", "strict")
    assert service["EnvironmentFile"] in ("/etc/orchestrator/server.env", "/etc/orchestrator/worker.env")
    assert "TOKEN" not in service["ExecStart"]
    assert "TOKEN" not in service.get("Environment", "")


def test_a_worker_drains_on_sigterm_and_is_left_the_time_for_it() -> None:
    service = _service("orchestrator-worker@.service")
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed"), "the running work must not get the signal"
    assert int(service["TimeoutStopSec"]) > GRACE
    assert "--grace PT5M" in service["ExecStart"]
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")


def test_nothing_ends_what_a_killed_launcher_leaves_at_work() -> None:
    service = _service("orchestrator-server.service")
    assert (service["KillMode"], service["Restart"], service["OOMPolicy"]) == ("process", "always", "continue")
    assert "PrivateTmp" not in service, "the next launcher finds the sockets of what goes on in the same /tmp"
