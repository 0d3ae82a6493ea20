"""What running work may ask of the place it runs in. Each protocol is small; a plugin sees nothing behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from orchestrator.model.dispatch import ExitState
from orchestrator.model.execution import PhaseName
from orchestrator.model.job import Job, JobExit
from orchestrator.model.log import Level
from orchestrator.model.values import Frozen, Json
from orchestrator.sdk.runner import JobTools, LogSink, TaskRunner
from orchestrator.sdk.template import Dynamic

if TYPE_CHECKING:
    from orchestrator.sdk.task import AnyTask

T = TypeVar("T")


class RunInfo(Frozen):
    """Which run this is. `attempt` counts from 0; `generation` names what the run makes outside."""

    installation: str
    namespace: str
    flow_id: str
    flow_revision: int
    execution_id: str
    task_id: str
    task_run_id: str
    attempt: int
    generation: int
    group: str = ""
    value: str | None = None  # of the loop's iteration, under a loop


class RunLogger(Protocol):
    """Writes to the execution's log. Secrets are masked on the way out."""

    def log(self, level: Level, message: str) -> None: ...
    def trace(self, message: str) -> None: ...
    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warn(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


class Files(Protocol):
    """Internal storage and namespace files, wherever they are. All raise NotFound, NotAllowed or Unavailable."""

    def put(self, source: Path | BinaryIO, name: str) -> str:
        """Keep a file of this execution; returns its `kestra:///...` URI. Two files of one name do not collide."""

    def fetch(self, uri: str, to: Path) -> None:
        """Copy a file this execution may read to a local path; parents are made."""

    def open(self, uri: str) -> BinaryIO: ...

    def size(self, uri: str) -> int: ...

    def delete(self, uri: str) -> bool:
        """Remove a file of this very execution; whether it was there."""

    def purge(self) -> Sequence[str]:
        """Remove all files of this execution, its file inputs too; their URIs."""

    def fetch_cache(self, name: str, to: Path, ttl: timedelta | None) -> None:
        """Copy what the flow keeps under a name from one execution to the next. Raises NotFound when nothing is kept, or for longer than `ttl`."""

    def put_cache(self, name: str, source: Path) -> None:
        """Keep a file for the flow's next executions, in place of what was kept under the name."""

    def namespace_files(self, namespace: str) -> Sequence[str]:
        """Paths of all files of a namespace, with a leading `/`."""

    def fetch_namespace_file(self, namespace: str, path: str, to: Path) -> None: ...

    def put_namespace_file(self, namespace: str, path: str, source: Path) -> None:
        """Make a local file's bytes the content of a path, which begins with `/`; what it held before is gone."""

    def delete_namespace_file(self, namespace: str, path: str) -> bool:
        """Remove a file, or a folder with all below it, and the folders above that are empty then; whether it was there."""


class Keys(Protocol):
    """The key-value store of a namespace."""

    def get(self, namespace: str, key: str) -> Json:
        """The value. Raises NotFound when there is none or it has expired."""

    def put(self, namespace: str, key: str, value: Json, ttl: timedelta | None = None, *, description: str | None = None, overwrite: bool = True) -> None:
        """Keep a value. Raises NotFound for an unknown namespace, and Conflict when the key lives and is not to be overwritten."""

    def delete(self, namespace: str, key: str) -> bool: ...

    def names(self, namespace: str) -> Sequence[str]: ...


class Records(Protocol):
    """What the installation remembers of executions. All raise NotFound, NotAllowed or Unavailable."""

    def logs(self, execution_id: str, *, min_level: Level, task_ids: Sequence[str] = ()) -> Iterator[Mapping[str, Json]]:
        """The log lines of an execution (of some of its tasks, if named) as the API shows them, oldest first, one by one."""

    def outputs_of_called(self, task_id: str) -> Iterator[Mapping[str, Json]]:
        """The outputs of the executions that a task beside this one (same leader, same iteration) has started, in their order;
        those without outputs are left out."""

    def count(self, namespace: str, flow_id: str | None = None, *, states: Sequence[str] = (), start: str | None = None, end: str | None = None) -> int:
        """How many executions a flow has (without `flow_id`: all flows of the namespace and of those below it).

        `start` and `end` bound when they began, as ISO-8601 text."""

    def resume(self, execution_id: str, inputs: Mapping[str, Json]) -> None:
        """Let a paused execution go on. Raises Conflict when it is not paused, InputInvalid for values it does not ask for so."""

    def purge_executions(self, which: Mapping[str, Json], what: Mapping[str, bool]) -> Mapping[str, int]:
        """Delete ended executions, and how much of each kind went.

        `which` names `namespace` (a prefix without `flowId`), `flowId`, `states`, `startDate`, `endDate`; `what` says of
        `execution`, `logs`, `metrics`, `storage` whether it goes."""

    def purge_logs(self, which: Mapping[str, Json]) -> Mapping[str, int]:
        """Delete log lines: how many of executions (`executions`) and how many others (`others`).

        `which` names `namespace` (a prefix without `flowId`), `flowId`, `executionId`, `logLevels`, `startDate`, `endDate`,
        and whether lines of executions and others are meant (`purgeExecutionLogs`, `purgeNonExecutionLogs`)."""


class Triggers(Protocol):
    """The triggers of flows."""

    def switch(self, namespace: str, flow_id: str, trigger_id: str, *, enabled: bool) -> None:
        """Enable one, or disable it. Raises NotFound when there is none of that name."""


class RunContext(Protocol):
    """Everything a task's `run` may use."""

    info: RunInfo
    logger: RunLogger
    files: Files
    keys: Keys
    records: Records
    triggers: Triggers
    variables: Mapping[str, Any]

    def render(self, value: Dynamic[T] | None) -> T:
        """A property's value: templates rendered and read as the property's type; lists and maps are gone through.
        None stays None. Raises ExpressionFailed."""

    def render_typed(self, template: str) -> Json:
        """As `render`, but a lone `{{ x }}` keeps the type of x."""

    def with_variables(self, extra: Mapping[str, Any]) -> RunContext:
        """The same context with more names for templates."""

    def working_dir(self) -> Path:
        """The run's own folder, made on first use, the same after a re-dispatch on this machine, removed at its end."""

    def cache_dir(self) -> Path:
        """A folder of this worker that outlives its runs, shared by all of them: for what can be made again. What is put
        there is made beside and then renamed, for another run may be reading, or making the same."""

    def holds_secret(self, text: str) -> bool:
        """Whether a secret that this run has come to know stands in a text: it may be in no command line and no name then."""

    def metric(self, kind: str, name: str, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Report a `counter`, `timer` (seconds) or `gauge`."""

    def phase(self, name: PhaseName, detail: str | None = None) -> None: ...

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Put labels on the execution, once this run has ended well."""

    def set_variables(self, values: Mapping[str, Json], *, overwrite: bool = True) -> None:
        """Put variables on the execution, for what runs after this; a map is merged into the one that is there.

        Done once this run has ended well; without `overwrite` the run fails then when one of them is there already."""

    def unset_variables(self, names: Sequence[str], *, ignore_missing: bool = False) -> None:
        """Take variables off the execution, once this run has ended well; without `ignore_missing` it fails then when one is not there."""

    def end_execution(self, state: ExitState) -> None:
        """Have the execution end in SUCCESS, WARNING, FAILED, CANCELLED or KILLED once this run has ended well: nothing new
        begins but `finally`, and what runs beside may end; KILLED stops it."""

    def cancelled(self) -> bool:
        """Whether the run has been told to stop; a long loop looks here."""

    def on_stop(self, action: Callable[[], None]) -> None:
        """Have `action` called, at most once and on another thread, when the run must stop; at once if it already must."""

    def seal(self, text: str) -> Json:
        """The text encrypted, as it may be kept in outputs. Raises BadSettings when no key is configured."""

    def runner(self, spec: Mapping[str, Json] | None) -> TaskRunner:
        """The task runner that a `taskRunner:` property names; None gives the one chosen for this run by the server's rule."""

    def task(self, source: str) -> AnyTask:
        """The task that YAML text describes; its id is this run's task's. Raises TaskFailed when it is none that is installed here."""

    def tools(self) -> JobTools: ...

    def adopts(self) -> bool:
        """Whether this run goes on with a job that was named before: what it is to find may be laid out, and in its hands, already."""

    def run_job(self, runner: TaskRunner, job: Job, said: LogSink) -> JobExit:
        """Run a job to its end: named and saved, started or adopted, watched, its output files brought into the working
        directory, removed. Raises JobRejected, RunnerUnavailable, JobLost, TimedOut."""
