"""What a flow is: its tasks, inputs, outputs, triggers, as written and checked, nothing rendered."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, field_validator, model_serializer, model_validator

from orchestrator.model.log import Level
from orchestrator.model.resources import Resources
from orchestrator.model.values import Duration, Frozen, Json, Label, labels_of
from orchestrator.model.worker_group import MOST_TAGS


class RetryKind(StrEnum):
    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    RANDOM = "random"


class RetryBehavior(StrEnum):
    RETRY_FAILED_TASK = "RETRY_FAILED_TASK"
    CREATE_NEW_EXECUTION = "CREATE_NEW_EXECUTION"


class Retry(Frozen):
    """When and how often failed work is tried again. `max_attempts` counts the first try too; 0 or None: no limit."""

    type: RetryKind
    interval: Duration | None = None
    max_interval: Duration | None = Field(None, alias="maxInterval")
    min_interval: Duration | None = Field(None, alias="minInterval")
    delay_factor: float = Field(2.0, alias="delayFactor")
    max_attempts: int | None = Field(None, alias="maxAttempts", validation_alias=AliasChoices("maxAttempts", "maxAttempt"))
    max_duration: Duration | None = Field(None, alias="maxDuration")
    warning_on_retry: bool = Field(False, alias="warningOnRetry")
    behavior: RetryBehavior = RetryBehavior.RETRY_FAILED_TASK


class Fallback(StrEnum):
    """What to do when no live worker can take the work."""

    WAIT = "WAIT"
    FAIL = "FAIL"
    CANCEL = "CANCEL"
    IGNORE = "IGNORE"


class WorkerGroupRef(Frozen):
    """Which worker group work is sent to. `key` may be a template; blank or None means the default group."""

    key: str | None = None
    fallback: Fallback = Fallback.WAIT


class Tags(Frozen):
    """Groups by what they are tagged with; their labels and keys count as tags. Tags may be templates."""

    tags: tuple[str, ...] = Field(min_length=1, max_length=MOST_TAGS)
    match: Literal["ALL", "ANY"] = "ALL"


class WorkerSelector(Frozen):
    """The newer way to name workers: by the tags of their groups."""

    tags: tuple[str, ...] = Field((), max_length=MOST_TAGS)
    match: Literal["ALL", "ANY"] = "ALL"
    fallback: Fallback = Fallback.FAIL


class PlacementStep(Frozen):
    """One place of a `placement` chain: a group's slot, or a container of a task runner's.

    `wait` is how long to wait for a free slot there before the next step is taken; by default no time at all, and on the
    last step for ever.
    """

    worker_group: str | Tags | None = Field(None, alias="workerGroup")
    task_runner: Mapping[str, Json] | None = Field(None, alias="taskRunner")
    wait: str | None = None

    @field_validator("worker_group", mode="before")
    @classmethod
    def _either_form(cls, value: Any) -> Any:
        """`{key: gpu}` is what the older dialect writes for `gpu`."""
        return value.get("key") or "" if isinstance(value, Mapping) and "tags" not in value else value

    @model_validator(mode="after")
    def _one_place(self) -> PlacementStep:
        if (self.worker_group is None) == (self.task_runner is None):
            raise ValueError("a step names either a `workerGroup` or a `taskRunner`")
        return self


PLACING = frozenset({"placement", "workerGroup", "workerSelector"})  # the properties that say where work goes


def _readable_resources(value: Any) -> Any:
    """Constant resources are checked when a flow is saved; templates are known only when a run is placed."""
    if isinstance(value, Mapping) and not any(isinstance(one, str) and "{{" in one for one in value.values()):
        Resources.model_validate(value)
    return value


AskedResources = Annotated[Mapping[str, Json], AfterValidator(_readable_resources)]
"""`resources:` as written: `cpu`, `memory` and `gpu`, constants or templates."""


def _with_raw(data: Any) -> Any:
    """What was written, beside itself as `raw`; a property of the user's own named `raw` is no more than a property."""
    return {**data, "raw": dict(data)} if isinstance(data, Mapping) else data


