"""Executions that wait for others of their flow: let go at once, or taken out of the line."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.engine.events import Started
from orchestrator.errors import Refused
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.live import Live
from orchestrator.runtime.pausing import Pausing
from orchestrator.runtime.reading import Reading
from orchestrator.runtime.requests import ExecutionAction
from orchestrator.runtime.turn import Turn


class Queueing:
    """Both answer the execution as it is afterwards."""

    def __init__(self, executor: Executor, executions: Reading, pausing: Pausing) -> None:
        self._executor, self._executions, self._pausing = executor, executions, pausing

    async def force_run(self, request: ExecutionAction) -> Json:
        """Let it run whatever its flow's limit or its date says; one that is paused is resumed, one that runs already is left alone."""

        def run(turn: Turn, live: Live) -> None:
            match live.view.execution.current:
                case State.QUEUED | State.CREATED:
                    self._executor.step(turn, live, Started())
                case State.PAUSED:
                    self._pausing.go_on(turn, live, {})

        return await self._on_live(request, "The execution is terminated, it can't be forced to run", run)

    async def unqueue(self, request: ExecutionAction) -> Json:
        """Take it out of the line: it runs, or with a `state` it has ended in that."""
        given = request.args.get("state")
        if given is not None and given not in State.__members__:
            raise Refused(f"There is no state '{given}'")
        state = State(given) if given is not None else State.RUNNING

        def unqueue(turn: Turn, live: Live) -> None:
            if live.view.execution.current is not State.QUEUED:
                raise Refused("The execution is not queued")
            if state is State.RUNNING:
                self._executor.step(turn, live, Started())
            elif state.ended:
                self._executor.put(turn, live, state)
            else:
                raise Refused(f"An execution cannot be unqueued to {state}")

        return await self._on_live(request, "The execution is not queued", unqueue)

    async def _on_live(self, request: ExecutionAction, ended: str, act: Callable[[Turn, Live], None]) -> Json:
        def do(turn: Turn) -> Json:
            live = self._executor.live.get(request.execution_id)
            if live is None or live.view.execution.current.ended:
                self._executions.stored(request.execution_id)
                raise Refused(ended)
            act(turn, live)

        await self._executor.do(do)
        return self._executions.shown(request.execution_id)
