"""The one writer: an endless loop of turns, each one transaction.

A turn drains the inbox, lets `engine.step` decide on every event, places what may go, saves all of it, and only then
answers, sends and tells. It is crash-only: when a commit fails the process ends, and the next one starts from the store.
"""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from orchestrator.engine.admission import Waiting
from orchestrator.engine.endings import OUTPUTS
from orchestrator.engine.events import (
    Decision,
    Evaluate,
    Evaluated,
    Event,
    KillAsked,
    Run,
    RunLost,
    RunRefused,
    RunStopped,
    Say,
    SetTimer,
    Started,
    StopRun,
    TimerFired,
    TimerKind,
)
from orchestrator.engine.reconcile import reconcile
from orchestrator.engine.step import step
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Fenced, OrchestratorError, StoreUnavailable, Unavailable
from orchestrator.lang.expressions import NeedsServices, Renderer
from orchestrator.lang.outputs import resolve_outputs
from orchestrator.model.dispatch import Stop
from orchestrator.model.execution import Cause, Execution, Placement, TaskRun, Where
from orchestrator.model.flow import Fallback, Flow
from orchestrator.model.log import Level, LogLine
from orchestrator.model.run_token import RunTokens
from orchestrator.model.state import State
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.dispatching import Dispatcher
from orchestrator.runtime.flow_cache import FlowCache
from orchestrator.runtime.places import Places
from orchestrator.runtime.timers import Timers
from orchestrator.runtime.turn import Turn
from orchestrator.runtime.watching import Watchers
from orchestrator.settings import Settings
from orchestrator.store.port import Command, StateStore

T = TypeVar("T")
MOST_PER_TURN = 500  # inbox items; bounds how long a turn, and so an answer, may take
LOOK_EVERY = 0.5  # seconds between looks at the cluster


@dataclass
class Live:
    """An unfinished execution in memory; `saved` is its version in the store."""

    view: ExecutionView
    saved: int


