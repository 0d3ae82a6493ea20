"""When an execution that was made begins: at once, at its date, or once others of its flow have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine.events import Started
from orchestrator.model.state import State
from orchestrator.runtime.live import Live
from orchestrator.runtime.turn import Turn

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor

BEGIN = "begin"  # the timer of an execution whose date is to come


class Admitting:
    """Both are called in turns of the executor; after a restart every execution that has not begun is passed to `take_up` again."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def take_up(self, turn: Turn, live: Live) -> None:
        """Let an execution begin that has not: now, unless it has a date that is still to come or its flow has no room."""
        executor, execution = self._executor, live.view.execution
        if execution.current is not State.CREATED:
            return
        if execution.schedule_date is not None and execution.schedule_date > turn.now:
            executor.timers.set(execution.schedule_date, execution.id, (BEGIN, None))
        elif (instead := executor.slots.instead(live.view.flow)) is not None:
            executor.put(turn, live, instead)
        else:
            executor.step(turn, live, Started())

    def due(self, turn: Turn, execution_id: str) -> None:
        """The date of an execution has come."""
        if (live := self._executor.live.get(execution_id)) is not None:
            self.take_up(turn, live)

    def admit(self, turn: Turn) -> None:
        """Let those begin that waited for others of their flow to end."""
        for execution_id in self._executor.slots.stirred():
            live = self._executor.live[execution_id]
            if self._executor.slots.room_for(live.view.flow):
                self._executor.step(turn, live, Started())