class TaskSpec(Frozen):
    """A task as written: what the engine must know of any task, and the whole of its properties in `raw`.

    `raw` holds every property of the source, `id` and `type` included, unrendered (plugin defaults already merged in);
    it is what a worker builds the plugin from, and what this serializes to.
    """

    raw: Mapping[str, Json]
    id: str
    type: str
    disabled: bool = False
    run_if: str | None = Field(None, alias="runIf")
    timeout: str | None = None
    queue_timeout: str | None = Field(None, alias="queueTimeout")
    retry: Retry | None = None
    allow_failure: bool = Field(False, alias="allowFailure")
    allow_warning: bool = Field(False, alias="allowWarning")
    log_level: Level | None = Field(None, alias="logLevel")
    worker_group: WorkerGroupRef | None = Field(None, alias="workerGroup")
    worker_selector: WorkerSelector | None = Field(None, alias="workerSelector")
    placement: tuple[PlacementStep, ...] = ()
    resources: AskedResources | None = None

    @model_validator(mode="before")
    @classmethod
    def _keep_raw(cls, data: Any) -> Any:
        return _with_raw(data)

    @field_validator("placement", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return value or ()

    @field_validator("run_if", "timeout", "queue_timeout", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if value is None or isinstance(value, str) else str(value)

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return dict(self.raw)


class Input(Frozen):
    """One declared input. Type-specific properties (`values`, `min`, `after`, ...) stay in `raw`."""

    raw: Mapping[str, Json]
    id: str
    type: str
    required: bool = True
    defaults: Json = None
    description: str | None = None
    display_name: str | None = Field(None, alias="displayName")

    @model_validator(mode="before")
    @classmethod
    def _keep_raw(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "name" in data and "id" not in data:  # older name of the same property
            data = {("id" if key == "name" else key): value for key, value in data.items()}
        return _with_raw(data)

    @property
    def has_defaults(self) -> bool:
        return "defaults" in self.raw and self.raw["defaults"] is not None

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return dict(self.raw)


class FlowOutput(Frozen):
    """One declared output of a flow: a template (or a structure of them), its type and whether it must have a value."""

    id: str
    value: Json = None
    type: str | None = None
    required: bool = True
    description: str | None = None


class TriggerSpec(Frozen):
    """A trigger as written; like TaskSpec, `raw` is the whole of it."""

    raw: Mapping[str, Json]
    id: str
    type: str
    disabled: bool = False
    worker_group: WorkerGroupRef | None = Field(None, alias="workerGroup")
    worker_selector: WorkerSelector | None = Field(None, alias="workerSelector")
    placement: tuple[PlacementStep, ...] = ()

    @field_validator("placement", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return value or ()

    @model_validator(mode="before")
    @classmethod
    def _keep_raw(cls, data: Any) -> Any:
        return _with_raw(data)

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return dict(self.raw)


_LISTS = ("inputs", "outputs", "tasks", "errors", "finally_", "after_execution", "triggers", "plugin_defaults", "placement")


class Concurrency(Frozen):
    """How many executions of a flow may run at once, and what becomes of one more."""

    limit: int
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"


class Flow(Frozen):
    """A checked flow at one revision. Its JSON is the Flow shape of the REST API (without `source`)."""

    id: str
    namespace: str
    revision: int = 1
    description: str | None = None
    labels: tuple[Label, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[FlowOutput, ...] = ()
    variables: Mapping[str, Json] = Field(default_factory=dict)
    tasks: tuple[TaskSpec, ...]
    errors: tuple[TaskSpec, ...] = ()
    finally_: tuple[TaskSpec, ...] = Field((), alias="finally")
    after_execution: tuple[TaskSpec, ...] = Field((), alias="afterExecution")
    triggers: tuple[TriggerSpec, ...] = ()
    plugin_defaults: tuple[Mapping[str, Json], ...] = Field((), alias="pluginDefaults")
    concurrency: Concurrency | None = None
    retry: Retry | None = None
    worker_group: WorkerGroupRef | None = Field(None, alias="workerGroup")
    worker_selector: WorkerSelector | None = Field(None, alias="workerSelector")
    placement: tuple[PlacementStep, ...] = ()
    disabled: bool = False
    deleted: bool = False
    draft: bool = False

    @field_validator("labels", mode="before")
    @classmethod
    def _either_form(cls, value: object) -> object:
        return labels_of(value)

    @field_validator(
        "inputs", "outputs", "tasks", "errors", "finally_", "after_execution", "triggers", "plugin_defaults", "variables", "placement", mode="before"
    )
    @classmethod
    def _null_is_empty(cls, value: object, info: Any) -> object:
        return ({} if info.field_name == "variables" else ()) if value is None else value

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.id)
