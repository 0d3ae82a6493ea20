"""What a job must have before it may start an executor, and how it follows a run."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator import settings as configuration
from orchestrator.cli.job import leave_its_modules
from orchestrator.errors import BadSettings, Conflict
from orchestrator.model.session import ExecutionNews, LogNews
from orchestrator.runtime import clean_process, ports
from orchestrator.runtime.client import ExecutorClient
from orchestrator.runtime.data_folder import claim
from orchestrator.runtime.job_session import ClusterSession, check_lasting
from orchestrator.runtime.ray_processes import free_ports

UNPACKED = Path("/tmp/ray/session_1/runtime_resources/working_dir_files/pkg")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ORCHESTRATOR_DATA": ""},
        {"ORCHESTRATOR_DATA": "data"},
        {"ORCHESTRATOR_DATA": "/tmp/ray/session_1/data"},
        {"ORCHESTRATOR_DATA": str(UNPACKED / "data")},
    ],
)
def test_a_store_that_would_go_with_the_job_is_refused_with_the_remedy(environ: dict[str, str]) -> None:
    with pytest.raises(BadSettings, match="set ORCHESTRATOR_DATA to an absolute folder"):
        check_lasting(environ, UNPACKED)


@pytest.mark.parametrize("cwd", [UNPACKED, Path("/srv")])
def test_an_absolute_folder_outside_of_ray_may_hold_the_store(cwd: Path) -> None:
    check_lasting({"ORCHESTRATOR_DATA": "/srv/orchestrator"}, cwd)


@pytest.mark.parametrize("url", ["sqlite:///orchestrator.db", "sqlite+pysqlite:///data/orchestrator.db", "sqlite://"])
def test_a_database_file_is_named_from_the_root(url: str) -> None:
    with pytest.raises(BadSettings, match="ORCHESTRATOR_DATABASE"):
        configuration.load(environ={"ORCHESTRATOR_DATABASE": url})


@pytest.mark.parametrize("url", ["sqlite:////srv/orchestrator.db", "postgresql://me@host/orchestrator"])
def test_a_database_that_is_the_same_from_everywhere_is_taken(url: str) -> None:
    assert configuration.load(environ={"ORCHESTRATOR_DATABASE": url}).database == url


def test_a_clean_process_has_nothing_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    job = {"PYTHONPATH": str(tmp_path), "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}", "RAY_ADDRESS": "x:1", "PWD": str(tmp_path)}
    kept = {"PATH": os.environ["PATH"], "RAY_AUTH_MODE": "token", "ORCHESTRATOR_DATA": "/srv"}
    assert clean_process.surroundings({**kept, **job}) == kept
    code, said, _ = clean_process.run("site", environ={**kept, **job}, within=30)
    assert code == 0
    assert str(tmp_path) not in said
    assert repr(os.getcwd()) not in said


def test_a_data_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with claim(tmp_path / "data"), pytest.raises(Conflict, match="a server already runs"):
        claim(tmp_path / "data")
    claim(tmp_path / "data").close()


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSettings, match="cannot be used"):
        claim(tmp_path / "file" / "data")


def test_modules_of_the_working_directory_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(UNPACKED), "/usr/lib/python3", str(UNPACKED / "src")])
    leave_its_modules()
    assert sys.path == ["/usr/lib/python3"]


def test_an_address_where_nobody_listens_is_free_and_does_not_answer() -> None:
    port = free_ports(1)[0]
    assert ports.is_free("127.0.0.1", port)
    assert not ports.answers(f"127.0.0.1:{port}")
    assert ports.answers("auto")


class Executor:
    """Answers as an executor whose run says two lines and ends; slow to give its first news."""

    def __init__(self) -> None:
        self.watched = 0

    async def call(self, method: str, text: str) -> str:
        asked: dict[str, Any] = json.loads(text)
        if method == "logs_after":
            lines = [[3, {"message": "one"}], [7, {"message": "two"}]][: self.watched]
            return json.dumps([line for line in lines if line[0] > asked["after"]])
        self.watched += 1
        await asyncio.sleep(0.25 if self.watched == 1 else 0)
        return json.dumps({"version": self.watched, "ended": self.watched == 3, "execution": {"seen": self.watched} if self.watched != 2 else None})


def test_following_gives_each_line_once_and_the_last_one_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.runtime.ray_boot.disconnect", lambda: None)
    session = ClusterSession(ExecutorClient(Executor().call), "here")
    news = list(session.follow("x"))
    session.close()
    assert news[:2] == [None, None]  # a look round every tenth of a second, though the answer takes a quarter
    assert [one for one in news if one is not None] == [
        LogNews({"message": "one"}),
        ExecutionNews({"seen": 1}),
        LogNews({"message": "two"}),
        ExecutionNews({"seen": 3}),
    ]
