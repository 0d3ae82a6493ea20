"""What `run` needs of a place that runs flows: a server over HTTP, or the executor of the Ray cluster it is a job of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True)
class FlowRef:
    """A flow as saved."""

    namespace: str
    id: str
    revision: int


@dataclass(frozen=True)
class Start:
    """What to start a flow with: inputs as text, files by input id, labels as (key, value)."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ExecutionNews:
    """The whole execution as it stands now: the Execution shape of the REST API with `taskRunList`."""

    execution: Json


@dataclass(frozen=True)
class LogNews:
    """One line of its log: the LogEntry shape of the REST API. Each line comes once."""

    line: Json


@dataclass(frozen=True)
class Hitch:
    """A passing trouble that a person should know of, such as a server that is away for a moment."""

    message: str


Update = ExecutionNews | LogNews | Hitch | None


class Session(Protocol):
    """A place that runs flows. Every call raises `errors.Refused` (ask differently) or `errors.Unavailable` (ask later)."""

    where: str  # for people: an address

    def save_flow(self, source: str) -> FlowRef:
        """Create the flow, or update it to a new revision when its text differs. Raises FlowInvalid with its diagnostics."""

    def start(self, flow: FlowRef, given: Start) -> Json:
        """Start an execution and give it as it was created. Not to be repeated: a second call starts a second one."""

    def follow(self, execution_id: str) -> Iterator[Update]:
        """News until the execution has ended, its end and the last log line included; then the iterator ends.

        Gives None whenever nothing new came for 0.1 s, so that the caller can redraw and hear signals (Python gives
        these to the main thread between two steps only). Short absences are bridged and told as a Hitch.
        Raises Unavailable when there is no hope left; the execution goes on all the same.
        """

    def kill(self, execution_id: str) -> None:
        """Ask for the end of the execution. One that has ended already is success. May be called while `follow` runs."""

    def close(self) -> None:
        """Let go of connections; the execution is left as it is."""
