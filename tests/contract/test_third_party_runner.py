"""A third party's runner, installed as its users would: its own tests, the contract suite among them, pass against what is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.third_party import SOURCE, installed


@pytest.mark.timeout(300)
def test_the_tests_of_the_example_pass_where_it_is_installed(tmp_path: Path) -> None:
    site = installed(tmp_path)
    tests = shutil.copy(SOURCE / "test_acme_runner.py", tmp_path)
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tests]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert " passed" in done.stdout
