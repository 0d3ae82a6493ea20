"""The data plane: the containers of one job, on a real Docker engine, as ECS runs a task."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import Mount

from orchestrator_plugins.aws.emulator.faults import Faults
from orchestrator_plugins.aws.emulator.job import EmulatedJob, now_ms
from orchestrator_plugins.aws.emulator.log_stream import LogStream, Put

LOOK = 0.02  # seconds
RECLAIMED = "Host EC2 (instance i-0123456789abcdef0) terminated."
TIMED_OUT = "Job attempt duration exceeded timeout"


@dataclass(frozen=True)
class Surroundings:
    """What a task finds around it. `images` are stand-ins: an image of another name for one that the engine lacks."""

    emulator: str  # its id: a label of everything made
    endpoint: str
    region: str
    faults: Faults
    images: Mapping[str, str]
    pull: bool
    stop_grace: int  # seconds between SIGTERM and SIGKILL; 30 on ECS
    stream: Callable[[str, str], Put]  # (group, stream) -> where its events are put
    awaited: Callable[[str], bool | None]  # whether a job waited for has succeeded; None: not ended


class Task(threading.Thread):
    """Runs one job through all its states."""

    def __init__(self, job: EmulatedJob, around: Surroundings) -> None:
        super().__init__(name=f"batch-{job.id}", daemon=True)
        self._job, self._around, self._id = job, around, secrets.token_hex(16)
        self._containers: dict[str, Any] = {}
        self._done = {name: threading.Event() for name in job.containers}
        self._failed_to_start = ""
        self._down = threading.Event()  # nothing is to be started any more

    def run(self) -> None:
        try:
            if self._provisioned():
                self._ran()
        except Exception as err:  # an engine that fails is a host that fails
            self._job.end(succeeded=False, reason=f"Host failure: {err}"[:300])
        finally:
            if not self._job.ended:
                self._job.end(succeeded=False, reason=self._job.reason)

    # --- before it runs

    def _provisioned(self) -> bool:
        job = self._job
        for state in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING"):
            job.status = state
            if state == "PENDING" and not self._awaited():
                job.end(succeeded=False, reason="Dependent Job failed")
                return False
            self._around.faults.pass_through(state, self._tell, job.stopping.is_set)
            if job.stopping.is_set():
                return False
        job.reason = ""
        return True

    def _tell(self, reason: str) -> None:
        if not self._job.stopping.is_set():
            self._job.reason = reason

    def _awaited(self) -> bool:
        for one in self._job.depends_on:
            while (succeeded := self._around.awaited(str(one["jobId"]))) is None and not self._job.stopping.is_set():
                time.sleep(LOOK)
            if succeeded is False:
                return False
        return True

    # --- while it runs

    def _ran(self) -> None:
        job, engine = self._job, docker.from_env()
        try:
            self._make_volumes(engine)
            job.started, job.status = now_ms(), "RUNNING"
            threads = [threading.Thread(target=self._one, args=(engine, spec), daemon=True) for spec in job.spec["containers"]]
            for thread in threads:
                thread.start()
            self._watch(threads)
        finally:
            self._clear(engine)
            engine.close()
        self._end()

    def _watch(self, threads: list[threading.Thread]) -> None:
        job, begun = self._job, time.monotonic()
        while any(thread.is_alive() for thread in threads):
            if job.bound is not None and time.monotonic() - begun > job.bound:
                job.stop(TIMED_OUT, terminated=False)
            if (job.stopping.is_set() or self._failed_to_start or self._essential_ended()) and not self._down.is_set():
                self._down.set()
                for name, container in list(self._containers.items()):
                    if not self._done[name].is_set():
                        threading.Thread(target=self._take_down, args=(container,), daemon=True).start()
            time.sleep(LOOK)

    def _essential_ended(self) -> bool:
        return any(self._done[str(spec["name"])].is_set() for spec in self._job.spec["containers"] if spec.get("essential", True))

    def _take_down(self, container: Any) -> None:
        with suppress(APIError, NotFound):
            container.kill() if self._job.reclaimed else container.stop(timeout=self._around.stop_grace)

    def _end(self) -> None:
        job = self._job
        bad = [name for name, one in ((str(s["name"]), s) for s in job.spec["containers"]) if one.get("essential", True) and self._code(name) != 0]
        if job.reclaimed:
            for shown in job.containers.values():
                shown.pop("exitCode", None)
        reason = self._failed_to_start or ("Essential container in task exited" if bad else "")
        job.end(succeeded=not bad and not job.stopping.is_set() and not self._failed_to_start, reason=reason)

    def _code(self, name: str) -> int | None:
        return self._job.containers[name].get("exitCode")

    # --- one container

    def _one(self, engine: Any, spec: Mapping[str, Any]) -> None:
        name = str(spec["name"])
        shown = self._job.containers[name]
        try:
            unmet = self._await_dependencies(spec)
            if unmet:
                shown["reason"] = unmet
            elif not self._down.is_set():
                self._run_container(engine, spec, shown)
        except ImageNotFound as err:
            shown["reason"] = f"CannotPullContainerError: pull image manifest has been retried 1 time(s): {err.explanation}"
            self._failed_to_start = "Task failed to start"
        except (DockerException, OSError) as err:
            shown["reason"] = f"CannotStartContainerError: {err}"[:500]
            self._failed_to_start = "Task failed to start"
        finally:
            self._done[name].set()

    def _await_dependencies(self, spec: Mapping[str, Any]) -> str:
        """Why the container can never start; empty when it may."""
        for one in spec.get("dependsOn", ()):
            name, condition = str(one["containerName"]), str(one["condition"])
            while not self._done[name].wait(LOOK) and not (condition == "START" and name in self._containers):
                if self._down.is_set():
                    return "the task was stopped"
            if condition != "START" and (self._code(name) is None or (condition == "SUCCESS" and self._code(name) != 0)):
                return f"dependency {name} did not end as {condition}"
        return ""

    def _run_container(self, engine: Any, spec: Mapping[str, Any], shown: dict[str, Any]) -> None:
        options = spec.get("logConfiguration", {}).get("options", {})
        stream = f"{options.get('awslogs-stream-prefix', self._job.definition['jobDefinitionName'])}/{spec['name']}/{self._id}"
        container = self._created(engine, spec)
        said = engine.api.attach(container.id, stdout=True, stderr=True, stream=True, logs=True)
        follower = LogStream(self._around.stream(str(options.get("awslogs-group", "/aws/batch/job")), stream), self._around.faults)
        following = threading.Thread(target=follower.follow, args=(said,), daemon=True)
        following.start()
        self._containers[str(spec["name"])] = container
        if self._down.is_set():
            return
        container.start()
        shown["logStreamName"] = stream
        if self._down.is_set():
            self._take_down(container)
        shown["exitCode"] = container.wait()["StatusCode"]
        container.reload()
        if container.attrs["State"].get("OOMKilled"):
            shown["reason"] = "OutOfMemoryError: Container killed due to memory usage"
        if not self._around.faults.logs_late:
            following.join(30)

    def _created(self, engine: Any, spec: Mapping[str, Any]) -> Any:
        image = self._around.images.get(str(spec["image"]), str(spec["image"]))
        if self._around.pull:
            with suppress(APIError):
                engine.images.pull(image) if not engine.images.list(name=image) else None
        memory = next((int(float(one["value"])) for one in spec.get("resourceRequirements", ()) if one["type"] == "MEMORY"), None)
        return engine.containers.create(
            image,
            list(spec["command"]) if spec.get("command") else None,
            name=f"{self._job.name[:40]}-{self._job.id[:8]}-{spec['name']}",
            environment=self._environment(spec),
            labels=self._labels(),
            user=spec.get("user") or None,
            mem_limit=f"{memory}m" if memory else None,
            memswap_limit=f"{memory}m" if memory else None,
            mounts=[Mount(one["containerPath"], self._volume(str(one["sourceVolume"])), type="volume") for one in spec.get("mountPoints", ())],
        )

    def _environment(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """What the definition says, what Batch sets, and for containers with a role what stands for its credentials."""
        given = {str(one["name"]): str(one["value"]) for one in spec.get("environment", ())}
        role = {"AWS_ENDPOINT_URL": self._around.endpoint, "AWS_ACCESS_KEY_ID": "task-role", "AWS_SECRET_ACCESS_KEY": "task-role"}
        role["AWS_DEFAULT_REGION"] = self._around.region
        return {**given, "AWS_BATCH_JOB_ID": self._job.id, "AWS_BATCH_JOB_ATTEMPT": "1", **(role if self._job.spec.get("taskRoleArn") else {})}

    def _labels(self) -> dict[str, str]:
        return {**self._job.tags, "aws-emulator": self._around.emulator, "aws-batch-job": self._job.id}

    def _volume(self, name: str) -> str:
        return f"batch-{self._job.id}-{name}"

    def _make_volumes(self, engine: Any) -> None:
        for name in sorted({str(one["sourceVolume"]) for spec in self._job.spec["containers"] for one in spec.get("mountPoints", ())}):
            engine.volumes.create(self._volume(name), labels=self._labels())

    def _clear(self, engine: Any) -> None:
        for container in self._containers.values():
            with suppress(APIError):
                container.remove(force=True, v=True)
        for volume in engine.volumes.list(filters={"label": f"aws-batch-job={self._job.id}"}):
            with suppress(APIError):
                volume.remove(force=True)
