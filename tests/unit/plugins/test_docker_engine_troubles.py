"""What the Docker runner does when the engine or a registry is slow, away or refuses; the engine here is a stand-in of the same narrow class."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestrator.sdk import JobLost, JobRejected, RunnerUnavailable, StartFailed
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.testing import Heard
from orchestrator_plugins.docker import following, images
from orchestrator_plugins.docker.client import PullFailed
from orchestrator_plugins.docker.following import followed
from orchestrator_plugins.docker.images import ensure_image
from orchestrator_plugins.docker.properties import DockerProperties


def frame(text: str, second: int) -> bytes:
    data = f"2024-05-06T07:08:{second:02}.123456789Z {text}".encode()
    return struct.pack(">BxxxL", 1, len(data)) + data


class Engine:
    """Answers `log`, `wait`, `inspect` and `pull` from lists; an exception in one is raised."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    def _next(self, name: str, about: Any = None) -> Any:
        self.asked.append((name, about))
        answer = self.answers[name].pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def log(self, container: str, *, follow: bool, since: str | None) -> Iterator[bytes]:
        return iter(self._next("log", (follow, since)))

    def wait(self, container: str, seconds: float) -> bool:
        return bool(self._next("wait"))

    def inspect(self, container: str) -> Any:
        return self._next("inspect")

    def image_user(self, image: str) -> Any:
        return self._next("image_user")

    def pull(self, image: str, auth: Any, cancelled: Any) -> None:
        answer = self._next("pull")
        if answer is not None:
            answer()


ENDED = {"State": {"ExitCode": 4, "OOMKilled": False, "Error": ""}}
RUNNING = {"State": {"Running": True}}


def end_of(engine: Any) -> tuple[int, list[str]]:
    @contextmanager
    def opened() -> Iterator[Any]:
        yield engine

    heard = Heard()
    return followed(opened, "c" * 64, heard).code, heard.texts


def test_a_log_that_is_cut_is_followed_on_from_a_moment_before_its_last_time() -> None:
    engine = Engine(log=[[frame("a\n", 1)], [frame("a\n", 1), frame("b\n", 2)], [frame("b\n", 2), frame("last", 3)]], wait=[False], inspect=[RUNNING, ENDED])
    assert end_of(engine) == (4, ["a", "b", "last"])
    assert [about for name, about in engine.asked if name == "log"] == [(True, None), (True, "1714979279"), (False, "1714979280")]


def test_an_engine_that_is_restarted_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSE", 0.0)
    away = RunnerUnavailable("away")
    engine = Engine(log=[[frame("a\n", 1)], away, [frame("a\n", 1)], [frame("a\n", 1)]], wait=[away], inspect=[RUNNING, ENDED])
    assert end_of(engine) == (4, ["a"])


def test_an_engine_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", -1.0)
    with pytest.raises(RunnerUnavailable):
        end_of(Engine(log=[RunnerUnavailable("away")]))


def test_a_container_that_vanishes_is_lost() -> None:
    with pytest.raises(JobLost):
        end_of(Engine(log=[[]], inspect=[None]))


def pulled(engine: Any, tools: FakeTools, **written: Any) -> str | None:
    return ensure_image(engine, DockerProperties.model_validate(written), "acme/tool:1", tools)


def test_an_image_that_is_there_is_not_pulled() -> None:
    assert pulled(Engine(image_user=["app"]), FakeTools()) == "app"


def test_always_pulls_even_what_is_there() -> None:
    tools = FakeTools()
    assert pulled(Engine(image_user=["old", "new"], pull=[None]), tools, pullPolicy="ALWAYS") == "new"
    assert [(phase.value, detail) for phase, detail in tools.phases] == [("image", "acme/tool:1")]


def test_a_pull_is_tried_again_when_that_may_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PAUSES", (0.0, 0.0))
    failing = PullFailed("toomanyrequests", lasting=False)
    assert pulled(Engine(image_user=[None, ""], pull=[failing, failing, None]), FakeTools()) == ""
    with pytest.raises(StartFailed, match=r"`acme/tool:1`.*toomanyrequests") as failed:
        pulled(Engine(image_user=[None], pull=[failing, failing, failing]), FakeTools())
    assert failed.value.kind == "IMAGE"


def test_a_pull_that_cannot_help_is_not_tried_again() -> None:
    with pytest.raises(JobRejected, match=r"image `acme/tool:1` not found.*manifest unknown.*credentials"):
        pulled(Engine(image_user=[None], pull=[PullFailed("manifest unknown", lasting=True)]), FakeTools())


def test_a_kill_does_not_wait_for_a_registry_that_says_nothing() -> None:
    tools, never = FakeTools(), threading.Event()

    def hang() -> None:
        tools.stopped = True
        never.wait(30)

    assert pulled(Engine(image_user=[None], pull=[hang]), tools) is None
    never.set()


def test_a_kill_ends_the_pause_between_two_tries() -> None:
    tools = FakeTools()

    def refuse() -> None:
        tools.stopped = True
        raise PullFailed("busy", lasting=False)

    assert pulled(Engine(image_user=[None], pull=[refuse]), tools) is None


def test_a_pull_is_bounded_apart_from_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(images, "LOOK", 0.01)
    with pytest.raises(StartFailed, match="not pulled within PT") as failed:
        pulled(Engine(image_user=[None], pull=[lambda: never.wait(30)]), FakeTools(), waitUntilRunning="PT0.05S")
    never.set()
    assert failed.value.kind == "BOUND"
