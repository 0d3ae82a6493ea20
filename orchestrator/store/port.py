"""What the store promises: one page, two implementations (`database`, `memory`), one contract suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from pydantic import Field

from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow
from orchestrator.model.log import Level, LogLine, Metric
from orchestrator.model.trigger import TriggerState
from orchestrator.model.values import Frozen, Instant, Json

T = TypeVar("T")


class Installation(Frozen):
    """What was drawn once when the store was made: its id, and random keys that only this installation's processes know.

    `secrets` holds `tokens`, 32 random bytes in base64, to sign run-scoped tokens with. It is never shown.
    """

    id: str
    secrets: Mapping[str, str] = Field(default_factory=dict, repr=False)


class SavedFlow(Frozen):
    """One revision of a flow: as checked (`flow`), and as the user wrote it (`source`)."""

    flow: Flow
    source: str
    updated: Instant


class Command(Frozen):
    """An outbox row: something to send, written with the state that causes it, gone once answered.

    `id` is deterministic (`run:<task run>:<lease>`, `stop:<task run>:<lease>`), so writing it twice is one row.
    """

    id: str
    execution_id: str
    kind: str
    target: str
    body: Json = None
    created: Instant


class KeyValue(Frozen):
    """One entry of a namespace's key-value store. `value` is JSON; `expires` None means never."""

    namespace: str
    key: str
    value: Json = None
    description: str | None = None
    created: Instant
    updated: Instant
    expires: Instant | None = None


class StoredFile(Frozen):
    """One file or folder of a namespace (`kind` `namespace`) or of an execution (`kind` `execution`).

    `owner` is the namespace or execution id, `path` begins with `/`; the bytes are elsewhere, under `blob`.
    """

    kind: str
    owner: str
    path: str
    size: int
    blob: str
    created: Instant
    modified: Instant
    directory: bool = False


@dataclass(frozen=True)
class Changes:
    """Everything one turn of the executor saves: all of it or nothing, in one transaction.

    What is gone goes first, then the rows come: a key in `keys` and `keys_gone` is there afterwards.
    Rows are whole: `executions` and `task_runs` are inserted or replaced by id, each id once; a task run's execution
    is stored already or in the same turn. An execution is replaced only when its stored `version` is one less than the
    row's (compare-and-set), else Fenced; a new one may have any version. A log line whose (task run, offset) is
    already stored is dropped silently, so offsets of different dispatches that both count must differ; a command whose
    id is stored is dropped too. A metric whose value is not finite is dropped: JSON has no number for it.
    NUL and half surrogate pairs in text come back as U+FFFD where a database cannot hold them.
    """

    flows: Sequence[SavedFlow] = ()
    executions: Sequence[Execution] = ()
    task_runs: Sequence[TaskRun] = ()
    logs: Sequence[LogLine] = ()
    metrics: Sequence[Metric] = ()
    commands: Sequence[Command] = ()
    answered: Sequence[str] = ()  # ids of commands to forget
    keys: Sequence[KeyValue] = ()
    keys_gone: Sequence[tuple[str, str]] = ()  # (namespace, key)
    files: Sequence[StoredFile] = ()
    files_gone: Sequence[tuple[str, str, str]] = ()  # (kind, owner, path)
    triggers: Sequence[TriggerState] = ()
    triggers_gone: Sequence[tuple[str, str, str]] = ()  # (namespace, flow, trigger)
    executions_gone: Sequence[str] = ()  # with their task runs and commands
    task_runs_gone: Sequence[str] = ()  # ids
    logs_gone: Sequence[LogFilter] = ()
    metrics_gone: Sequence[str] = ()  # execution ids
    settings: Mapping[str, Json] = field(default_factory=dict)  # named documents: namespace defaults, worker groups ...; None removes


@dataclass(frozen=True)
class Page:
    """Which slice of a sorted result: `number` from 1, `size` rows, `sort` pairs of (field, ascending)."""

    number: int = 1
    size: int = 10
    sort: Sequence[tuple[str, bool]] = ()


@dataclass(frozen=True)
class Condition:
    """One filter: a field of the REST contract's list, an operator of it (`EQUALS`, `IN`, `PREFIX` ...), a value.

    With op `ALL` or `ANY` it is a group: `value` is a sequence of Conditions of which all or any must hold, and
    `field` is ignored. Dates are ISO-8601 text with a zone, or aware datetimes; labels are a map of key to value or
    `key:value` text. `NOT_...` operators also hold where there is no value. `level EQUALS` is that very level,
    `minLevel EQUALS` that level or louder. An unknown field, operator or value raises Refused.
    """

    field: str
    op: str
    value: Json


