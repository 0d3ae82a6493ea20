"""Path segments that are free but for some words: so the most frequent routes can stand first and still leave fixed words alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.convertors import Convertor, register_url_convertor

# A second segment that is an action on an execution, never a flow's id.
VERBS = (
    *("restart", "replay", "replay-with-inputs", "resume", "pause", "kill", "state", "change-status", "labels", "force-run", "unqueue"),
    *("eval", "by-ids", "by-query"),
)
# A first segment under /executions that is never an execution's id.
WORDS = ("search", "namespaces", "latest", "by-ids", "by-query")


def _but(taken: Iterable[str]) -> str:
    return f"(?!(?:{'|'.join(re.escape(word) for word in taken)})(?:/|$))[^/]+"


class FlowSegment(Convertor[str]):
    """A flow's id: any segment that is no action."""

    regex = _but(VERBS)

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class ExecutionSegment(FlowSegment):
    """An execution's id: any segment that is no fixed word."""

    regex = _but(WORDS)


def register() -> None:
    """Make `{name:flow}` and `{name:execution}` known in route paths. Doing it again changes nothing."""
    register_url_convertor("flow", FlowSegment())
    register_url_convertor("execution", ExecutionSegment())