class Executor:
    """Owns the store and every unfinished execution. All methods run on one event loop."""

    def __init__(
        self,
        *,
        store: StateStore,
        cluster: Cluster,
        settings: Settings,
        new_id: Callable[[], str],
        head_renderer: Renderer | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store, self.cluster, self.settings, self.new_id, self.clock = store, cluster, settings, new_id, clock
        self.flows = FlowCache(store)
        self.renderer = Renderer()  # without services: what needs them is rendered on a thread
        self.head_renderer = head_renderer or self.renderer
        self.places, self.watchers = Places(), Watchers()
        self.timers = Timers(self._ring, clock)
        installation = store.installation()
        self.dispatcher = Dispatcher(settings, RunTokens(base64.b64decode(installation.secrets["tokens"])), self.flows)
        self.live: dict[str, Live] = {}
        self._inbox: deque[tuple[Callable[[Turn], Any], asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks_apart: set[asyncio.Task[None]] = set()
        self._fresh: set[str] = set()  # commands first written in this turn
        self.ready = False

    # --- life

    async def start(self, owner: str) -> None:
        """Take the store, load what is unfinished, learn who holds what, and go on."""
        self.store.take_ownership(owner, self.clock())
        for execution in self.store.unfinished():
            self._load(execution)
        self.cluster.on_lost(self._place_lost)
        await self._look()
        self._tasks = [asyncio.create_task(self._turns()), asyncio.create_task(self._look_on())]
        await self._resume()
        self.ready = True

    async def close(self) -> None:
        """Stop deciding; what is saved stays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close()

    def _load(self, execution: Execution) -> Live | None:
        saved = self.flows.saved(execution.namespace, execution.flow_id, execution.flow_revision)
        if saved is None:
            return None  # its flow was purged by hand: nothing can be decided about it
        live = Live(ExecutionView(saved.flow, execution, self.store.task_runs(execution.id), self.flows.resolve), execution.version)
        self.live[execution.id] = live
        return live

    async def _resume(self) -> None:
        """After a start: every place is asked what it holds before anything is sent again."""
        held: dict[str, set[tuple[str, int]]] = {}
        commands = self.store.commands()
        for place in {command.target for command in commands if command.target and command.kind in ("run", "stop")}:
            try:
                inventory = await self.cluster.inventory(place)
            except Unavailable:
                inventory = None
            if inventory is not None:
                held[place] = {(one.task_run_id, one.lease) for one in inventory.held}
        await self.do(lambda turn: self._take_up(turn, commands, held))

    def _take_up(self, turn: Turn, commands: Any, held: dict[str, set[tuple[str, int]]]) -> None:
        lost: list[tuple[Live, RunLost]] = []
        for command in commands:
            live, body = self.live.get(command.execution_id), command.body or {}
            run = live.view.run(body["task_run_id"]) if live is not None else None
            if live is None or run is None or run.state.current.ended or run.lease != body["lease"]:
                turn.answer(command.id)
            elif command.kind == "run" and (run.id, run.lease) in held.get(command.target, ()):
                self.places.take(run.id, command.target, run.execution_id)
            elif command.kind == "run" and not command.target:
                self._queue(turn, live, run)
            elif command.kind == "run":
                lost.append((live, RunLost(run.id, run.lease, Cause.WORKER_LOST)))
            elif command.kind == "stop":
                self._stop(turn, live, StopRun(run.id, run.lease, Cause(body["cause"])))
        for live, event in lost:
            self.step(turn, live, event)
        for live in list(self.live.values()):
            self._carry_out(turn, live, reconcile(live.view, turn.now, self.flows.resolve, self.new_id))

    # --- turns

    async def do(self, work: Callable[[Turn], T]) -> T:
        """Have `work` done in a turn; its result once all it changed is saved. Raises what it raises."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._inbox.append((work, future))
        self._wake.set()
        return await future

    def post(self, work: Callable[[Turn], Any]) -> None:
        """As `do`, with nobody waiting."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._inbox.append((work, future))
        self._wake.set()

    async def _turns(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await asyncio.sleep(0)  # let the calls that arrived together share one commit
                while self._inbox:
                    self._turn()
                    await asyncio.sleep(0)
        except Exception as err:  # a bug in placing or sending, too: a loop that ends in silence would answer nobody again
            if not isinstance(err, Fenced | StoreUnavailable):
                traceback.print_exception(err)
            if not self.failed.done():
                self.failed.set_exception(err)
            for _, future in self._inbox:
                if not future.done():
                    future.set_exception(Unavailable(f"the executor lost its store: {err}"))

    def _turn(self) -> None:
        turn, done = Turn(self.clock()), []
        for _ in range(min(len(self._inbox), MOST_PER_TURN)):
            work, future = self._inbox.popleft()
            try:
                done.append((future, work(turn)))
            except OrchestratorError as err:
                if not future.done():
                    future.set_exception(err)
            except Exception as err:  # a bug must fail the one who asked, never the loop
                if not future.done():
                    future.set_exception(OrchestratorError(f"internal error: {type(err).__name__}: {err}"))
        self._admit(turn)
        try:
            self._commit(turn)
        except (Fenced, StoreUnavailable) as err:
            for future, _ in done:
                if not future.done():
                    future.set_exception(Unavailable(f"nothing was saved: {err}"))
            raise
        for future, result in done:
            if not future.done():
                future.set_result(result)
        self._afterwards(turn)

    def _commit(self, turn: Turn) -> None:
        if turn.empty:
            return
        for execution_id, execution in turn.executions.items():
            live = self.live.get(execution_id)
            if live is not None:  # a turn may take several steps: one save, one version up
                turn.executions[execution_id] = execution.model_copy(update={"version": live.saved + 1})
        self.store.commit(turn.changes())
        for execution_id, execution in turn.executions.items():
            if execution_id in self.live:
                self.live[execution_id].saved = execution.version

    def _afterwards(self, turn: Turn) -> None:
        for place, dispatch in turn.sends:
            self.cluster.run(place, dispatch)
        stops: dict[str, list[Stop]] = {}
        for place, stop in turn.stops:
            stops.setdefault(place, []).append(stop)
        for place, some in stops.items():
            self.cluster.stop(place, some)
        for execution_id in turn.touched:
            live = self.live.get(execution_id)
            self.watchers.tell(execution_id)
            if live is not None and live.view.execution.current.ended and not live.view.active():
                del self.live[execution_id]
        for act in turn.after:
            act()

    # --- deciding

    def begin(self, turn: Turn, flow: Flow, execution: Execution) -> Live:
        """Take up a new execution and let it start."""
        live = Live(ExecutionView(flow, execution, (), self.flows.resolve), execution.version - 1)
        self.live[execution.id] = live
        turn.add(execution.id, Decision(execution=execution))
        self.step(turn, live, Started())
        return live

    def step(self, turn: Turn, live: Live, event: Event) -> None:
        """Let the engine decide on an event, and on all that follows from it at once."""
        self._carry_out(turn, live, step(live.view, event, turn.now, self.new_id, self.flows.resolve))

    def _carry_out(self, turn: Turn, live: Live, decision: Decision) -> None:
        commands: deque[object] = deque()
        self._take(turn, live, decision, commands)
        while commands:
            event = self._obey(turn, live, commands.popleft())
            if event is not None:
                self._take(turn, live, step(live.view, event, turn.now, self.new_id, self.flows.resolve), commands)

    def _take(self, turn: Turn, live: Live, decision: Decision, commands: deque[object]) -> None:
        if decision.empty:
            return
        live.view.apply(decision)
        turn.add(live.view.execution.id, decision)
        for run in decision.runs:
            if run.state.current.ended:
                self._let_go(turn, run)
        commands.extend(decision.commands)

    def amend(self, turn: Turn, live: Live, run: TaskRun) -> None:
        """Save a fact about a run that no decision hangs on: a phase, its job's handle, where it was sent."""
        decision = Decision(execution=live.view.execution, runs=(run,))
        live.view.apply(decision)
        turn.add(live.view.execution.id, decision)

    def _obey(self, turn: Turn, live: Live, command: object) -> Event | None:
        match command:
            case Evaluate():
                return self._evaluate(live, command)
            case Run(run=run):
                return self._queue(turn, live, run)
            case StopRun():
                return self._stop(turn, live, command)
            case SetTimer(kind=kind, at=at, task_run_id=run_id):
                self.timers.set(at, live.view.execution.id, (kind, run_id))
            case Say(level=level, message=message, task_run_id=run_id):
                self.say(turn, live, level, message, run_id)
        return None

    def _evaluate(self, live: Live, command: Evaluate) -> Event | None:
        run = live.view.run(command.task_run_id) if command.task_run_id is not None else None
        context = self.dispatcher.head_context(live.view, run, command.templates)
        try:
            return Evaluated(command.task_run_id, command.question, self._answers(self.renderer, live, command, context))
        except NeedsServices:
            self._tasks_apart.add(task := asyncio.create_task(self._evaluate_apart(live, command, context)))
            task.add_done_callback(self._tasks_apart.discard)
            return None
        except OrchestratorError as err:
            return Evaluated(command.task_run_id, command.question, error=str(err))

    def _answers(self, renderer: Renderer, live: Live, command: Evaluate, context: dict[str, Any]) -> dict[str, Any]:
        """The templates rendered; of a flow's outputs, read as the types they declare. Raises OrchestratorError."""
        rendered = {name: renderer.render_any(template, context) for name, template in command.templates.items()}
        return resolve_outputs(live.view.flow, rendered, seal=self.dispatcher.seal) if command.question == OUTPUTS else rendered

    async def _evaluate_apart(self, live: Live, command: Evaluate, context: dict[str, Any]) -> None:
        try:
            answers = await asyncio.to_thread(self._answers, self.head_renderer, live, command, context)
            event = Evaluated(command.task_run_id, command.question, answers)
        except OrchestratorError as err:
            event = Evaluated(command.task_run_id, command.question, error=str(err))
        self.post(lambda turn: self.step(turn, live, event))

    def say(self, turn: Turn, live: Live, level: Level, message: str, task_run_id: str | None = None) -> None:
        """A log line of the engine's own."""
        execution = live.view.execution
        run = live.view.run(task_run_id) if task_run_id is not None else None
        turn.logs.append(
            LogLine(
                namespace=execution.namespace,
                flow_id=execution.flow_id,
                execution_id=execution.id,
                task_id=run.task_id if run else None,
                task_run_id=task_run_id,
                attempt_number=max(0, len(run.attempts) - 1) if run else None,
                timestamp=turn.now,
                level=level,
                message=message,
            )
        )
        turn.touched[execution.id] = None

    # --- placing

    def _queue(self, turn: Turn, live: Live, run: TaskRun) -> Event | None:
        spec = live.view.spec(run)
        placement = self.dispatcher.placement(live.view, run, spec)
        if placement.group not in self.places.groups():
            refused = self._without_worker(turn, live, run, placement)
            if refused is not None:
                return refused
            if placement.fallback == Fallback.IGNORE:
                placement = placement.model_copy(update={"group": "", "passed_over": (f"no worker in group '{placement.group}'",)})
        self.amend(turn, live, run.model_copy(update={"placement": placement}))
        turn.commands[_run_id(run)] = Command(
            id=_run_id(run), execution_id=run.execution_id, kind="run", target="", body={"task_run_id": run.id, "lease": run.lease}, created=turn.now
        )
        self._fresh.add(_run_id(run))
        self.places.wait(
            placement.group,
            Waiting(run.id, run.execution_id, run.namespace, live.view.execution.state.start),
            supervised=placement.where is Where.SUPERVISOR,
        )
        return None

    def _without_worker(self, turn: Turn, live: Live, run: TaskRun, placement: Placement) -> Event | None:
        told = f"No workers are available for worker group '{placement.group}'"
        match Fallback(placement.fallback):
            case Fallback.FAIL:
                return RunRefused(run.id, State.FAILED, Cause.NO_WORKER, told)
            case Fallback.CANCEL:
                return RunRefused(run.id, State.CANCELLED, Cause.NO_WORKER, told)
            case Fallback.WAIT if placement.group:
                self.say(turn, live, Level.INFO, f"{told}: waiting for one to join", run.id)
        return None

    def _admit(self, turn: Turn) -> None:
        for waiting, worker, supervised in self.places.admit():
            live = self.live.get(waiting.execution_id)
            run = live.view.run(waiting.task_run_id) if live is not None else None
            if live is None or run is None or run.state.current.ended:
                self.places.release(waiting.task_run_id)
                continue
            place = worker
            if supervised:
                place = self.cluster.supervisor_of(worker)
                self.places.take(run.id, place, run.execution_id)
            if _run_id(run) not in self._fresh:
                turn.answered[_run_id(run)] = None  # the row without a target goes first, then this one comes
            turn.commands[_run_id(run)] = Command(
                id=_run_id(run), execution_id=run.execution_id, kind="run", target=place, body={"task_run_id": run.id, "lease": run.lease}, created=turn.now
            )
            turn.sends.append((place, self.dispatcher.dispatch(live.view, run, live.view.spec(run), turn.now)))
        self._fresh.clear()

    def _stop(self, turn: Turn, live: Live, command: StopRun) -> Event | None:
        if self.places.withdraw(command.task_run_id):
            turn.answer(f"run:{command.task_run_id}:{command.lease}")
            return RunStopped(command.task_run_id, command.lease)
        place = self.places.place_of(command.task_run_id)
        if place is None:
            return RunStopped(command.task_run_id, command.lease)
        stop_id = f"stop:{command.task_run_id}:{command.lease}"
        body = {"task_run_id": command.task_run_id, "lease": command.lease, "cause": command.cause.value}
        turn.commands[stop_id] = Command(id=stop_id, execution_id=live.view.execution.id, kind="stop", target=place, body=body, created=turn.now)
        turn.stops.append((place, Stop(task_run_id=command.task_run_id, execution_id=live.view.execution.id, lease=command.lease, cause=command.cause)))
        return None

    def let_go(self, turn: Turn, task_run_id: str, lease: int) -> None:
        """Nothing of this dispatch is out any more: free its slot, forget its commands."""
        self.places.withdraw(task_run_id)
        self.places.release(task_run_id)
        turn.answer(f"run:{task_run_id}:{lease}")
        turn.answer(f"stop:{task_run_id}:{lease}")

    def _let_go(self, turn: Turn, run: TaskRun) -> None:
        if run.lease and (self.places.holds(run.id)):
            self.let_go(turn, run.id, run.lease)

    # --- the world outside

    def _ring(self, execution_id: str, what: object) -> None:
        kind, run_id = what if isinstance(what, tuple) else (what, None)
        self.post(lambda turn: self.on(turn, execution_id, TimerFired(TimerKind(kind), run_id)))

    def on(self, turn: Turn, execution_id: str, event: Event) -> None:
        """Step an execution if it still lives."""
        live = self.live.get(execution_id)
        if live is not None:
            self.step(turn, live, event)

    def kill(self, turn: Turn, execution_id: str) -> None:
        """Begin to end an execution."""
        self.on(turn, execution_id, KillAsked())

    def _place_lost(self, place: str) -> None:
        self.post(lambda turn: self._lose(turn, place))

    def _lose(self, turn: Turn, place: str) -> None:
        for run_id, execution_id in self.places.lose(place):
            live = self.live.get(execution_id)
            run = live.view.run(run_id) if live is not None else None
            if live is not None and run is not None:
                turn.answer(_run_id(run))
                turn.answer(f"stop:{run.id}:{run.lease}")
                self.step(turn, live, RunLost(run.id, run.lease, Cause.WORKER_LOST))

    async def _look(self) -> None:
        self.places.see((await self.cluster.look()).workers)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._look()
            except Unavailable:
                continue
            if self.places.queued():
                self.post(lambda turn: None)  # a turn admits what has found room


def _run_id(run: TaskRun) -> str:
    return f"run:{run.id}:{run.lease}"
