"""After a start: asks every place what it holds, and goes on from there. Nothing is sent again before that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

from orchestrator.engine.events import Event, RunLost, StopRun
from orchestrator.engine.reconcile import reconcile
from orchestrator.errors import Unavailable
from orchestrator.model.execution import Cause
from orchestrator.model.state import State
from orchestrator.runtime.live import Live
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import Command

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor

Held = Mapping[str, Set[tuple[str, int]]]  # by place: the task runs and their leases


class Resuming:
    """Takes up what the outbox says was sent, was to be sent, or was to be stopped."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def resume(self, commands: Sequence[Command]) -> None:
        """Once the store is read and the cluster was looked at. `commands` are those about task runs."""
        executor, held, out_of_reach = self._executor, dict[str, Set[tuple[str, int]]](), set[str]()
        for place in {command.target for command in commands if command.target and command.kind in ("run", "stop")}:
            try:
                inventory = await executor.cluster.inventory(place)
            except Unavailable:
                out_of_reach.add(place)
            else:
                held[place] = {(one.task_run_id, one.lease) for one in inventory.held} if inventory is not None else set()
        await executor.do(lambda turn: self._take_up(turn, commands, held, out_of_reach))
        for place in held:
            executor.cluster.stop(place, ())  # one that has died since it was asked is told only now that somebody waits for it

    def _take_up(self, turn: Turn, commands: Sequence[Command], held: Held, out_of_reach: Set[str]) -> None:
        executor = self._executor
        for live, event in [found for command in commands if (found := self._take(turn, command, held, out_of_reach)) is not None]:
            executor.step(turn, live, event)
        for place in out_of_reach:
            executor.lookout.lost(place, is_certain=False)
        for live in list(executor.live.values()):
            if live.view.execution.current is State.CREATED:
                executor.admitting.take_up(turn, live)
                continue
            executor.carry_out(turn, live, reconcile(live.view, turn.now, executor.flows.resolve, executor.new_id))
        executor.calling.resume()

    def _take(self, turn: Turn, command: Command, held: Held, out_of_reach: Set[str]) -> tuple[Live, Event] | None:
        """Go on with one command; what must be decided because it cannot be gone on with."""
        placing, body = self._executor.placing, command.body or {}
        live = self._executor.live.get(command.execution_id)
        run = live.view.run(body["task_run_id"]) if live is not None else None
        event: Event | None = None
        if live is None or run is None or run.state.current.ended or run.lease != body["lease"]:
            turn.answer(command.id)
            return None
        if command.kind == "stop":
            event = placing.stop(turn, live, StopRun(run.id, run.lease, Cause(body["cause"])))
        elif not command.target:
            event = placing.queue(turn, live, run)
        elif command.target in out_of_reach or (run.id, run.lease) in held[command.target]:
            placing.resume(live, run, command.target, body.get("worker", ""))
        elif placing.is_at_home(live, run):  # it was not sent any more, or has not arrived: its workspace is there
            event = placing.queue(turn, live, run)
        else:
            event = RunLost(run.id, run.lease, Cause.WORKER_LOST)
        return (live, event) if event is not None else None
