"""Executions that have ended with tasks still to run: the store finds unfinished ones by their state, and these by a document each."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.engine.aftermath import is_over
from orchestrator.model.execution import Execution
from orchestrator.runtime.live import Live
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import Reader

_PREFIX = "after:"


def note_outliving(turn: Turn, live: Live) -> None:
    """Have it found after a restart while something of it is still to run."""
    outlives = not is_over(live.view)
    if outlives is not live.outlives:
        live.outlives = outlives
        turn.settings[_PREFIX + live.view.execution.id] = True if outlives else None


def outliving(store: Reader) -> Iterator[Execution]:
    """Those that had ended when the executor was last there, and had tasks still to run."""
    for name in store.settings(_PREFIX):
        execution = store.execution(name.removeprefix(_PREFIX))
        if execution is not None:
            yield execution
