"""Packages of Python scripts: installed from wheels of this test's own, kept by what was asked, and what is said when they cannot be had."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator import registry
from orchestrator.sdk import Json, Level, TaskFailed
from orchestrator.sdk.fakes import FakeContext, LocalProcesses
from orchestrator_plugins.process.runner import Process
from orchestrator_plugins.scripts.script import Running
from tests.conftest import missing

PACKAGE = "orchestrator_tests_greeting"  # no index knows it
USES = "import greeting\nprint(greeting.word)\n"


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[FakeContext]:
    processes = LocalProcesses()
    yield FakeContext(tmp_path, {"name": PACKAGE}, runner=Process(), processes=processes)
    processes.close()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with the wheel of a package, 1.0, which has a module and a program."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "hello")
    return folder


def wheel(folder: Path, word: str) -> Path:
    path, info = folder / f"{PACKAGE}-1.0-py3-none-any.whl", f"{PACKAGE}-1.0.dist-info"
    files = {
        "greeting.py": f"word = {word!r}\ndef main():\n    print('said', word)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ngreet = greeting:main\n",
        f"{info}/RECORD": "".join(f"{name},,\n" for name in ("greeting.py", *(f"{info}/{one}" for one in ("METADATA", "WHEEL", "entry_points.txt", "RECORD")))),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def offline(wheels: Path) -> dict[str, str]:
    """Only from this folder, whichever installs."""
    return {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}


def run(ctx: FakeContext, name: str = "Script", **properties: Any) -> dict[str, Json]:
    task: Running = registry.load("task", f"io.kestra.plugin.scripts.python.{name}").model_validate({"id": "t", "type": name, **properties})
    return dict(task.run(ctx))


def said(ctx: FakeContext, least: Level = Level.INFO) -> list[str]:
    return [line for level, line in ctx.logger.lines if level.rank >= least.rank]


def kept(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "cache").iterdir()]


@pytest.mark.parametrize("manager", ["UV", "PIP"])
def test_packages_are_there_when_the_script_begins(ctx: FakeContext, wheels: Path, manager: str) -> None:
    if manager == "UV" and shutil.which("uv", path=str(Path(sys.executable).parent)) is None:
        missing("uv")
    outputs = run(ctx, script=USES, dependencies=["{{ name }}==1.0"], packageManager=manager, env=offline(wheels))
    assert (outputs["exitCode"], said(ctx)) == (0, ["hello"])


def test_what_is_installed_is_told_with_its_tool_at_debug(ctx: FakeContext, wheels: Path) -> None:
    run(ctx, script=USES, dependencies=[PACKAGE], env=offline(wheels))
    assert ctx.logger.lines[0][0] is Level.DEBUG
    assert ctx.logger.lines[0][1].startswith(f"Installed {PACKAGE} with ")


def test_commands_have_the_packages_and_their_programs(ctx: FakeContext, wheels: Path) -> None:
    run(ctx, "Commands", commands=["greet", "python -c 'import greeting; print(greeting.word)'"], dependencies=[PACKAGE], env=offline(wheels))
    assert said(ctx) == ["said hello", "hello"]


def test_packages_are_kept_for_the_next_run_that_asks_for_the_same(ctx: FakeContext, tmp_path: Path, wheels: Path) -> None:
    run(ctx, script=USES, dependencies=[PACKAGE], env=offline(wheels))
    (first,) = kept(tmp_path)
    (wheels / f"{PACKAGE}-1.0-py3-none-any.whl").unlink()
    run(ctx, script=USES, dependencies=[PACKAGE], env=offline(wheels))
    assert (kept(tmp_path), said(ctx)) == ([first], ["hello", "hello"])


def test_a_local_package_is_known_by_its_bytes(ctx: FakeContext, tmp_path: Path, wheels: Path) -> None:
    path = wheels / f"{PACKAGE}-1.0-py3-none-any.whl"
    run(ctx, script=USES, dependencies=[str(path)])
    wheel(wheels, "again")
    run(ctx, script=USES, dependencies=[str(path)])
    assert (len(kept(tmp_path)), said(ctx)) == (2, ["hello", "again"])


def test_without_the_cache_nothing_is_kept_and_nothing_is_an_output(ctx: FakeContext, tmp_path: Path, wheels: Path) -> None:
    outputs = run(ctx, script=USES, dependencies=[PACKAGE], dependencyCacheEnabled=False, outputFiles=["**"], env=offline(wheels))
    assert (outputs["outputFiles"], said(ctx), (tmp_path / "cache").exists()) == ({}, ["hello"], False)


def test_what_was_not_used_for_long_is_cleared_away(ctx: FakeContext, tmp_path: Path, wheels: Path) -> None:
    old, young = tmp_path / "cache" / "python-old", tmp_path / "cache" / ".new-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    run(ctx, script=USES, dependencies=[PACKAGE], env=offline(wheels))
    assert (old.exists(), young.exists()) == (False, True)


def test_two_runs_may_install_the_same_at_the_same_time(tmp_path: Path, wheels: Path) -> None:
    contexts = [FakeContext(tmp_path, runner=Process()) for _ in range(3)]
    threads = [threading.Thread(target=run, args=(one,), kwargs={"script": USES, "dependencies": [PACKAGE], "env": offline(wheels)}) for one in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ([said(one) for one in contexts], len(kept(tmp_path))) == ([["hello"]] * 3, 1)


@pytest.mark.parametrize("manager", ["UV", "PIP"])
def test_an_index_that_cannot_be_reached_is_told_with_the_remedy(ctx: FakeContext, tmp_path: Path, manager: str) -> None:
    nowhere = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_INDEX": "",
        "UV_HTTP_RETRIES": "0",
    }
    with pytest.raises(TaskFailed, match="exit code 1"):
        run(ctx, script=USES, dependencies=["no-such-package-of-ours"], packageManager=manager, env=nowhere)
    told = said(ctx, Level.ERROR)[-1]
    assert "no-such-package-of-ours could not be installed" in told
    assert "no package index can be reached from here" in told
    assert "`env` may name one" in told
    assert kept(tmp_path) == []


def test_a_package_that_is_not_there_is_told_in_the_installers_words(ctx: FakeContext, wheels: Path) -> None:
    with pytest.raises(TaskFailed, match="exit code 1"):
        run(ctx, script=USES, dependencies=[f"{PACKAGE}==2.0"], env=offline(wheels))
    lines = said(ctx, Level.ERROR)
    assert lines[-1].endswith("see above")
    assert "2.0" in " ".join(lines[:-1])


def test_a_failure_and_a_signal_of_the_script_are_its_own(ctx: FakeContext, wheels: Path) -> None:
    with pytest.raises(TaskFailed, match="exit code 7"):
        run(ctx, script="raise SystemExit(7)", dependencies=[PACKAGE], env=offline(wheels))
    with pytest.raises(TaskFailed, match="exit code 137"):
        run(ctx, script="import os; os.kill(os.getpid(), 9)", dependencies=[PACKAGE], env=offline(wheels))


def test_an_address_with_a_password_stands_on_no_command_line(ctx: FakeContext, wheels: Path) -> None:
    ctx.secrets.add("hunter2")
    with pytest.raises(TaskFailed):
        run(
            ctx,
            script=USES,
            dependencies=[f"{PACKAGE} @ http://me:hunter2@127.0.0.1:9/{PACKAGE}-1.0-py3-none-any.whl"],
            env={"UV_HTTP_RETRIES": "0", "PIP_RETRIES": "0"},
        )
    assert not any("hunter2" in word for word in ctx.jobs[0].argv)


def test_the_version_chooses_the_image_where_none_is_named() -> None:
    kind = registry.load("task", "io.kestra.plugin.scripts.python.Script")
    given = {"id": "t", "type": "x", "script": "x", "pythonVersion": "3.12"}
    assert kind.model_validate(given).image() == "python:3.12-slim"
    assert kind.model_validate({**given, "containerImage": "mine"}).image() == "mine"
    assert kind.model_validate({**given, "docker": {"image": "mine:2"}}).image() == "mine:2"


def test_the_version_is_no_number_which_would_lose_its_last_zero() -> None:
    with pytest.raises(ValidationError):
        registry.load("task", "io.kestra.plugin.scripts.python.Script").model_validate({"id": "t", "type": "x", "script": "x", "pythonVersion": 3.10})


def test_the_version_that_is_there_is_used_as_it_is(ctx: FakeContext) -> None:
    run(ctx, script="import sys; print(sys.version_info[:2])", pythonVersion=f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert said(ctx) == [str(tuple(sys.version_info[:2]))]


def test_a_version_that_cannot_be_had_is_told(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="exit code 1"):
        run(ctx, script="print(1)", pythonVersion="3.4", env={"UV_PYTHON_DOWNLOADS": "never"})
    assert said(ctx, Level.ERROR) == ["there is no Python 3.4 here, and uv could not fetch it: install it, or run in a container whose image has it"]


def test_nothing_stands_before_a_script_that_asks_for_nothing(ctx: FakeContext) -> None:
    run(ctx, script="print(1)", dependencies=[])
    assert (ctx.jobs[0].argv[0], len(ctx.jobs[0].argv), "PYTHON_DEPENDENCIES" in ctx.jobs[0].env) == ("python", 2, False)
