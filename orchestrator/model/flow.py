"""What a flow is: its tasks, inputs, outputs, triggers, as written and checked, nothing rendered."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_serializer, model_validator

from orchestrator.model.log import Level
from orchestrator.model.resources import Resources
from orchestrator.model.sla import Sla
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


_CLOSED = ConfigDict(json_schema_extra={"additionalProperties": False})  # for editors; the checker tells of unknown properties itself
_KEY = "The key of a worker group, or a template of one; blank for the default group."
_TAGS = "What the groups must be tagged with; a group's key and its labels (`eu`, `zone=eu`) count as tags."
_MATCH = "Whether a group must have all of the tags or any."
_FALLBACK = "When no live worker can take the work: WAIT for one, FAIL, CANCEL, or IGNORE the wish and take the default group."


class WorkerGroupRef(Frozen):
    """Which worker group work is sent to. `key` may be a template; blank or None means the default group."""

    model_config = _CLOSED

    key: str | None = Field(None, description=_KEY, examples=["gpu", "{{ inputs.pool }}"])
    fallback: Fallback = Field(Fallback.WAIT, description=_FALLBACK)


class Tags(Frozen):
    """Groups by what they are tagged with; their labels and keys count as tags. Tags may be templates."""

    model_config = _CLOSED

    tags: tuple[str, ...] = Field(min_length=1, max_length=MOST_TAGS, description=_TAGS, examples=[["gpu", "eu"]])
    match: Literal["ALL", "ANY"] = Field("ALL", description=_MATCH)


class WorkerSelector(Frozen):
    """The newer way to name workers: by the tags of their groups."""

    model_config = _CLOSED

    tags: tuple[str, ...] = Field((), max_length=MOST_TAGS, description=_TAGS, examples=[["gpu", "eu"]])
    match: Literal["ALL", "ANY"] = Field("ALL", description=_MATCH)
    fallback: Fallback = Field(Fallback.FAIL, description=_FALLBACK)


def _also_by_key(schema: dict[str, Any]) -> None:
    """The third way to write a step's group, which is read as the first."""
    key = {"type": ["string", "null"], "description": _KEY}
    schema["anyOf"].insert(1, {"type": "object", "additionalProperties": False, "required": ["key"], "properties": {"key": key}})


class PlacementStep(Frozen):
    """One place of a `placement` chain: a group's slot, or a container of a task runner's.

    `wait` is how long to wait for a free slot there before the next step is taken; by default no time at all, and on the
    last step for ever.
    """

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False, "oneOf": [{"required": ["workerGroup"]}, {"required": ["taskRunner"]}]})

    worker_group: str | Tags | None = Field(
        None,
        alias="workerGroup",
        description="A worker group: its key, or `tags` of groups.",
        examples=["gpu", {"tags": ["big"], "match": "ANY"}],
        json_schema_extra=_also_by_key,
    )
    task_runner: Mapping[str, Json] | None = Field(
        None,
        alias="taskRunner",
        description="A container of its own, by a runner's `type` and properties; script tasks only.",
        examples=[{"type": "io.kestra.plugin.scripts.runner.docker.Docker"}],
    )
    wait: str | None = Field(
        None,
        description="How long to wait here for a free slot, an ISO-8601 duration. By default not at all: the next step is taken; on the last step for ever.",
        examples=["PT5S"],
    )

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


PlacementChain = Annotated[tuple[PlacementStep, ...], BeforeValidator(lambda value: () if value is None else value)]
"""`placement:` as written; null is none."""

PLACING = ("placement", "workerGroup", "workerSelector")  # the properties that say where work goes; the first that is given counts
PLACEMENT_ABOUT = "Places to try in turn, worker groups and (for script tasks) task runners; in place of `workerGroup` and `workerSelector`."
QUEUE_TIMEOUT_ABOUT = "The longest that a run may wait for a place before it fails, as an ISO-8601 duration; default: no bound."


def _readable_resources(value: Any) -> Any:
    """Constant resources are checked when a flow is saved; templates are known only when a run is placed."""
    if isinstance(value, Mapping) and not any(isinstance(one, str) and any(mark in one for mark in ("{{", "{%", "{#")) for one in value.values()):
        Resources.model_validate(value)
    return value


_TEMPLATE = {"type": "string", "pattern": r"\{[{%#]"}
_RESOURCES = {
    "type": "object",
    "additionalProperties": False,
    "description": "What a run needs of a machine for itself; it gets a process of its own on a worker of its group that has this free, and takes no slot.",
    "examples": [{"cpu": 2, "memory": "4GiB", "gpu": 0.25}],
    "properties": {
        "cpu": {"description": "Cores, fractions allowed.", "examples": [2, 0.5], "anyOf": [{"type": "number", "minimum": 0}, _TEMPLATE]},
        "memory": {
            "description": "Bytes, or text with a unit.",
            "examples": ["512MiB", "4GiB"],
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}],
        },
        "gpu": {
            "description": "A fraction of one GPU, or a whole number of them.",
            "examples": [0.25, 1],
            "anyOf": [{"type": "number", "minimum": 0}, _TEMPLATE],
        },
    },
}
AskedResources = Annotated[Mapping[str, Json], AfterValidator(_readable_resources), WithJsonSchema(_RESOURCES)]
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
    placement: PlacementChain = ()
    resources: AskedResources | None = None

    @model_validator(mode="before")
    @classmethod
    def _keep_raw(cls, data: Any) -> Any:
        return _with_raw(data)

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
    placement: PlacementChain = ()

    @model_validator(mode="before")
    @classmethod
    def _keep_raw(cls, data: Any) -> Any:
        return _with_raw(data)

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return dict(self.raw)


class Listener(Frozen):
    """Tasks that run once an execution has ended, if all conditions hold of it; `afterExecution` is the newer way."""

    description: str | None = None
    conditions: tuple[Mapping[str, Json], ...] = Field((), description="Conditions on the execution that has ended; none: always.")
    tasks: tuple[TaskSpec, ...] = Field(min_length=1, description="The tasks, in order.")

    @field_validator("conditions", "tasks", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return () if value is None else value


class Concurrency(Frozen):
    """How many executions of a flow may run at once, and what becomes of one more."""

    limit: int
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"


_LISTS = ("inputs", "outputs", "tasks", "errors", "finally_", "after_execution", "triggers", "plugin_defaults", "sla", "listeners")


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
    sla: tuple[Sla, ...] = ()
    listeners: tuple[Listener, ...] = ()
    worker_group: WorkerGroupRef | None = Field(None, alias="workerGroup")
    worker_selector: WorkerSelector | None = Field(None, alias="workerSelector")
    placement: PlacementChain = Field((), description=PLACEMENT_ABOUT)
    disabled: bool = False
    deleted: bool = False
    draft: bool = False

    @field_validator("labels", mode="before")
    @classmethod
    def _either_form(cls, value: object) -> object:
        return labels_of(value)

    @field_validator(
        "inputs", "outputs", "tasks", "errors", "finally_", "after_execution", "triggers", "plugin_defaults", "variables", "sla", "listeners", mode="before"
    )
    @classmethod
    def _null_is_empty(cls, value: object, info: Any) -> object:
        return ({} if info.field_name == "variables" else ()) if value is None else value

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.id)
