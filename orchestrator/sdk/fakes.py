"""A place to run one task in tests: everything it says is kept in plain lists."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from orchestrator.errors import BadSettings, Conflict, ExpressionFailed, NotFound
from orchestrator.model.dispatch import ExitState
from orchestrator.model.execution import PhaseName
from orchestrator.model.job import Job, JobExit
from orchestrator.model.log import Level
from orchestrator.model.values import Json
from orchestrator.sdk.context import Files, Keys, Records, RunContext, RunInfo, RunLogger, Triggers
from orchestrator.sdk.runner import JobTools, LogSink, Processes, RunningProcess, TaskRunner
from orchestrator.sdk.task import AnyTask
from orchestrator.sdk.template import Template, is_template
from orchestrator.sdk.values import text_of

_PLACE = re.compile(r"\{\{\s*([\w.\-]+)\s*\}\}")
INFO = RunInfo(
    installation="test", namespace="acme", flow_id="flow", flow_revision=1, execution_id="e1", task_id="task", task_run_id="r1", attempt=0, generation=0
)


class FakeLogger(RunLogger):
    """Keeps `(level, message)` pairs."""

    def __init__(self) -> None:
        self.lines: list[tuple[Level, str]] = []

    def log(self, level: Level, message: str) -> None:
        self.lines.append((level, message))

    def trace(self, message: str) -> None:
        self.log(Level.TRACE, message)

    def debug(self, message: str) -> None:
        self.log(Level.DEBUG, message)

    def info(self, message: str) -> None:
        self.log(Level.INFO, message)

    def warn(self, message: str) -> None:
        self.log(Level.WARN, message)

    def error(self, message: str) -> None:
        self.log(Level.ERROR, message)


class FakeFiles(Files):
    """Internal storage in a folder; `namespaces` maps a namespace to its files' texts by path."""

    def __init__(self, folder: Path, namespaces: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._folder = folder
        self.namespaces = {namespace: dict(files) for namespace, files in (namespaces or {}).items()}
        self._count = 0
        self.cached: dict[str, bytes] = {}

    def fetch_cache(self, name: str, to: Path, ttl: timedelta | None) -> None:
        if name not in self.cached:
            raise NotFound(f"nothing is kept as {name}")
        to.write_bytes(self.cached[name])

    def put_cache(self, name: str, source: Path) -> None:
        self.cached[name] = source.read_bytes()

    def _path(self, uri: str) -> Path:
        path = self._folder / uri.removeprefix("kestra:///")
        if not path.is_file():
            raise NotFound(f"no file {uri}")
        return path

    def put(self, source: Path | BinaryIO, name: str) -> str:
        self._count += 1
        path = self._folder / str(self._count) / name
        path.parent.mkdir(parents=True)
        path.write_bytes(source.read_bytes() if isinstance(source, Path) else source.read())
        return f"kestra:///{self._count}/{name}"

    def fetch(self, uri: str, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._path(uri), to)

    def open(self, uri: str) -> BinaryIO:
        return self._path(uri).open("rb")

    def size(self, uri: str) -> int:
        return self._path(uri).stat().st_size

    def namespace_files(self, namespace: str) -> Sequence[str]:
        return tuple(self.namespaces.get(namespace, {}))

    def fetch_namespace_file(self, namespace: str, path: str, to: Path) -> None:
        if path not in self.namespaces.get(namespace, {}):
            raise NotFound(f"no file {path} in {namespace}")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(self.namespaces[namespace][path])

    def delete(self, uri: str) -> bool:
        there = (path := self._folder / uri.removeprefix("kestra:///")).is_file()
        path.unlink(missing_ok=True)
        return there

    def purge(self) -> Sequence[str]:
        found = sorted(path for path in self._folder.rglob("*") if path.is_file())
        for path in found:
            path.unlink()
        return [f"kestra:///{path.relative_to(self._folder)}" for path in found]

    def put_namespace_file(self, namespace: str, path: str, source: Path) -> None:
        self.namespaces.setdefault(namespace, {})[path] = source.read_text()

    def delete_namespace_file(self, namespace: str, path: str) -> bool:
        files = self.namespaces.get(namespace, {})
        gone = [one for one in files if one == path or one.startswith(path.rstrip("/") + "/")]
        for one in gone:
            del files[one]
        return bool(gone)

    def text(self, uri: str) -> str:
        """What a stored file holds."""
        return self._path(uri).read_text()


class FakeKeys(Keys):
    """A key-value store in a dict; `about` holds the time to live and the description of each value put."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Json] = {}
        self.about: dict[tuple[str, str], tuple[timedelta | None, str | None]] = {}

    def get(self, namespace: str, key: str) -> Json:
        if (namespace, key) not in self.values:
            raise NotFound(f"no key {key} in {namespace}")
        return self.values[namespace, key]

    def put(self, namespace: str, key: str, value: Json, ttl: timedelta | None = None, *, description: str | None = None, overwrite: bool = True) -> None:
        if not overwrite and (namespace, key) in self.values:
            raise Conflict(f"there is a key {key} in {namespace}")
        self.values[namespace, key] = value
        self.about[namespace, key] = (ttl, description)

    def delete(self, namespace: str, key: str) -> bool:
        return self.values.pop((namespace, key), self) is not self

    def names(self, namespace: str) -> Sequence[str]:
        return sorted(key for space, key in self.values if space == namespace)


class FakeRecords(Records):
    """What the test puts in: `lines` by execution, `executions` of namespace, flow and state, outputs `called` by task."""

    def __init__(self) -> None:
        self.called: dict[str, list[Mapping[str, Json]]] = {}
        self.lines: dict[str, list[dict[str, Json]]] = {}
        self.executions: list[tuple[str, str, str]] = []
        self.resumed: dict[str, Mapping[str, Json]] = {}  # the values each was resumed with
        self.purged: list[Mapping[str, Json]] = []  # what was asked to go

    def logs(self, execution_id: str, *, min_level: Level, task_ids: Sequence[str] = ()) -> Iterator[Mapping[str, Json]]:
        loud = list(Level)[list(Level).index(min_level) :]
        return (line for line in self.lines[execution_id] if line["level"] in loud and (not task_ids or line["taskId"] in task_ids))

    def outputs_of_called(self, task_id: str) -> Iterator[Mapping[str, Json]]:
        return iter(self.called.get(task_id, ()))

    def count(self, namespace: str, flow_id: str | None = None, *, states: Sequence[str] = (), start: str | None = None, end: str | None = None) -> int:
        return sum(space == namespace and flow_id in (None, flow) and (not states or state in states) for space, flow, state in self.executions)

    def resume(self, execution_id: str, inputs: Mapping[str, Json]) -> None:
        self.resumed[execution_id] = dict(inputs)

    def purge_executions(self, which: Mapping[str, Json], what: Mapping[str, bool]) -> Mapping[str, int]:
        self.purged.append({**which, "what": dict(what)})
        return {"executions": 1, "logs": 2, "metrics": 3, "storages": 4}

    def purge_logs(self, which: Mapping[str, Json]) -> Mapping[str, int]:
        self.purged.append(which)
        return {"executions": 2, "others": 1}


class LocalProcess(RunningProcess):
    """A child process in a session of its own."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self.pid = child.pid
        self.stdout = cast(BinaryIO, cast(IO[bytes], child.stdout))
        self.stderr = cast(BinaryIO, cast(IO[bytes], child.stderr))

    def wait(self, timeout: float | None = None) -> int:
        try:
            code = self._child.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise TimeoutError(str(err)) from err
        return code if code >= 0 else 128 - code

    def stop(self, grace: timedelta) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with suppress(TimeoutError):
                self.wait(max(grace.total_seconds(), 0.01))


class LocalProcesses(Processes):
    """Starts commands as children of this process; ends them all in `close`."""

    def __init__(self) -> None:
        self._started: list[LocalProcess] = []

    def start(self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], key: str) -> RunningProcess:
        child = subprocess.Popen(list(argv), cwd=cwd, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)  # noqa: S603
        self._started.append(LocalProcess(child))
        return self._started[-1]

    def close(self) -> None:
        for process in self._started:
            process.stop(timedelta())


