"""The contract suite of task runners: subclass `RunnerContract`, give it a runner, and every promise of `sdk.runner` is tried.

    class TestSlurm(RunnerContract):
        @pytest.fixture
        def runner(self): return Slurm(partition="test")

        @pytest.fixture
        def image(self): return "busybox"

Needs pytest. Fakes to run single tasks with are in `sdk.fakes`.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.errors import JobLost, JobRejected
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


class RunnerContract:
    """What every task runner keeps. Override `runner`, and `image`, `processes` and `leftovers` where they matter."""

    @pytest.fixture
    def runner(self) -> TaskRunner:
        """The runner to try, fresh."""
        raise NotImplementedError("override the fixture `runner`")

    @pytest.fixture
    def image(self) -> str | None:
        """An image with a POSIX shell, for runners that use one."""
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
    def job(self, tmp_path: Path, image: str | None, run_id: str) -> Callable[..., Job]:
        """Makes a job of a shell text."""
        folder = tmp_path / "work"
        folder.mkdir()
        names = iter(range(100))

        def make(text: str, **more: object) -> Job:
            key = f"contract-{run_id}-{next(names)}"
            labels = {"test.run": run_id, "installation": f"contract-{run_id}"}
            return Job.model_validate({"key": key, "argv": ("/bin/sh", "-c", text), "working_dir": str(folder), "image": image, "labels": labels, **more})

        return make

    @pytest.fixture
    def finish(self, runner: TaskRunner, tools: FakeTools) -> Callable[[Job], tuple[JobExit, Heard]]:
        """Runs a job from preparation to removal."""

        def run(job: Job) -> tuple[JobExit, Heard]:
            heard = Heard()
            handle = runner.start(job, runner.prepare(job), tools)
            try:
                ended = runner.wait(handle, heard)
                runner.collect(job, handle)
            finally:
                runner.remove(handle)
            return ended, heard

        return run

    @pytest.mark.parametrize("code", [0, 1, 3, 66, 127, 255])
    def test_the_exit_code_is_the_commands_own(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]], code: int) -> None:
        assert finish(job(f"exit {code}"))[0].code == code

    def test_a_signal_is_128_and_its_number(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        assert finish(job("sh -c 'kill -9 $$'; exit $?"))[0].code == 137

    def test_lines_of_both_streams_arrive(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        heard = finish(job("echo out; echo err >&2; echo; echo end"))[1]
        assert sorted(heard.lines) == [("", False), ("end", False), ("err", True), ("out", False)]
        assert heard.offsets == [0, 1, 2, 3]

    @pytest.mark.parametrize("stream", ["1", "2"])
    def test_an_unterminated_last_line_arrives(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]], stream: str) -> None:
        assert finish(job(f"printf 'first\\nlast' >&{stream}"))[1].texts == ["first", "last"]

    def test_odd_bytes_and_line_ends_arrive(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        assert finish(job(r"printf 'a\rb\r\n\303\244\n\377\n'"))[1].texts == ["a", "b", "ä", "\ufffd"]

    def test_long_lines_arrive_whole(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        assert finish(job("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end"))[1].texts == ["x" * 1_000_000, "end"]

    def test_many_lines_arrive_once_and_in_order(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        heard = finish(job("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done"))[1]
        assert heard.texts == [str(i) for i in range(5000)]
        assert heard.offsets == list(range(5000))

    def test_lines_are_heard_while_the_job_runs(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        made = job("echo early; sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        still_running = waiting.is_alive()
        runner.stop(handle, NOW)
        waiting.exit()
        runner.remove(handle)
        assert (still_running, waiting.heard.texts) == (True, ["early"])

    def test_the_command_sees_its_env(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        env = {"PLAIN": "x", "ODD": 'a "b" $c\n=ä'}
        assert finish(job('printf "%s|%s" "$PLAIN" "$ODD"', env=env))[1].texts == ['x|a "b" $c', "=ä"]

    def test_the_handle_holds_no_env(self, runner: TaskRunner, job: Callable[..., Job]) -> None:
        assert "s3cret" not in runner.prepare(job("true", env={"TOKEN": "s3cret"})).model_dump_json()

    def test_the_command_starts_in_the_working_directory(
        self, runner: TaskRunner, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]
    ) -> None:
        made = job("pwd -P; cat given.txt")
        Path(made.working_dir, "given.txt").write_text("given")
        assert finish(made)[1].texts == [runner.working_dir(made.key, made.working_dir), "given"]

    def test_declared_files_come_back(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        text = 'mkdir -p out/deep "odd dir"; echo 1 > out/deep/a; echo 2 > top.txt; echo 3 > "odd dir/ä ö.txt"; echo 4 > od/n; chmod +x top.txt'
        made = job(text, output_files=("out/**", "*.txt", "odd dir/ä ö.txt", "missing"), output_dir="od")
        Path(made.working_dir, "od").mkdir()
        finish(made)
        folder = Path(made.working_dir)
        assert [(folder / name).read_text() for name in ("out/deep/a", "top.txt", "odd dir/ä ö.txt", "od/n")] == ["1\n", "2\n", "3\n", "4\n"]
        assert (folder / "top.txt").stat().st_mode & 0o100

    def test_files_of_a_failed_command_come_back(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        made = job("echo kept > report.txt; exit 2", output_files=("report.txt",))
        assert finish(made)[0].code == 2
        assert Path(made.working_dir, "report.txt").read_text() == "kept\n"

    def test_input_files_keep_modes_and_odd_names(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        long = "x" * 120 + " ü.sh"
        made = job(f'"./{long}"; test -d empty && echo folder')
        folder = Path(made.working_dir)
        (folder / "empty").mkdir()
        (folder / long).write_text("#!/bin/sh\necho ran\n")
        (folder / long).chmod(0o755)
        assert finish(made)[1].texts == ["ran", "folder"]

    def test_no_link_leads_out_of_the_folder(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]], tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        made = job(f"ln -s {tmp_path}/outside gone; echo x > gone/planted 2>/dev/null; ln -s /etc/hostname name.txt; true", output_files=("**",))
        finish(made)
        brought = [path for path in Path(made.working_dir).rglob("*") if path.is_file() and not path.is_symlink()]
        assert brought == []

    def test_a_program_that_is_not_there_is_told(self, job: Callable[..., Job], finish: Callable[..., tuple[JobExit, Heard]]) -> None:
        made = job("").model_copy(update={"argv": ("/no/such/program",)})
        try:
            assert finish(made)[0].code in (126, 127)
        except JobRejected as err:
            assert "/no/such/program" in str(err)  # noqa: PT017 - either way is fine

    def test_a_stop_ends_a_running_job_and_may_come_twice(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        made = job("echo up; sleep 600 & wait")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        runner.stop(handle, timedelta(seconds=1))
        runner.stop(handle, NOW)
        assert waiting.exit().code in (130, 137, 143)
        runner.stop(handle, NOW)
        runner.remove(handle)
        runner.remove(handle)

    def test_a_job_that_is_cancelled_before_it_starts_never_runs(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        made = job("echo ran > proof.txt; sleep 600", output_files=("proof.txt",))
        handle = runner.prepare(made)
        tools.stopped = True
        runner.stop(handle, NOW)
        handle = runner.start(made, handle, tools)
        assert runner.wait(handle, Heard()).code != 0
        runner.remove(handle)
        assert not Path(made.working_dir, "proof.txt").exists()

    def test_a_stop_before_anything_was_made_is_a_success(self, runner: TaskRunner, job: Callable[..., Job]) -> None:
        handle = runner.prepare(job("true"))
        runner.stop(handle, NOW)
        runner.remove(handle)

    def test_starting_twice_runs_once(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        made = job("echo once; echo x >> count.txt; cat count.txt", output_files=("count.txt",))
        prepared = runner.prepare(made)
        second = another(runner) if runner.reattaches else runner
        first_handle = runner.start(made, prepared, tools)
        handle = second.start(made, prepared, tools)
        heard = Heard()
        assert second.wait(handle, heard).code == 0
        second.remove(handle)
        assert (first_handle, heard.texts) == (handle, ["once", "x"])

    def test_an_ended_job_is_adopted_too(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        if not runner.reattaches:
            pytest.skip("this runner declares that it cannot be re-attached")
        made = job("echo only; exit 5")
        prepared = runner.prepare(made)
        assert runner.wait(runner.start(made, prepared, tools), Heard()).code == 5
        second, heard = another(runner), Heard()
        handle = second.start(made, prepared, tools)
        assert (second.wait(handle, heard).code, heard.texts) == (5, ["only"])
        second.remove(handle)

    def test_a_saved_handle_is_enough_to_go_on(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        made = job("echo before; while [ ! -e stop ]; do sleep 0.1; echo x > made.txt; [ -s made.txt ] && break; done; echo after; exit 3")
        made = made.model_copy(update={"output_files": ("made.txt",)})
        saved = runner.start(made, runner.prepare(made), tools).model_dump_json()
        handle, fresh, heard = JobHandle.model_validate_json(saved), another(runner), Heard()
        if not runner.reattaches:
            with pytest.raises(JobLost):
                fresh.wait(handle, heard)
            runner.wait(handle, Heard())
            return runner.remove(handle)
        assert fresh.wait(handle, heard).code == 3
        fresh.collect(made, handle)
        fresh.remove(handle)
        assert (heard.texts, heard.offsets) == (["before", "after"], [0, 1])
        assert Path(made.working_dir, "made.txt").read_text() == "x\n"

    def test_a_saved_handle_is_enough_to_stop(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        if not runner.reattaches:
            pytest.skip("this runner declares that it cannot be re-attached")
        made = job("echo up; sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        another(runner).stop(JobHandle.model_validate_json(handle.model_dump_json()), NOW)
        assert waiting.exit().code in (137, 143)
        another(runner).remove(handle)

    def test_the_log_reads_the_same_again(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        if not runner.reattaches:
            pytest.skip("this runner declares that it cannot be re-attached")
        made = job("i=0; while [ $i -lt 300 ]; do echo $i; echo e$i >&2; i=$((i+1)); done; printf end")
        handle = runner.start(made, runner.prepare(made), tools)
        first, second = Heard(), Heard()
        runner.wait(handle, first)
        another(runner).wait(handle, second)
        runner.remove(handle)
        assert (first.lines, first.offsets) == (second.lines, second.offsets)
        assert len(first.lines) == 601

    def test_two_jobs_do_not_meet(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        second = another(runner)
        made, other = job("sleep 600"), job("echo mine")
        handle, second_handle = runner.start(made, runner.prepare(made), tools), second.start(other, second.prepare(other), tools)
        heard = Heard()
        assert second.wait(second_handle, heard).code == 0
        second.remove(second_handle)
        runner.stop(handle, NOW)
        runner.remove(handle)
        assert heard.texts == ["mine"]

    def test_a_job_that_is_gone_is_told_as_lost(self, runner: TaskRunner, tools: FakeTools, job: Callable[..., Job]) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        runner.remove(handle)
        with pytest.raises(JobLost):
            another(runner).wait(handle, Heard())
