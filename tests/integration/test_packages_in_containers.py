"""Packages of Python scripts in containers of a real engine: installed in there, or refused in words that help."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import registry
from orchestrator.sdk import Json, Level, TaskFailed
from orchestrator.sdk.fakes import FakeContext
from orchestrator_plugins.docker.runner import Docker
from tests.conftest import missing
from tests.unit.plugins.test_script_dependencies import PACKAGE, USES, wheel

pytestmark = pytest.mark.docker

UV = Path(sys.executable).with_name("uv")


def engine(*arguments: str | Path) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.fixture
def image_with_uv() -> Iterator[str]:
    """`test/python` with uv in it."""
    if not UV.exists():
        missing("uv")
    name = f"test/python-uv-{uuid.uuid4().hex[:8]}"
    container = engine("create", "--label", f"test.run={name}", "test/python")
    try:
        engine("cp", UV, f"{container}:/usr/local/bin/uv")
        for library in _libraries(UV):
            engine("cp", "--follow-link", library, f"{container}:{library}")
        engine("commit", container, name)
        yield name
        engine("rmi", "-f", name)
    finally:
        engine("rm", "-f", container)


def _libraries(program: Path) -> list[str]:
    """What the loader would load for it; the small image has those of Python alone."""
    return re.findall(r"=> (/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, runner=Docker.model_validate({"pullPolicy": "NEVER"}))


def run(ctx: FakeContext, image: str) -> dict[str, Json]:
    (folder := ctx.working_dir().with_name("wheels")).mkdir()
    path = wheel(folder, "hello from a container")
    files = {path.name: ctx.files.put(path, path.name)}
    script = {"id": "t", "type": "x", "script": USES, "dependencies": [f"./{path.name}"], "inputFiles": files, "containerImage": image}
    return dict(registry.load("task", "io.kestra.plugin.scripts.python.Script").model_validate(script).run(ctx))


def test_packages_are_installed_inside_the_container_and_kept_nowhere(ctx: FakeContext, tmp_path: Path, image_with_uv: str) -> None:
    run(ctx, image_with_uv)
    assert ctx.logger.lines[-1] == (Level.INFO, "hello from a container")
    assert not (tmp_path / "cache").exists()


def test_an_image_that_can_install_nothing_is_told(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="exit code 1"):
        run(ctx, "test/python")
    assert ctx.logger.lines[-1] == (
        Level.ERROR,
        f"The dependencies ./{PACKAGE}-1.0-py3-none-any.whl could not be installed with pip: there is neither uv nor pip here: choose an image that has one",
    )
