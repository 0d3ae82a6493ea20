"""What becomes of runs whose place is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine.events import RunLost
from orchestrator.model.execution import Cause
from orchestrator.runtime.placing import command_id
from orchestrator.runtime.turn import Turn

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor


class Losing:
    """Called in turns of the executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def lose(self, turn: Turn, place: str) -> None:
        """Nothing of a place is left: what it held is sent elsewhere."""
        executor = self._executor
        executor.scheduler.lose(turn, place)
        for run_id, execution_id in executor.places.lose(place):
            self._lose_run(turn, run_id, execution_id)

    def _lose_run(self, turn: Turn, run_id: str, execution_id: str) -> None:
        """Nobody has a run any more that was out."""
        executor = self._executor
        live = executor.live.get(execution_id)
        run = live.view.run(run_id) if live is not None else None
        if live is not None and run is not None:
            turn.answer(command_id(run))
            turn.answer(f"stop:{run.id}:{run.lease}")
            executor.meters.again(run.placement.group if run.placement else "", Cause.WORKER_LOST)
            executor.step(turn, live, RunLost(run.id, run.lease, Cause.WORKER_LOST))
