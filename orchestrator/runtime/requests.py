"""What the server and the command line may ask of the executor, and what it answers: JSON both ways over one actor call.

Every request is a method of the Executor actor of the same name taking one JSON text and returning one JSON text;
`client.ExecutorClient` is the typed handle. An error comes back as `{"error": {"code", "message", "diagnostics"}}` and
is raised again by the client as the same class of `orchestrator.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from orchestrator.model.values import Frozen, Instant, Json


class SaveFlow(Frozen):
    """Create (`update` False: Conflict when it exists) or replace a flow from its YAML. Answer: SavedFlow."""

    source: str
    update: bool = False
    upsert: bool = False  # create or replace, whichever it takes
    namespace: str | None = None  # when given, the source must agree (else FlowInvalid)
    flow_id: str | None = None


class DeleteFlow(Frozen):
    namespace: str
    flow_id: str


class FileGiven(Frozen):
    """A FILE input already stored under `blob` by the server, with the name its user gave it."""

    name: str
    blob: str
    size: int


class CreateExecution(Frozen):
    """Start a flow. `inputs` are raw texts (multipart parts) or JSON values; `wait` answers at the end of the execution
    (or when it pauses) in place of its creation. Answer: the Execution's JSON text with its task runs."""

    namespace: str
    flow_id: str
    revision: int | None = None
    inputs: Mapping[str, Json] = Field(default_factory=dict)
    files: Mapping[str, FileGiven] = Field(default_factory=dict)
    labels: tuple[tuple[str, str], ...] = ()
    wait: bool = False
    schedule_date: Instant | None = None
    execution_id: str | None = None
    kind: str | None = None


class ExecutionAction(Frozen):
    """One action on one execution. `verb`: kill, delete, labels ... ; `args` as the verb needs."""

    execution_id: str
    verb: str
    args: Mapping[str, Json] = Field(default_factory=dict)


class TriggerName(Frozen):
    """One trigger of one flow."""

    namespace: str
    flow_id: str
    trigger_id: str


class ActOnTriggers(Frozen):
    """One action on triggers, all or none of it. Answer: {"changed": [TriggerState, ...]}, as they are then.

    `strict`: NotFound for one that is not there, Conflict for one that the action is not for; else these are passed over.
    """

    verb: Literal["look", "enable", "disable", "restart", "unlock", "delete"]
    triggers: tuple[TriggerName, ...]
    strict: bool = True


class Watch(Frozen):
    """Wait for news of an execution past `version`, at most `seconds`.

    Answer: {"version", "ended", "execution": <Execution JSON or null when nothing is new>, "logs_after"}.
    """

    execution_id: str
    version: int = -1
    seconds: float = 20.0


class PutKey(Frozen):
    namespace: str
    key: str
    value: Json = None
    description: str | None = None
    ttl_seconds: float | None = None
    overwrite: bool = True  # False: a key that lives refuses with Conflict


class DeleteKeys(Frozen):
    namespace: str
    keys: tuple[str, ...]
    expired: bool = False  # True: only those whose time to live is over


class PutFile(Frozen):
    """Record a file whose bytes the server has already written under `blob`; folders above it are made."""

    kind: str  # namespace, execution
    owner: str
    path: str
    size: int
    blob: str
    directory: bool = False


class DeleteFiles(Frozen):
    """Forget a file, or a folder with all below it; the bytes are removed after the commit."""

    kind: str
    owner: str
    path: str


class MoveFile(Frozen):
    namespace: str
    source: str
    target: str


class LogsAfter(Frozen):
    """Lines of an execution numbered above `after`. Answer: [[number, LogEntry], ...]."""

    execution_id: str
    after: int = 0
