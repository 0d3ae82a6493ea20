"""Where a runner is tried: jobs, tools and ears of the tests' own, and a look at what is left."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from orchestrator.model.execution import PhaseName
from orchestrator.model.job import Job, JobExit, JobHandle
from orchestrator.sdk.fakes import FakeTools, LocalProcesses
from orchestrator.sdk.runner import LogSink, Processes, TaskRunner

NOW = timedelta()
SOON = 20.0  # seconds that a wait for something certain may take on a busy machine


class Heard(LogSink):
    """Keeps what a job says."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bool]] = []
        self.offsets: list[int] = []
        self.some = threading.Event()

    def line(self, text: str, *, stderr: bool, offset: int, at: datetime | None = None) -> None:
        self.lines.append((text, stderr))
        self.offsets.append(offset)
        self.some.set()

    @property
    def texts(self) -> list[str]:
        """All lines, in order."""
        return [text for text, _ in self.lines]


MakeJob = Callable[..., Job]
Finish = Callable[[Job], tuple[JobExit, Heard]]


def another(runner: TaskRunner) -> TaskRunner:
    """A fresh instance with the same properties, as another process would build it."""
    return type(runner).model_validate(runner.model_dump(exclude_unset=True, by_alias=True))


def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold within a fair time."""
    deadline = time.monotonic() + SOON
    while not holds():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True


class Waiting(threading.Thread):
    """A `wait` on a thread of its own."""

    def __init__(self, runner: TaskRunner, handle: JobHandle) -> None:
        super().__init__(daemon=True)
        self.heard, self._runner, self._handle, self.ended = Heard(), runner, handle, list[JobExit | BaseException]()
        self.start()

    def run(self) -> None:
        try:
            self.ended.append(self._runner.wait(self._handle, self.heard))
        except BaseException as err:
            self.ended.append(err)

    def exit(self) -> JobExit:
        """How the job ended; fails the test when it does not end soon."""
        self.join(SOON)
        assert self.ended, "the job did not end"
        assert isinstance(self.ended[0], JobExit), self.ended[0]
        return self.ended[0]


class StoppingTools(FakeTools):
    """Tools through which a start is told to stop at its `at`-th look at them, and `stop` is called beside it, as a worker does."""

    def __init__(self, processes: Processes, *, at: int, stop: Callable[[], None]) -> None:
        super().__init__(processes)
        self._left, self._stopping = at, threading.Thread(target=stop, daemon=True)

    def cancelled(self) -> bool:
        self._look()
        return self.stopped

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        super().phase(name, detail)
        self._look()

    def _look(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.stopped:
            self.stopped = True
            self._stopping.start()

    def join(self) -> None:
        """Wait until the stop has returned."""
        if self.stopped:
            self._stopping.join(SOON)
            assert not self._stopping.is_alive(), "the stop did not return"


class RunnerSite:
    """The fixtures that every part of the contract uses. Override `runner`, and the others where they matter."""

    many_lines: ClassVar[int] = 200_000
    long_line: ClassVar[int] = 1_000_000  # characters
    big_file_mib: ClassVar[int] = 16
    exit_codes: ClassVar[Sequence[int]] = (0, 1, 3, 66, 127, 255)
    signals: ClassVar[Sequence[int]] = (1, 9, 15)

    @pytest.fixture
    def runner(self) -> TaskRunner:
        """The runner to try, fresh."""
        raise NotImplementedError("override the fixture `runner`")

    @pytest.fixture
    def image(self) -> str | None:
        """An image with a POSIX shell, for runners that use one."""
        return None

    @pytest.fixture
    def unprivileged_image(self) -> str | None:
        """An image with a POSIX shell whose USER is not root, for runners that use images."""
        return None

    @pytest.fixture
    def missing_image(self) -> str | None:
        """The name of an image that is nowhere, for runners that use images."""
        return None

    @pytest.fixture
    def bounded_runner(self) -> TaskRunner | None:
        """The runner with a bound of memory, the lower the better, where it knows one."""
        return None

    def leftovers(self, run: str) -> Sequence[str]:
        """What is still there of a test's jobs: all they make is labelled `test.run=<run>`."""
        return ()

    @pytest.fixture
    def processes(self) -> Iterator[Processes]:
        """Starts processes, for runners that do."""
        started = LocalProcesses()
        yield started
        started.close()

    @pytest.fixture
    def tools(self, processes: Processes) -> FakeTools:
        return FakeTools(processes)

    @pytest.fixture
    def run_id(self) -> Iterator[str]:
        made = uuid.uuid4().hex[:12]
        yield made
        assert until(lambda: not self.leftovers(made)), f"left behind: {self.leftovers(made)}"

    @pytest.fixture
    def job(self, tmp_path: Path, image: str | None, run_id: str) -> MakeJob:
        """Makes a job of a shell text."""
        folder = tmp_path / "work"
        folder.mkdir()
        names = iter(range(1000))

        def make(text: str, **more: object) -> Job:
            key = f"contract-{run_id}-{next(names)}"
            labels = {"test.run": run_id, "installation": f"contract-{run_id}"}
            return Job.model_validate({"key": key, "argv": ("/bin/sh", "-c", text), "working_dir": str(folder), "image": image, "labels": labels, **more})

        return make

    @pytest.fixture
    def finish(self, runner: TaskRunner, tools: FakeTools) -> Finish:
        """Runs a job from preparation to removal, with an instance of its own."""
        return lambda job: finished(another(runner), job, tools)


def finished(runner: TaskRunner, job: Job, tools: FakeTools) -> tuple[JobExit, Heard]:
    """A job run from preparation to removal: how it ended and what it said."""
    heard = Heard()
    handle = runner.prepare(job)
    try:
        handle = runner.start(job, handle, tools)
        ended = runner.wait(handle, heard)
        runner.collect(job, handle)
    finally:
        runner.remove(handle)
    return ended, heard
