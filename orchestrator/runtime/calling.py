"""Runs that start executions: each of these is started once, whatever dies, and its end is told to the run that waits for it.

An execution is saved with the state of the run that starts it, under an id that follows from that run: after a restart those there
are found again, and only the others are started. Such a run is sent nowhere; in all else it lives as one on a worker does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.engine.events import Event, RunEnded, RunReceived, RunStopped, StopRun
from orchestrator.engine.standing import dispatched, received
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.lang.expressions import NeedsServices, Renderer
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.runtime import call_texts as texts
from orchestrator.runtime.called import Called, Caller, caller_of
from orchestrator.runtime.calls import Calls
from orchestrator.runtime.earlier_calls import EarlierCalls
from orchestrator.runtime.live import Live, say
from orchestrator.runtime.turn import Turn
from orchestrator.sdk import RestartBehavior

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor

MOST_PER_TURN = 100  # executions of one run that are started, looked for or ended in one turn


class Calling:
    """Its methods are called in turns of the executor. What is due is done by `go_on`, so that nothing is decided within a decision."""

    def __init__(self, executor: Executor) -> None:
        self._executor, self._called, self.earlier = executor, Called(executor), EarlierCalls(executor)
        self._calls: dict[str, Calls] = {}  # by task run
        self._below: defaultdict[str, dict[str, None]] = defaultdict(dict)  # by execution: the unfinished ones that it started
        self._due: deque[Callable[[Turn], None]] = deque()
        self._apart: set[asyncio.Task[None]] = set()

    # --- what the executor tells

    def takes(self, live: Live, run: TaskRun) -> bool:
        """Whether a run is one that starts executions."""
        return self._executor.flows.caller(live.view.spec(run)) is not None

    def begin(self, run: TaskRun) -> None:
        """Such a run is to begin, or was found after a restart."""
        self._due.append(partial(self._begin, run.execution_id, run.id, run.lease))

    def resume(self) -> None:
        """Take up every such run that goes on, once all executions are loaded."""
        for live in self._executor.live.values():
            for run in live.view.active():
                if dispatched(run) and self.takes(live, run):
                    self.begin(run)

    @property
    def is_due(self) -> bool:
        """Whether something is left to be done in the next turn."""
        return bool(self._due)

    def go_on(self, turn: Turn) -> None:
        """Do what is due; what that brings is done in the next turn."""
        for _ in range(len(self._due)):
            self._due.popleft()(turn)

    def kept(self, execution: Execution) -> None:
        """An execution is held in memory from now on."""
        if (above := caller_of(execution)) is not None:
            self._below[above[0]][execution.id] = None

    def over(self, view: ExecutionView) -> None:
        """An execution has ended."""
        above = caller_of(view.execution)
        if above is None:
            return
        self._below[above[0]].pop(view.execution.id, None)
        if not self._below[above[0]]:
            del self._below[above[0]]
        calls = self._calls.get(above[1])
        if calls is not None and view.execution.id in calls.going:
            self._due.append(partial(self._ended, calls, view))

    def let_go_of(self, run: TaskRun) -> None:
        """A run has ended."""
        self._calls.pop(run.id, None)

    def going(self, run: TaskRun) -> tuple[str, ...]:
        """The executions that a run has started and waits for, and that have not ended."""
        calls = self._calls.get(run.id)
        return tuple(calls.going) if calls is not None and calls.lease == run.lease else ()

    def kill_below(self, execution_id: str) -> None:
        """End all that an execution has started, waited for or not."""
        for called in list(self._below.get(execution_id, ())):
            self._due.append(partial(self._kill, called))

    def stop(self, turn: Turn, command: StopRun) -> Event | None:
        """Have what a run has started ended; RunStopped at once when nothing of it goes on."""
        calls = self._calls.get(command.task_run_id)
        if calls is None or calls.over:
            return RunStopped(command.task_run_id, command.lease)
        calls.stopped = True
        for called in list(calls.going):
            self._due.append(partial(self._kill, called))
        return None if calls.going or calls.rendering else RunStopped(command.task_run_id, command.lease)

    def spare(self, execution_id: str) -> None:
        """Leave what an execution has started alone when it is killed."""
        for calls in [calls for calls in self._calls.values() if calls.execution_id == execution_id]:
            del self._calls[calls.run_id]

    def _kill(self, execution_id: str, turn: Turn) -> None:
        self._executor.kill(turn, execution_id)

    # --- beginning

    def _begin(self, execution_id: str, run_id: str, lease: int, turn: Turn) -> None:
        live = self._executor.live.get(execution_id)
        run = live.view.run(run_id) if live is not None else None
        if live is None or run is None or run.lease != lease or run.state.current.ended or not dispatched(run) or run_id in self._calls:
            return
        caller = self._executor.flows.caller(live.view.spec(run))
        if caller is None:
            return
        before = received(run) or (run.state.current is State.RESTARTED and caller.restart_behavior is RestartBehavior.RETRY_FAILED)
        since = run.calls_since if before and run.calls_since is not None else run.generation
        calls = self._calls[run_id] = Calls(execution_id, run_id, lease, caller, looks=before)
        if not received(run):
            self._executor.step(turn, live, RunReceived(run_id, lease, None, turn.now))
            self._amend(turn, calls, calls_since=since)
        if run.state.current is State.KILLING:
            calls.stopped = calls.looks = True
        if (source := caller.items_from()) is None:
            self._start_some(calls, turn)
        else:
            self._on_a_thread(calls, partial(texts.items_of, live.view, run, source, self._executor.head_renderer), self._with_items)

    def _with_items(self, calls: Calls, items: tuple[str, ...], turn: Turn) -> None:
        calls.items = items
        self._start_some(calls, turn)

    # --- starting

    def _start_some(self, calls: Calls, turn: Turn) -> None:
        found = self._current(calls)
        if found is None:
            return
        live, run = found
        calls.is_due = False
        numbers = calls.numbers(MOST_PER_TURN) if calls.may_begin or calls.looking else range(0)
        calls.begun += len(numbers)
        fresh = [number for number in numbers if not (calls.looks and self._is_there(calls, run, number, turn))]
        if not fresh or calls.stopped:
            self._carry_on(calls, turn)
            return
        questions = calls.caller.questions()
        contexts = texts.contexts(self._executor.dispatcher.head_context(live.view, run, questions), calls.items, fresh)
        try:
            self._start(calls, texts.rendered(Renderer(), questions, contexts), turn)
        except NeedsServices:
            self._on_a_thread(calls, partial(texts.rendered, self._executor.head_renderer, questions, contexts), self._start)

    def _start(self, calls: Calls, rendered: Sequence[tuple[int, texts.Answers]], turn: Turn) -> None:
        found = self._current(calls)
        if found is None:
            return
        live, run = found
        for number, answers in rendered:
            if calls.stopped or calls.error is not None:
                calls.begun -= 1
                continue
            try:
                if isinstance(answers, OrchestratorError):
                    raise answers
                self._start_one(calls, live, run, number, answers, turn)
            except OrchestratorError as err:
                calls.error, calls.begun = str(err), calls.begun - 1
                say(turn, live, Level.ERROR, calls.error, run.id)
        self._carry_on(calls, turn)

    def _start_one(self, calls: Calls, live: Live, run: TaskRun, number: int, answers: Mapping[str, Json], turn: Turn) -> None:
        caller = Caller(live.view, run, number if calls.items is not None else None)
        flow, execution = self._called.execution(calls.caller.call(answers), caller, turn.now)
        say(turn, live, Level.INFO, f"Started execution {execution.id} of flow {flow.namespace}.{flow.id}", run.id)
        self._note(calls, execution.id, number, turn)
        self._executor.begin(turn, flow, execution)
        if not calls.caller.wait:
            del calls.going[execution.id]
            calls.ends[State.SUCCESS] += 1

    def _note(self, calls: Calls, execution_id: str, number: int, turn: Turn) -> None:
        calls.going[execution_id] = number
        if calls.items is None:
            self._amend(turn, calls, outputs={"executionId": execution_id})

    def _is_there(self, calls: Calls, run: TaskRun, number: int, turn: Turn) -> bool:
        """Whether a call's execution was started before: it is waited for, or taken as it ended, or set back if the run begins again."""
        execution = self.earlier.latest(run, number, turn)
        if execution is None:
            return False
        if self.earlier.is_void(run, execution) and not calls.stopped:
            if not self.earlier.goes_on(execution, turn):
                return False
        elif execution.current.ended or not calls.caller.wait:
            calls.ends[execution.current if calls.caller.wait else State.SUCCESS] += 1
            calls.last = self.earlier.view(execution)
            self._amend(turn, calls, outputs={"executionId": execution.id} if calls.items is None else calls.told())
            return True
        self._note(calls, execution.id, number, turn)
        if calls.stopped:
            self._due.append(partial(self._kill, execution.id))
        return True

    # --- ending

    def _ended(self, calls: Calls, view: ExecutionView, turn: Turn) -> None:
        if self._calls.get(calls.run_id) is not calls or calls.going.pop(view.execution.id, None) is None:
            return
        calls.ends[view.execution.current] += 1
        calls.last = view
        self._carry_on(calls, turn)

    def _carry_on(self, calls: Calls, turn: Turn) -> None:
        """Start more, or end the run; its outputs tell how it stands."""
        found = self._current(calls)
        if found is None:
            return
        if calls.items is not None and found[1].outputs != (told := calls.told()):
            self._amend(turn, calls, outputs=told)
        if calls.may_begin or calls.looking:
            if not (calls.rendering or calls.is_due):
                calls.is_due = True
                self._due.append(partial(self._start_some, calls))
        elif calls.over:
            self._end(calls, turn)

    def _end(self, calls: Calls, turn: Turn) -> None:
        found = self._current(calls)
        if found is None:
            return
        live, _ = found
        if calls.stopped:
            self._executor.step(turn, live, RunStopped(calls.run_id, calls.lease))
            return
        templates = dict(calls.caller.results())
        if not templates or calls.last is None or calls.error is not None:
            self._outcome(calls, calls.last.execution.outputs if calls.last is not None else {}, turn)
            return
        context = self._executor.dispatcher.sealed_context(calls.last, None, templates)
        self._on_a_thread(calls, partial(texts.results_of, self._executor.head_renderer, templates, context), self._outcome)

    def _outcome(self, calls: Calls, results: texts.Answers, turn: Turn) -> None:
        found = self._current(calls)
        if found is None:
            return
        live, run = found
        if isinstance(results, OrchestratorError):
            calls.error, results = f"Failed to extract outputs: {results}", {}
            say(turn, live, Level.WARN, calls.error, run.id)
        del self._calls[calls.run_id]
        self._executor.step(turn, live, RunEnded(calls.outcome(run, results, turn.now)))

    # --- the run, and threads

    def _current(self, calls: Calls) -> tuple[Live, TaskRun] | None:
        """The run as it is now; None when it is over, or another dispatch of it goes on."""
        live = self._executor.live.get(calls.execution_id)
        run = live.view.run(calls.run_id) if live is not None else None
        if live is None or run is None or run.lease != calls.lease or run.state.current.ended or self._calls.get(calls.run_id) is not calls:
            return None
        return live, run

    def _amend(self, turn: Turn, calls: Calls, **fields: Any) -> None:
        found = self._current(calls)
        if found is not None:
            self._executor.amend(turn, found[0], found[1].model_copy(update=fields))

    def _on_a_thread(self, calls: Calls, work: Callable[[], Any], then: Callable[[Calls, Any, Turn], None]) -> None:
        """Do what may block, and go on in a later turn; an error ends the run."""
        calls.rendering = True

        async def do() -> None:
            try:
                result = await asyncio.to_thread(work)
            except Exception as err:
                failed = err if isinstance(err, OrchestratorError) else Refused(f"{type(err).__name__}: {err}")
                self._executor.post(partial(self._back, calls, self._failed, failed))
            else:
                self._executor.post(partial(self._back, calls, then, result))

        self._apart.add(task := asyncio.create_task(do()))
        task.add_done_callback(self._apart.discard)

    def _back(self, calls: Calls, then: Callable[[Calls, Any, Turn], None], result: Any, turn: Turn) -> None:
        calls.rendering = False
        then(calls, result, turn)

    def _failed(self, calls: Calls, err: OrchestratorError, turn: Turn) -> None:
        found = self._current(calls)
        if found is not None:
            calls.error = calls.error or str(err)
            say(turn, found[0], Level.ERROR, str(err), calls.run_id)
            self._carry_on(calls, turn)
