"""A server that is started in somebody's project folder loads none of its modules, whatever their names are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.runtime import ray_processes

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

FLOW = """
id: trapped
namespace: traps
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: not trapped}
"""
# Ours, one of a library and one of Python: of a folder with such names Ray itself would not start.
NAMES = ("orchestrator", "orchestrator_plugins", "plugins", "sqlalchemy", "secrets")


@pytest.mark.long
def test_a_run_in_a_folder_of_modules_named_like_ours_starts_a_server_that_loads_none(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('the module {name} of this folder was loaded')\n")
    (tmp_path / "flow.yaml").write_text(FLOW)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRATOR_", "RAY_", "PYTHON"))}
    environ = {**kept, "ORCHESTRATOR_PORT": str(ray_processes.free_ports(1)[0]), "ORCHESTRATOR_DATA": str(tmp_path / "data")}
    command = [str(Path(sys.executable).with_name("orchestrator"))]
    try:
        done = subprocess.run([*command, "run", "flow.yaml"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "not trapped" in done.stdout
    finally:
        stopped = subprocess.run([*command, "server", "stop"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert "stopped" in stopped.stderr