@dataclass(frozen=True)
class LogFilter:
    """Which lines: None and empty mean any. `below`: of the namespace and of those below it; `up_to`: the number of the last."""

    execution_id: str | None = None
    task_id: str | None = None
    task_run_id: str | None = None
    attempt: int | None = None
    min_level: Level | None = None
    namespace: str | None = None
    flow_id: str | None = None
    trigger_id: str | None = None
    below: bool = False
    levels: tuple[Level, ...] = ()
    start: datetime | None = None  # aware
    end: datetime | None = None
    of_executions: bool | None = None  # False: of what is no execution, such as a trigger
    up_to: int | None = None


@dataclass(frozen=True)
class Found(Generic[T]):
    """One page of rows and how many match in all."""

    rows: Sequence[T]
    total: int


class Reader(Protocol):
    """What anyone may ask. Every call sees all that was committed before it. All raise StoreUnavailable."""

    def installation(self) -> Installation:
        """The same from the day the store was made."""

    def flow(self, namespace: str, flow_id: str, revision: int | None = None, *, deleted: bool = False) -> SavedFlow | None:
        """The newest revision, or the one named. A flow whose newest revision is deleted is None unless `deleted`."""

    def revisions(self, namespace: str, flow_id: str) -> Sequence[SavedFlow]:
        """All revisions, oldest first."""

    def flows(self, conditions: Sequence[Condition] = (), page: Page | None = None) -> Found[SavedFlow]:
        """The newest revision of every flow not deleted that meets all conditions (`q namespace flowId labels`). No page: all."""

    def namespaces(self) -> Sequence[str]:
        """Every namespace that has a flow not deleted, sorted."""

    def execution(self, execution_id: str) -> Execution | None:
        """One execution without its task runs."""

    def execution_json(self, execution_id: str) -> str | None:
        """One execution with its task runs in order, as the REST API's JSON text, made of the stored documents by joining."""

    def task_runs(self, execution_id: str) -> Sequence[TaskRun]:
        """All task runs of an execution, by `seq`."""

    def task_run(self, task_run_id: str) -> TaskRun | None: ...

    def unfinished(self) -> Sequence[Execution]:
        """Every execution whose state has not ended, oldest first."""

    def executions(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[Execution]:
        """Those that meet all conditions (`q namespace flowId state labels startDate endDate timeRange triggerExecutionId
        childFilter executionId` ...), newest first unless sorted."""

    def executions_json(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[str]:
        """The same, each as the REST API's JSON text with its task runs."""

    def logs(self, which: LogFilter, *, after: int = 0, limit: int | None = None) -> Sequence[tuple[int, LogLine]]:
        """Lines in the order they were taken, each with its growing number; only those numbered above `after`."""

    def search_logs(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[LogLine]:
        """Lines of any execution or trigger that meet all conditions (`q namespace flowId executionId level minLevel
        triggerId startDate endDate` ...), newest first unless sorted."""

    def metrics(self, execution_id: str, *, task_run_id: str | None = None, task_id: str | None = None, page: Page | None = None) -> Found[Metric]:
        """Those of an execution in the order they were taken. No page: all."""

    def commands(self) -> Sequence[Command]:
        """All unanswered commands, oldest first."""

    def key(self, namespace: str, key: str) -> KeyValue | None:
        """An entry, expired or not."""

    def keys(self, namespace: str | None = None) -> Sequence[KeyValue]:
        """All entries of exactly this namespace (None: of all), expired ones too, sorted by namespace and key."""

    def file(self, kind: str, owner: str, path: str) -> StoredFile | None: ...

    def files(self, kind: str, owner: str, under: str = "/") -> Sequence[StoredFile]:
        """Everything below a folder, at any depth, sorted by path."""

    def triggers(self, namespace: str | None = None, flow_id: str | None = None) -> Sequence[TriggerState]:
        """All of exactly this namespace and flow (None: any), sorted by namespace, flow and id."""

    def search_triggers(self, conditions: Sequence[Condition] = (), page: Page | None = None) -> Found[TriggerState]:
        """Those that meet all conditions (`q namespace flowId triggerId workerId` ...), by namespace, flow and id unless sorted."""

    def setting(self, name: str) -> Json:
        """A named document, or None."""

    def settings(self, prefix: str) -> Mapping[str, Json]:
        """All named documents whose names begin so."""


class StateStore(Reader, Protocol):
    """The executor's side: the only writer."""

    def take_ownership(self, owner: str, now: datetime) -> int:
        """Become the one writer: raise the stored epoch by one, remember it, return it. The earlier owner is fenced from now on."""

    def commit(self, changes: Changes) -> None:
        """Save all of it in one durable transaction. Raises Fenced when another owner has come (or none: ownership is
        taken first) or a version does not match, StoreUnavailable when it cannot be written. Nothing is saved then;
        only a connection lost during the very commit leaves it open, and repeating the same Changes raises Fenced
        if they were saved and held an execution."""

    def close(self) -> None:
        """Give up all connections. Closing twice is harmless."""
