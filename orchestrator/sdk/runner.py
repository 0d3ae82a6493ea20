"""What a task runner promises. Process, Docker and the clouds keep it; so can anyone's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import BinaryIO, ClassVar, Protocol

from orchestrator.model.execution import PhaseName
from orchestrator.model.job import Found, Job, JobExit, JobHandle
from orchestrator.model.values import Json
from orchestrator.sdk.plugin import PluginModel


class RunningProcess(Protocol):
    """A command started by the node's spawner: in a session of its own, killed with the worker, waited for by pid."""

    pid: int
    stdout: BinaryIO
    stderr: BinaryIO

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, 128+n for signal n. Raises TimeoutError."""

    def stop(self, grace: timedelta) -> None:
        """SIGTERM to every descendant, SIGKILL to what is left after `grace`; returns when all are gone. Repeatable."""


class Processes(Protocol):
    """Starts commands on this node."""

    def start(self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], key: str) -> RunningProcess:
        """Start a command with exactly this environment; `key` marks it and all its descendants.
        Raises FileNotFoundError or PermissionError as exec does."""


class LogSink(Protocol):
    """Takes a job's output, line by line and in order."""

    def line(self, text: str, *, stderr: bool, offset: int, at: datetime | None = None) -> None:
        """One line without its newline. `offset` counts the job's lines from 0, the same at every reading of its log."""


class JobTools(Protocol):
    """What a runner may use of the place it is called in."""

    processes: Processes

    def cancelled(self) -> bool:
        """Whether the job must not be started any more, or must stop."""

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        """Tell the stage reached: provisioning, image, running."""

    def environment(self) -> Mapping[str, str]:
        """The node's own variables that a command may see (PATH, HOME, LANG, TZ, TMPDIR ...); nothing of the worker's."""
        return {}

    def allows(self, power: str) -> bool:
        """Whether the server's `docker.allow` names a power over the host: privileged, host-network, host-pid, devices, volumes."""
        return False


class TaskRunner(PluginModel, ABC):
    """Runs one job somewhere of its own, and can find it again from any process.

    Every method may be called twice. All raise RunnerUnavailable when the place does not answer. String properties
    arrive rendered. An instance serves one job; `stop` may come from another thread at any time.
    """

    ephemeral: ClassVar[bool] = True  # rents its place: runs under a supervisor and takes no worker slot
    reattaches: ClassVar[bool] = True  # a saved handle is enough to go on after the watching process died
    remote_files: ClassVar[bool] = False  # the command sees the working directory under another path
    tells_running: ClassVar[bool] = False  # says itself when the command begins, by the phase RUNNING; else it has begun once `start` returns
    backend_fields: ClassVar[tuple[str, ...]] = ()  # properties, as users write them, that name a place which belongs to no machine; () where it does

    type: str

    def backend(self) -> str:
        """Names the place whose one supervisor serves this job: an engine's address, an account and region."""
        return "local"

    def price_key(self, job: Job) -> Mapping[str, Json] | None:
        """What the price book finds a job's price by: `service`, `region`, `spot`, and `machine` or `vcpu` and `memory_mib`.

        None: nobody knows what it costs."""
        return None

    def start_bound(self) -> timedelta | None:
        """How long the place may take until the command begins; past it the start has failed. None: as long as it takes."""
        bound = getattr(self, "wait_until_running", None)
        return bound if isinstance(bound, timedelta) else None

    def climbs(self, attempt: int) -> bool:
        """Whether a start after this many failed ones would, failing too, be followed by one of another kind."""
        attempts = getattr(getattr(self, "spot", None), "attempts", 0)
        return isinstance(attempts, int) and attempt < attempts

    def working_dir(self, job_key: str, local: str) -> str:
        """The working directory as the command sees it."""
        return local

    def takes_files(self) -> bool:
        """Whether files travel to the command and back; what must be a file is refused where they do not.

        As it stands: a runner that has a property `bucket` takes none unless it is set."""
        return "bucket" not in type(self).model_fields or bool(getattr(self, "bucket", None))

    def bucket_path(self, job_key: str, installation: str) -> str | None:
        """The job's own prefix in a bucket (`s3://bucket/<installation>/<key>`); None where its files travel without one."""
        return None

    @abstractmethod
    def prepare(self, job: Job) -> JobHandle:
        """Name what will be made, without making it. The handle is saved before `start`: a crash in between leaves nothing unknown."""

    @abstractmethod
    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        """Make it and let it run, or adopt what `handle` already names; returns the handle with what is known now.

        Gives up early (pull, upload) once `tools.cancelled()`. Raises JobRejected when trying again cannot help, and
        StartFailed when it may."""

    @abstractmethod
    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        """Block until the job has ended, passing each log line with its offset (repeats are dropped later).

        Raises JobLost, and StartFailed when the command was never begun."""

    @abstractmethod
    def collect(self, job: Job, handle: JobHandle) -> None:
        """Bring declared output files back into `job.working_dir`; nothing from outside it, no link followed out of it."""

    @abstractmethod
    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        """Ask, wait at most `grace`, then force. A job already gone is success."""

    @abstractmethod
    def remove(self, handle: JobHandle) -> None:
        """Free everything `start` made: container, volume, job definition, uploaded files."""


class Reaper(Protocol):
    """The further power of a runner whose leftovers can be found by label."""

    def ls(self, installation: str) -> Sequence[Found]:
        """Everything labelled for `installation`, what is to be kept included."""

    def reap(self, installation: str, live: Callable[[str], bool]) -> Sequence[str]:
        """Remove of `ls` what belongs to no live job key and is not to be kept; returns the keys of what was removed."""
