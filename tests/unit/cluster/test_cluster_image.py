"""The image: what it is built from, and how a head in it starts and ends."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest

from orchestrator.runtime import ray_processes
from tests.unit.cluster.cluster_files import CLUSTER, ROOT, assert_shell

HEAD = CLUSTER / "image/head.sh"


def _instructions() -> list[tuple[str, str]]:
    text = (CLUSTER / "image/Dockerfile").read_text()
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def test_all_that_is_copied_is_there_and_let_in() -> None:
    ignored = (CLUSTER / "image/Dockerfile.dockerignore").read_text().split("\n")
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = [source for word, rest in _instructions() if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]]
    assert len(copied) >= 6
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in let_in), source
    assert "*" in ignored, "nothing else is sent to the builder"


def test_a_shell_takes_every_command_and_nobody_is_root_at_the_end() -> None:
    instructions = _instructions()
    for word, rest in instructions:
        if word == "RUN":
            assert_shell(rest)
    assert [rest for word, rest in instructions if word == "USER"] == ["1000:1000"]
    assert [word for word, _ in instructions if word == "FROM"] == ["FROM", "FROM"]


def test_rays_processes_get_nothing_that_is_the_servers_alone() -> None:
    (line,) = [line for line in HEAD.read_text().splitlines() if line.strip().startswith("SECRET_")]
    assert line.partition(")")[0].replace("*", "").replace(" ", "").split("|") == list(ray_processes._PRIVATE)


class Head:
    """`head.sh` with a `ray` and an `orchestrator` that note what becomes of them."""

    def __init__(self, folder: Path, *, server: str = "sleep 60 & wait $!", health: str | None = None) -> None:
        self.said = folder / "said"
        self.said.write_text("")
        health = health or f"grep -q 'ray start' '{self.said}'; exit $?"  # it is well once it has begun
        self._program(folder / "ray", f'if [ "$1" = health-check ]; then {health}; fi\n' + self._noting("ray", "sleep 60 & wait $!"))
        self._program(folder / "orchestrator", self._noting("server", server))
        environ = {"PATH": f"{folder}:{os.environ['PATH']}", "KUBERAY_GEN_RAY_START_CMD": "ray start --head --resources='{\"a:b\": 1}'"}
        environ |= {"SECRET_X": "x", "ORCHESTRATOR_API_TOKEN": "t"}
        self.process = subprocess.Popen(["bash", str(HEAD), "--data", "/data"], env=environ, start_new_session=True)

    def _program(self, path: Path, text: str) -> None:
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(stat.S_IRWXU)

    def _noting(self, name: str, work: str) -> str:
        note = f">> '{self.said}'"
        stop = f"trap 'echo \"{name} told to stop\" {note}; exit 0' TERM"
        begin = f'echo "{name} $* ${{SECRET_X:-none}} ${{ORCHESTRATOR_API_TOKEN:-none}}" {note}'
        return "\n".join([stop, begin, work, "code=$?", f'echo "{name} ended" {note}', "exit $code", ""])

    def until(self, line: str) -> None:
        deadline = time.monotonic() + 20
        while line not in self.said.read_text():
            assert time.monotonic() < deadline, f"{line!r} is not in {self.said.read_text()!r}"
            time.sleep(0.02)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)


def test_a_head_that_is_told_to_stop_stops_the_server_first_and_then_ray(tmp_path: Path) -> None:
    head = Head(tmp_path)
    try:
        head.until("server server standalone --data /data x t")
        head.process.terminate()
        head.process.wait(20)
        said = head.said.read_text()
        assert said.index("server told to stop") < said.index("ray told to stop")
        assert 'ray start --head --resources={"a:b": 1} none none' in said, "Ray was started without what is the server's alone"
    finally:
        head.end()


@pytest.mark.parametrize("code", [0, 3])
def test_a_head_ends_with_its_server(tmp_path: Path, code: int) -> None:
    head = Head(tmp_path, server=f"sleep 0.2; (exit {code})")
    try:
        assert head.process.wait(20) == code
        head.until("ray told to stop")
    finally:
        head.end()


def test_a_head_whose_ray_does_not_come_up_ends(tmp_path: Path) -> None:
    head = Head(tmp_path, health="exit 1")
    try:
        head.until("ray start --head")
        assert head.process.poll() is None
        os.kill(next(pid for pid in _children(head.process.pid)), signal.SIGKILL)
        assert head.process.wait(20) == 1
        assert "server" not in head.said.read_text()
    finally:
        head.end()


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
