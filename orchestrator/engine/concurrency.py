"""How many executions of one flow run at once, and what becomes of one more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from orchestrator.engine.events import Decision, Say
from orchestrator.engine.view import ExecutionView
from orchestrator.model.execution import Execution
from orchestrator.model.flow import Concurrency, Flow
from orchestrator.model.log import Level
from orchestrator.model.state import State

_INSTEAD = {"QUEUE": State.QUEUED, "CANCEL": State.CANCELLED, "FAIL": State.FAILED}
_LEVELS = {State.CANCELLED: Level.WARN, State.FAILED: Level.ERROR}

FlowKey = tuple[str, str]


class FlowSlots:
    """Which executions of each flow run (paused ones too) and which wait, first come first; it follows from their states alone."""

    def __init__(self) -> None:
        self._running: defaultdict[FlowKey, set[str]] = defaultdict(set)
        self._queued: defaultdict[FlowKey, dict[str, None]] = defaultdict(dict)
        self._stirred: dict[FlowKey, None] = {}

    def note(self, execution: Execution) -> None:
        """Take over the state of an execution."""
        key, state = (execution.namespace, execution.flow_id), execution.current
        if state is State.QUEUED:
            self._queued[key].setdefault(execution.id)
            self._stirred[key] = None
            return
        if key in self._queued:
            self._queued[key].pop(execution.id, None)
        if state.ended:
            self._leave(key, execution.id)
        elif state is not State.CREATED:
            self._running[key].add(execution.id)

    def _leave(self, key: FlowKey, execution_id: str) -> None:
        if key in self._running:
            self._running[key].discard(execution_id)
            if self._queued.get(key):
                self._stirred[key] = None
            elif not self._running[key]:
                del self._running[key]
                self._queued.pop(key, None)

    def instead(self, flow: Flow) -> State | None:
        """What one more execution of a flow becomes in place of RUNNING; None while there is room."""
        limit = flow.concurrency
        return _INSTEAD[limit.behavior] if limit is not None and not self._room(flow.key, limit) else None

    def _room(self, key: FlowKey, limit: Concurrency | None) -> bool:
        return limit is None or len(self._running.get(key, ())) < limit.limit

    def standing(self, flow: Flow, execution_id: str) -> tuple[int, int]:
        """How many executions of a flow run now, and how many wait in front of one."""
        queued = list(self._queued.get(flow.key, ()))
        return len(self._running.get(flow.key, ())), queued.index(execution_id) if execution_id in queued else 0

    def room_for(self, flow: Flow) -> bool:
        """Whether one more execution of a flow may run."""
        return self._room(flow.key, flow.concurrency)

    @property
    def are_stirred(self) -> bool:
        """Whether some line was not looked at since something changed."""
        return bool(self._stirred)

    def stirred(self) -> Iterator[str]:
        """The first in line of every flow where something has changed, and the next one after each that left the line."""
        while self._stirred:
            key, _ = self._stirred.popitem()
            while waiting := self._queued.get(key):
                first = next(iter(waiting))
                yield first
                if first in self._queued.get(key, ()):
                    break  # there was no room for it


def put(view: ExecutionView, state: State, now: datetime) -> Decision:
    """Let an execution wait for its turn, or end without ever having run. Raises IllegalTransition."""
    changed = view.execution.model_copy(update={"state": view.execution.state.to(state, now), "version": view.execution.version + 1})
    limit = view.flow.concurrency
    told = "" if limit is None or state not in _LEVELS else f"{limit.limit} executions of this flow, its limit, were not over: {state.value}"
    return Decision(changed, (), (Say(_LEVELS[state], told),) if told else ())
