"""The thread of a workspace on its worker: it does the runs that come in, one after another, until it is closed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from queue import SimpleQueue

from orchestrator.model.dispatch import Dispatch
from orchestrator.runtime.stopping import StopSignal


class Room:
    """`do` and `close` are called from any thread, `work_until_closed` from its own."""

    def __init__(self) -> None:
        self._given: SimpleQueue[Callable[[], None] | Dispatch | None] = SimpleQueue()

    def do(self, work: Callable[[], None]) -> None:
        """Have a run done. It must raise nothing; once the room is stopped it is not begun."""
        self._given.put(work)

    def close(self, dispatch: Dispatch) -> None:
        """No more runs come; `dispatch` has what is known now."""
        self._given.put(dispatch)

    def work_until_closed(self, stop: StopSignal) -> Dispatch:
        """The dispatch that closed it. Raises Stopped when told to stop."""
        stop.add(lambda: self._given.put(None))
        while True:
            stop.check()
            given = self._given.get()
            if isinstance(given, Dispatch):
                return given
            if given is not None:
                given()


def folder_key(home: str, generation: int) -> str:
    """The name of the folder that a workspace's tasks share, told from its task run and that one's generation."""
    return f"workspace-{hashlib.sha256(home.encode()).hexdigest()[:16]}-{generation}"
