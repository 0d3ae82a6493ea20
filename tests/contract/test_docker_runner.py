"""Containers of a real Docker engine keep the contract of task runners, and some promises of their own."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sdk import Job, JobExit, JobLost, JobRejected, RunnerUnavailable, StartFailed, TaskRunner
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.testing import NOW, SOON, Finish, Heard, MakeJob, RunnerContract, Waiting, another, finished, until
from orchestrator_plugins.docker.engines import identity, opened
from orchestrator_plugins.docker.runner import Docker
from tests.conftest import missing
from tests.contract.docker_images import BUSYBOX as IMAGE
from tests.contract.docker_images import MadeHere
from tests.contract.docker_images import docker as engine

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module", autouse=True)
def docker_engine() -> None:
    """Passes over these tests where no engine with the test image answers; where CI is set that is a failure."""
    asked = ["docker", "image", "inspect", IMAGE]
    found = shutil.which("docker") is not None and subprocess.run(asked, capture_output=True, check=False, timeout=60).returncode == 0
    if not found:
        missing(f"a Docker engine with the image {IMAGE}")


class TestDocker(MadeHere, RunnerContract):
    @pytest.fixture
    def runner(self) -> TaskRunner:
        return Docker.model_validate({"pullPolicy": "NEVER"})

    @pytest.fixture
    def bounded_runner(self) -> TaskRunner | None:
        return Docker.model_validate({"pullPolicy": "NEVER", "memory": {"memory": "8MB", "memorySwap": "8MB"}})

    def leftovers(self, run: str) -> Sequence[str]:
        kept = engine("ps", "-aq", "--filter", f"label=test.run={run}").split()
        return [*kept, *engine("volume", "ls", "-q", "--filter", f"label=test.run={run}").split()]

    @pytest.fixture
    def using(self, tools: FakeTools) -> Callable[..., tuple[JobExit, Heard]]:
        """Runs a job with given properties."""

        def run(job: Job, **properties: Any) -> tuple[JobExit, Heard]:
            return finished(Docker.model_validate({"pullPolicy": "NEVER", **properties}), job, tools)

        return run

    def test_the_exit_tells_the_container(self, job: MakeJob, finish: Finish) -> None:
        assert len(finish(job("true"))[0].details["containerId"]) == 64

    def test_every_container_is_labelled(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        labels = engine("inspect", "-f", "{{json .Config.Labels}}", made.key)
        runner.remove(handle)
        assert f'"kestra.io/job":"{made.key}"' in labels
        assert '"kestra.io/installation":"contract-' in labels

    def test_a_foreign_container_of_the_same_name_is_never_adopted(self, runner: TaskRunner, tools: FakeTools, job: MakeJob, run_id: str) -> None:
        made = job("echo mine")
        engine("create", "--name", made.key, "--label", f"test.run={run_id}", IMAGE, "true")
        with pytest.raises(JobRejected, match="is not this run's"):
            runner.start(made, runner.prepare(made), tools)
        engine("rm", made.key)

    def test_a_container_that_was_made_and_not_started_is_gone_on_with(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("cat given.txt")
        Path(made.working_dir, "given.txt").write_text("given")
        installation = made.labels["installation"]
        labels = {"kestra.io/job": made.key, "kestra.io/installation": installation, "test.run": made.labels["test.run"]}
        arguments = [part for name, value in labels.items() for part in ("--label", f"{name}={value}")]
        engine("create", "--name", made.key, *arguments, "-w", runner.working_dir(made.key, ""), IMAGE, *made.argv)
        heard = Heard()
        handle = runner.start(made, runner.prepare(made), tools)
        assert runner.wait(handle, heard).code == 0
        runner.remove(handle)
        assert heard.texts == ["given"]

    def test_a_container_that_was_started_and_is_gone_is_never_made_again(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        engine("rm", "-f", made.key)
        with pytest.raises(JobLost, match="removed by someone else"):
            another(runner).start(made, handle, tools)

    def test_an_image_that_is_not_there_is_refused_with_the_remedy(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("true", image="no/such:1.2.3")
        with pytest.raises(JobRejected, match=r"image `no/such:1\.2\.3` not found.*pullPolicy"):
            runner.start(made, runner.prepare(made), tools)

    def test_a_task_without_image_is_refused(self, runner: TaskRunner, job: MakeJob) -> None:
        with pytest.raises(JobRejected, match="set `containerImage`"):
            runner.prepare(job("true", image=None))

    def test_an_engine_that_does_not_answer_is_named_with_the_remedies(self, tools: FakeTools, job: MakeJob) -> None:
        runner = Docker.model_validate({"host": "unix:///no/such.sock"})
        made = job("true")
        with pytest.raises(RunnerUnavailable, match=r"no Docker engine answers at unix:///no/such\.sock: .*socket.*runner\.Process"):
            runner.start(made, runner.prepare(made), tools)

    @pytest.mark.parametrize(("properties", "power"), [({"volumes": ["/etc:/host"]}, "volumes"), ({"networkMode": "host"}, "host-network")])
    def test_powers_over_the_host_are_given_only_where_allowed(
        self, tools: FakeTools, job: MakeJob, using: Callable[..., tuple[JobExit, Heard]], properties: dict[str, Any], power: str
    ) -> None:
        with pytest.raises(JobRejected, match=f"docker.allow: {power}"):
            using(job("true"), **properties)
        tools.powers.add(power)
        assert using(job("true"), **properties)[0].code == 0

    @pytest.mark.parametrize("user", ["1234", "1234:5678", "nobody"])
    def test_an_unprivileged_user_writes_outputs(self, job: MakeJob, using: Callable[..., tuple[JobExit, Heard]], user: str) -> None:
        made = job("cat in/given.txt > out.txt; echo more >> in/given.txt; id -u >> out.txt; echo 1 > od/x", output_files=("out.txt",), output_dir="od")
        folder = Path(made.working_dir)
        (folder / "in").mkdir()
        (folder / "od").mkdir()
        (folder / "in/given.txt").write_text("given\n")
        (folder / "in/given.txt").chmod(0o600)
        assert using(made, user=user)[0].code == 0
        assert (folder / "out.txt").read_text().startswith("given\n")

    def test_properties_reach_the_container(self, job: MakeJob, using: Callable[..., tuple[JobExit, Heard]]) -> None:
        made = job("cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null; cat /etc/hosts; df -k /dev/shm | tail -1; ls /sys/class/net")
        ended, heard = using(
            made, memory={"memory": "64MB"}, cpu={"cpus": 0.5}, shmSize="32m", extraHosts=["myhost:10.1.2.3"], networkMode="none", entryPoint=[""]
        )
        said = "\n".join(heard.texts)
        assert ended.code == 0
        assert str(64 << 20) in said
        assert "10.1.2.3" in said
        assert str(32 << 10) in said
        assert heard.texts[-1] == "lo"

    def test_a_kill_grace_lets_the_command_end_by_itself(self, tools: FakeTools, job: MakeJob) -> None:
        runner = Docker.model_validate({"pullPolicy": "NEVER", "killGracePeriod": "PT20S"})
        made = job("trap 'echo bye; exit 9' TERM; echo up; while true; do sleep 0.1; done")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        runner.stop(handle, timedelta(seconds=20))
        assert waiting.exit().code == 9
        runner.remove(handle)
        assert waiting.heard.texts == ["up", "bye"]

    def test_mount_works_in_the_folder_itself(self, job: MakeJob, using: Callable[..., tuple[JobExit, Heard]]) -> None:
        made = job("cat in.txt > out.txt; pwd", output_files=("out.txt",))
        Path(made.working_dir, "in.txt").write_text("in")
        assert using(made, fileHandlingStrategy="MOUNT")[1].texts == [made.working_dir]
        assert Path(made.working_dir, "out.txt").read_text() == "in"

    def test_mount_says_when_the_engine_does_not_see_the_folder(self, job: MakeJob, using: Callable[..., tuple[JobExit, Heard]]) -> None:
        with pytest.raises(JobRejected, match="needs an engine that sees the worker's files"):
            using(job("true", working_dir="/no/such/folder"), fileHandlingStrategy="MOUNT")

    def test_a_container_to_keep_stays_and_says_so(self, tools: FakeTools, job: MakeJob) -> None:
        runner = Docker.model_validate({"pullPolicy": "NEVER", "delete": False})
        made = job("true")
        handle = runner.start(made, runner.prepare(made), tools)
        runner.wait(handle, Heard())
        another(runner).remove(handle)
        assert engine("inspect", "-f", '{{index .Config.Labels "kestra.io/keep"}}', made.key).strip() == "true"
        assert runner.reap(made.labels["installation"], lambda key: False) == []
        engine("rm", "-f", made.key)

    def test_not_waiting_leaves_it_running(self, tools: FakeTools, job: MakeJob) -> None:
        runner = Docker.model_validate({"pullPolicy": "NEVER", "wait": False})
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        assert runner.wait(handle, Heard()).code == 0
        runner.collect(made, handle)
        runner.remove(handle)
        assert engine("inspect", "-f", "{{.State.Running}}", made.key).strip() == "true"
        engine("rm", "-f", made.key)

    def test_reaping_removes_what_no_live_job_owns_and_nothing_else(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        mine, dead = job("sleep 600"), job("sleep 600")
        handles = [runner.start(made, runner.prepare(made), tools) for made in (mine, dead)]
        fresh = Docker()
        assert fresh.reap("another-installation", lambda key: False) == []
        assert fresh.reap(mine.labels["installation"], lambda key: key == mine.key) == [dead.key]
        assert engine("ps", "-q", "--filter", f"name={mine.key}").strip()
        for handle in handles:
            runner.remove(handle)

    def test_waiting_for_an_end_is_bounded(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        with opened("unix:///var/run/docker.sock") as one:
            assert one.wait(made.key, 0.2) is False
            runner.stop(handle, NOW)
            assert one.wait(made.key, SOON) is True
        runner.remove(handle)

    @pytest.mark.parametrize("properties", [{}, {"user": "1234"}, {"user": "user"}, {"fileHandlingStrategy": "MOUNT"}, {"entryPoint": ["env", "--"]}])
    def test_the_engine_shows_no_secret(self, tools: FakeTools, job: MakeJob, properties: dict[str, Any]) -> None:
        secret = "s3c'ret $(x) \\ ä"
        text = f'echo up; printf \'%s|%s|%s\' "$TOKEN" "$PLAIN" {shlex.quote(secret)}; test ! -e .script-secret; exit 7'
        made = job(text, env={"TOKEN": secret, "PLAIN": "plain"}, secrets=(secret,))
        runner = Docker.model_validate({"pullPolicy": "NEVER", **properties})
        handle, heard = runner.start(made, runner.prepare(made), tools), Heard()
        shown = engine("inspect", made.key)
        code = runner.wait(handle, heard).code
        runner.remove(handle)
        assert (code, heard.lines) == (7, [("up", False), (f"{secret}|plain|{secret}", False)])
        assert "s3c" not in shown + handle.model_dump_json()
        assert "PLAIN=plain" in shown
        assert not Path(made.working_dir, ".script-secret").exists()

    def test_a_command_without_a_shell_keeps_its_secrets_too(self, tools: FakeTools, job: MakeJob) -> None:
        made = job("", env={"TOKEN": "s3cret", "odd.name": "s3cret"}, secrets=("s3cret",)).model_copy(update={"argv": ("env",)})
        runner, heard = Docker.model_validate({"pullPolicy": "NEVER"}), Heard()
        handle = runner.start(made, runner.prepare(made), tools)
        shown = engine("inspect", made.key)
        assert runner.wait(handle, heard).code == 0
        runner.remove(handle)
        assert {"TOKEN=s3cret", "odd.name=s3cret"} <= set(heard.texts)
        assert "s3cret" not in shown

    def test_two_addresses_of_an_engine_are_one_back_end(self, tmp_path: Path) -> None:
        (tmp_path / "link.sock").symlink_to("/var/run/docker.sock")
        other = Docker.model_validate({"host": f"unix://{tmp_path}/link.sock"})
        assert other.backend() == Docker().backend() == f"docker:{identity('unix:///var/run/docker.sock').id}"
        assert "sock" not in other.backend()

    def test_another_engine_at_the_same_address_is_told_apart(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("true")
        handle = runner.prepare(made).model_copy(update={"backend": "docker:OTHER"})
        with pytest.raises(JobLost, match="on another engine: it was started on docker:OTHER"):
            runner.start(made, handle, tools)
        with pytest.raises(JobLost, match="on another engine"):
            runner.wait(handle.model_copy(update={"details": {**handle.details, "id": "0" * 64}}), Heard())

    def test_what_the_engine_cannot_do_now_may_be_tried_again(self, tools: FakeTools, job: MakeJob) -> None:
        properties = {"pullPolicy": "NEVER", "portBindings": ["127.0.0.1:0:80"]}
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            properties["portBindings"] = [f"127.0.0.1:{taken.getsockname()[1]}:80"]
            runner, made = Docker.model_validate(properties), job("true")
            with pytest.raises(StartFailed, match="address already in use") as failed:
                runner.start(made, runner.prepare(made), tools)
        assert failed.value.kind == "CAPACITY"

    def test_devices_that_the_engine_does_not_have_are_refused(self, tools: FakeTools, job: MakeJob) -> None:
        runner, made = Docker.model_validate({"pullPolicy": "NEVER", "deviceRequests": [{"count": -1, "capabilities": [["gpu"]]}]}), job("true")
        with pytest.raises(JobRejected, match="could not select device driver"):
            runner.start(made, runner.prepare(made), tools)

    def test_short_jobs_never_lose_their_last_line(self, tools: FakeTools, job: MakeJob) -> None:
        lost = []
        for _ in range(15):
            runner, made, heard = Docker.model_validate({"pullPolicy": "NEVER"}), job("printf 'a\\nlast'"), Heard()
            handle = runner.start(made, runner.prepare(made), tools)
            runner.wait(handle, heard)
            runner.remove(handle)
            lost.append(heard.texts)
        assert lost == [["a", "last"]] * 15

    def test_a_stop_while_the_log_is_silent_is_quick(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        over = threading.Thread(target=runner.stop, args=(handle, NOW))
        over.start()
        assert waiting.exit().code == 137
        over.join(SOON)
        runner.remove(handle)
        assert until(lambda: not self.leftovers(made.labels["test.run"]))
