"""What the server and the command line may ask of the executor, and what it answers: JSON both ways over one actor call.

Every request is a method of the Executor actor of the same name taking one JSON text and returning one JSON text;
`client.ExecutorClient` is the typed handle. An error comes back as `{"error": {"code", "message", "diagnostics"}}` and
is raised again by the client as the same class of `orchestrator.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from orchestrator.model.access_token import AccessToken
from orchestrator.model.values import Duration, Frozen, Instant, Json
from orchestrator.model.worker_group import WorkerGroup


class SaveFlow(Frozen):
    """Create (`update` False: Conflict when it exists) or replace a flow from its YAML. Answer: SavedFlow."""

    source: str
    update: bool = False
    upsert: bool = False  # create or replace, whichever it takes
    namespace: str | None = None  # when given, the source must agree (else FlowInvalid)
    flow_id: str | None = None
    was_accepted: bool = False  # its text was, but for `disabled`: a worker group undeclared since then must not keep a flow running


class PlanFlow(Frozen):
    """Where each task of a flow's YAML would go now. `inputs` are texts or JSON values. Answer: FlowPlan."""

    source: str
    inputs: Mapping[str, Json] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)


class ReapRunners(Frozen):
    """Remove what is out there under our labels and belongs to no live run; `dry_run`: only tell it."""

    dry_run: bool = False


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


class Explain(Frozen):
    """Why an execution does not run; with `task`, a task's id or a task run's, only that. Answer: {"executionId", "state", "explanations": [Explanation]}."""

    execution_id: str
    task: str | None = None


# --- workers, their groups, and who may join


class DeclareGroup(Frozen):
    """Declare a worker group, or with `replace` change its declaration. Answer: the WorkerGroup.

    Conflict when it is there (NotFound with `replace` when it is not), or is declared in the server's file.
    """

    group: WorkerGroup
    replace: bool = False


class ForgetGroup(Frozen):
    """Undeclare a group. `named_by` are flows that name it; with them, or with live workers, it takes `force`."""

    key: str
    named_by: tuple[str, ...] = ()
    force: bool = False


class NamespaceDefaults(Frozen):
    """What a namespace says of places and plugins. With `defaults` it is replaced, an empty map removes it. Answer: the document."""

    namespace: str
    defaults: Mapping[str, Json] | None = None


class KeepToken(Frozen):
    """Keep a token that the server has minted: all but its text. NotFound for a group that work may not name."""

    token: AccessToken


class EndToken(Frozen):
    """Revoke a token, or with `delete` forget it. Answer: the AccessToken, null when it is forgotten."""

    uid: str
    delete: bool = False


class CountUses(Frozen):
    """Requests made with view tokens since they were counted last, by uid."""

    uses: Mapping[str, int]


class Join(Frozen):
    """A machine wants to work for a group; `create` declares it where it is not. `token` is the uid of the token it came with.

    NotFound for an unknown group, NotAllowed when the token opens nothing any more.
    """

    group: str
    create: bool = False
    token: str | None = None


class JoinedNode(Frozen):
    """The worker of the node that a machine joined under `mark`. Answer: {"worker": WorkerInfo | null, "drain": {...} | null,
    "ask_again": seconds}."""

    mark: str


class DrainWorker(Frozen):
    """Send a worker nothing more, and hand back what still runs after `grace`. `worker` is the beginning of its id, of its
    name or of its machine's, or of none where `mark` names its node. Answer: as JoinedNode.

    NotFound for none, Refused for several.
    """

    worker: str = ""
    mark: str | None = None
    grace: Duration


class WorkerNamed(Frozen):
    """One worker, lost ones too, by the beginning of its id. Answer, errors: as DrainWorker."""

    worker: str