class FakeTools(JobTools):
    """Tools of a runner that keep the phases told; `stop()` makes them say cancelled."""

    def __init__(self, processes: Processes | None = None) -> None:
        self.processes = processes or LocalProcesses()
        self.phases: list[tuple[PhaseName, str | None]] = []
        self.stopped = False
        self.powers: set[str] = set()

    def environment(self) -> Mapping[str, str]:
        return {"PATH": os.defpath, "HOME": "/", "LANG": "C.UTF-8"}

    def allows(self, power: str) -> bool:
        return power in self.powers

    def cancelled(self) -> bool:
        return self.stopped

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        self.phases.append((name, detail))


class FakeTriggers(Triggers):
    """Triggers by name, and whether each is enabled."""

    def __init__(self) -> None:
        self.enabled: dict[tuple[str, str, str], bool] = {}

    def switch(self, namespace: str, flow_id: str, trigger_id: str, *, enabled: bool) -> None:
        if (namespace, flow_id, trigger_id) not in self.enabled:
            raise NotFound(f"there is no trigger {trigger_id}")
        self.enabled[namespace, flow_id, trigger_id] = enabled


class FakeContext(RunContext):
    """Runs a task without a server. Templates may be `{{ dotted.names }}` of `variables`, nothing more."""

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, Any] | None = None,
        *,
        runner: TaskRunner | None = None,
        namespaces: Mapping[str, Mapping[str, str]] | None = None,
        processes: Processes | None = None,
    ) -> None:
        self._folder, self._runner, self._actions, self._stopped = folder, runner, list[Callable[[], None]](), False
        self.info = INFO
        self.logger: FakeLogger = FakeLogger()
        self.files: FakeFiles = FakeFiles(folder / "storage", namespaces)
        self.keys: FakeKeys = FakeKeys()
        self.records: FakeRecords = FakeRecords()
        self.triggers: FakeTriggers = FakeTriggers()
        self.tasks: dict[str, AnyTask] = {}
        self.variables = dict(variables or {})
        self.job_tools = FakeTools(processes)
        self.metrics: list[tuple[str, str, float, Mapping[str, str]]] = []
        self.labels: dict[str, str] = {}
        self.changes: list[tuple[Any, ...]] = []  # asked of the execution's variables and of its end
        self.secrets: set[str] = set()
        self.adopting = False
        self.asked_runner: Mapping[str, Json] | None = None
        self.jobs: list[Job] = []

    def render(self, value: Any) -> Any:
        if isinstance(value, Template):
            return value.parse(self._text(value.source))
        if isinstance(value, Mapping):
            return {self.render(key): self.render(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.render(one) for one in value)
        return self._text(value) if is_template(value) else value

    def _text(self, source: str) -> str:
        return _PLACE.sub(lambda found: text_of(self._look_up(found[1])), source)

    def _look_up(self, name: str) -> Json:
        value: Json = self.variables
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise ExpressionFailed(f"`{name}` is undefined")
            value = value[part]
        return value

    def render_typed(self, template: str) -> Json:
        alone = _PLACE.fullmatch(template.strip())
        return self._look_up(alone[1]) if alone else self._text(template)

    def with_variables(self, extra: Mapping[str, Any]) -> RunContext:
        other = object.__new__(FakeContext)
        other.__dict__.update(self.__dict__, variables={**self.variables, **extra})
        return other

    def working_dir(self) -> Path:
        (self._folder / "work").mkdir(parents=True, exist_ok=True)
        return self._folder / "work"

    def cache_dir(self) -> Path:
        (self._folder / "cache").mkdir(parents=True, exist_ok=True)
        return self._folder / "cache"

    def holds_secret(self, text: str) -> bool:
        return any(secret in text for secret in self.secrets)

    def metric(self, kind: str, name: str, value: float, tags: Mapping[str, str] | None = None) -> None:
        self.metrics.append((kind, name, value, dict(tags or {})))

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        self.job_tools.phase(name, detail)

    def set_labels(self, labels: Mapping[str, str]) -> None:
        self.labels.update(labels)

    def set_variables(self, values: Mapping[str, Json], *, overwrite: bool = True) -> None:
        self.changes.append(("put", dict(values), overwrite))

    def unset_variables(self, names: Sequence[str], *, ignore_missing: bool = False) -> None:
        self.changes.append(("drop", tuple(names), ignore_missing))

    def end_execution(self, state: ExitState) -> None:
        self.changes.append(("end", state))

    def cancelled(self) -> bool:
        return self._stopped

    def on_stop(self, action: Callable[[], None]) -> None:
        if self._stopped:
            action()
        else:
            self._actions.append(action)

    def stop(self) -> None:
        """Tell the run to stop."""
        self._stopped = self.job_tools.stopped = True
        while self._actions:
            self._actions.pop()()

    def seal(self, text: str) -> Json:
        raise BadSettings("no encryption key is configured")

    def runner(self, spec: Mapping[str, Json] | None) -> TaskRunner:
        self.asked_runner = spec
        if self._runner is None:
            raise BadSettings("this test context was given no runner")
        return type(self._runner).model_validate(self._runner.model_dump(exclude_unset=True))  # an instance serves one job

    def task(self, source: str) -> AnyTask:
        return self.tasks[source]

    def tools(self) -> JobTools:
        return self.job_tools

    def adopts(self) -> bool:
        return self.adopting

    def run_job(self, runner: TaskRunner, job: Job, said: LogSink) -> JobExit:
        self.jobs.append(job)
        handle = runner.start(job, runner.prepare(job), self.job_tools)
        self.on_stop(lambda: runner.stop(handle, timedelta()))
        try:
            ended = runner.wait(handle, said)
            runner.collect(job, handle)
            return ended
        finally:
            runner.remove(handle)
