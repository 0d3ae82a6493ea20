"""Every error raised on purpose, sorted by who must act: the asker, the operator, or the flow's author."""

from __future__ import annotations


class OrchestratorError(Exception):
    """The root of all we raise on purpose; `code` is a stable slug for the API, the docs and tests."""

    code = "internal"


class Refused(OrchestratorError):
    """The asker must change something; trying again unchanged cannot help."""

    code = "refused"


class FlowInvalid(Refused):
    """A flow's source breaks a rule. `diagnostics` holds one entry per problem (see `lang.diagnostics`)."""

    code = "flow-invalid"

    def __init__(self, message: str, diagnostics: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


class InputInvalid(Refused):
    """An execution's input breaks its declaration. The message begins with the input's id and a colon."""

    code = "input-invalid"


class ExpressionFailed(Refused):
    """A template cannot be parsed or rendered: undefined variable, bad argument, bound exceeded."""

    code = "expression-failed"


class NotFound(Refused):
    """What was named does not exist."""

    code = "not-found"


class Conflict(Refused):
    """What was named is in a state that forbids the request."""

    code = "conflict"


class NotAllowed(Refused):
    """A wrong or missing credential, or one without the right."""

    code = "not-allowed"


class BadSettings(Refused):
    """A flag, environment variable or configuration file holds a value that cannot be used."""

    code = "bad-settings"


class JobRejected(Refused):
    """A runner's back end will never take this job as it is: no such image, no permission, bad property."""

    code = "job-rejected"


class IllegalTransition(Conflict):
    """A state may not follow another."""

    code = "illegal-transition"

    def __init__(self, before: object, after: object) -> None:
        super().__init__(f"{after} may not follow {before}")


class Unavailable(OrchestratorError):
    """Wait and try again."""

    code = "unavailable"


class RunnerUnavailable(Unavailable):
    """A runner's back end does not answer."""

    code = "runner-unavailable"


class StartFailed(OrchestratorError):
    """A job's place could not start its command: tried again by a budget of its own, apart from the flow's retry.

    `reason` is in the service's own words; `kind` is one of IMAGE, CAPACITY, RECLAIMED, LOST, BOUND, SERVICE.
    """

    code = "start-failed"

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.reason, self.kind = reason, kind
        self.climbs = False  # set where it is known: the next start would ask for something else


class StoreUnavailable(Unavailable):
    """The database cannot be opened, read or written now."""

    code = "store-unavailable"


class Fenced(StoreUnavailable):
    """Another executor owns the store: this one must write nothing more and end."""

    code = "fenced"


class NoWorker(Unavailable):
    """No live worker can take the work."""

    code = "no-worker"


class ServerUnreachable(Unavailable):
    """No server answers at the address given."""

    code = "server-unreachable"


class TaskFailed(OrchestratorError):
    """The user's work failed, and the flow's own retry decides. `outputs` are those seen until then."""

    code = "task-failed"

    def __init__(self, message: str, *, outputs: dict[str, object] | None = None, exit_code: int | None = None, cause: str | None = None) -> None:
        super().__init__(message)
        self.outputs = dict(outputs or {})
        self.exit_code = exit_code
        self.cause = cause


class JobLost(TaskFailed):
    """A job that had been started is nowhere to be found."""

    code = "job-lost"


class TimedOut(TaskFailed):
    """The work outlasted its bound."""

    code = "timed-out"
