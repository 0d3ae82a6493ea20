"""What is installed from a wheel is whole: every module once, and a flow runs on it in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from tests.local_server import local_server

ROOT = Path(__file__).resolve().parents[2]
DATA = {"orchestrator/py.typed", "orchestrator_plugins/py.typed", "orchestrator/store/migrations/script.py.mako"}
pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree, so that nothing an earlier build left gets into it."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("orchestrator", "plugins"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", out, tree)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment that holds the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    uv = Path(sys.executable).with_name("uv")  # does what pip does, faster
    if uv.exists():
        _run(sys.executable, "-m", "venv", "--without-pip", folder)
        _run(uv, "pip", "install", "--system-certs", "--python", folder / "bin/python", wheel)
    else:
        _run(sys.executable, "-m", "venv", folder)
        _run(folder / "bin/python", "-m", "pip", "install", wheel)
    return folder / "bin"


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_every_module_is_inside_exactly_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = Counter(name for name in archive.namelist() if ".dist-info/" not in name)
    packages = ((ROOT, "orchestrator"), (ROOT / "plugins", "orchestrator_plugins"))
    modules = {str(path.relative_to(base)) for base, package in packages for path in (base / package).rglob("*.py")}
    assert modules | DATA <= set(names), "all of it"
    assert {name for name in names if name.endswith(".py")} <= modules, "nothing else, and nothing under a second path"
    assert set(names.values()) == {1}


def test_the_catalogue_of_plugins_comes_with_it(environment: Path, tmp_path: Path) -> None:
    code = "from importlib.metadata import entry_points; print(*[e.name for e in entry_points(group='orchestrator.task') if e.load()])"
    done = subprocess.run([environment / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "io.kestra.plugin.core.log.Log" in done.stdout.split()


def test_a_flow_runs_in_an_empty_environment(environment: Path, tmp_path: Path) -> None:
    flow = shutil.copy(ROOT / "examples/hello.yaml", tmp_path / "hello.yaml")
    with local_server(orchestrator=environment / "orchestrator") as server:
        command: list[str | Path] = [environment / "orchestrator", "run", flow, "-i", "name=wheel", "--json", "--server", server.url]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello wheel from Python" in done.stdout
