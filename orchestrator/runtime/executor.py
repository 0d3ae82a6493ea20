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
from datetime import UTC, datetime
from typing import Any, TypeVar

from orchestrator.engine.aftermath import is_over
from orchestrator.engine.concurrency import FlowSlots, put
from orchestrator.engine.events import (
    CloseFolder,
    Decision,
    Evaluate,
    Event,
    KillAsked,
    Run,
    Say,
    SetTimer,
    StartAnew,
    StopRun,
    TimerFired,
    TimerKind,
)
from orchestrator.engine.reconcile import reconcile
from orchestrator.engine.replaying import fresh
from orchestrator.engine.start_budget import StartBudget
from orchestrator.engine.step import step
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Fenced, OrchestratorError, StoreUnavailable, Unavailable
from orchestrator.lang.expressions import Renderer
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow
from orchestrator.model.run_token import RunTokens
from orchestrator.model.state import State
from orchestrator.runtime.admitting import BEGIN, Admitting
from orchestrator.runtime.calling import Calling
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.dispatching import Dispatcher
from orchestrator.runtime.evaluating import Evaluating
from orchestrator.runtime.flow_cache import FlowCache
from orchestrator.runtime.known_backends import KnownBackends
from orchestrator.runtime.live import Live, say
from orchestrator.runtime.lookout import Lookout
from orchestrator.runtime.losing import Losing
from orchestrator.runtime.meters import Meters
from orchestrator.runtime.outliving import note_outliving, outliving
from orchestrator.runtime.places import Places
from orchestrator.runtime.placing import Placing
from orchestrator.runtime.reaping import Reaping
from orchestrator.runtime.resuming import Resuming
from orchestrator.runtime.roster import Roster
from orchestrator.runtime.scaling import Scaling, Told, Triggers
from orchestrator.runtime.scheduler import Scheduler
from orchestrator.runtime.timers import Timers
from orchestrator.runtime.turn import Turn
from orchestrator.runtime.watching import Watchers
from orchestrator.runtime.worker_groups import WorkerGroups
from orchestrator.settings import Settings
from orchestrator.store.port import StateStore

T = TypeVar("T")
MOST_PER_TURN = 500  # inbox items; bounds how long a turn, and so an answer, may take
PLACE = "place"  # the timer of a run that may leave its line for another


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
        self.flows, self.groups = FlowCache(store), WorkerGroups(store, settings)
        self.head_renderer = head_renderer or Renderer()
        self.places, self.watchers = Places(lambda: self.groups.declared), Watchers()
        self.meters = Meters()
        self.roster = Roster(store, self.places, cluster, self.post)
        triggers = Triggers(counts=lambda: self.scheduler.entries.counts(), lacking=lambda: self.scheduler.lacking())
        told = Told(leaves=self.roster.leaves, overdue=lambda growth: self.post(lambda turn: self.placing.no_machine_comes(turn, growth)))
        self.scaling = Scaling(groups=self.groups, places=self.places, cluster=cluster, triggers=triggers, told=told)
        self.lookout = Lookout(
            cluster=cluster,
            places=self.places,
            post=self.post,
            lose=Losing(self).lose,
            before=lambda: self.scaling.look(clock()),
            looked=lambda: self.roster.look(clock()),
            waits=lambda: self.scheduler.stir() or bool(self.places.queued()),
        )
        self.timers = Timers(self._ring, clock)
        installation = store.installation()
        tokens = RunTokens(base64.b64decode(installation.secrets["tokens"]))
        self.dispatcher = Dispatcher(settings, tokens, self.flows)
        self.reaping = Reaping(self, KnownBackends(store, settings, tokens), installation.id)
        self.live: dict[str, Live] = {}
        self.slots = FlowSlots()
        self._starts, self._prices = StartBudget(retries=settings.start_retries), settings.price_book
        self._inbox: deque[tuple[Callable[[Turn], Any], asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.placing = Placing(
            places=self.places,
            cluster=cluster,
            dispatcher=self.dispatcher,
            groups=self.groups,
            live=self.live,
            amend=self.amend,
            meters=self.meters,
            ring=lambda at, execution_id, run_id: self.timers.set(at, execution_id, (PLACE, run_id)),
        )
        self.placing.asked_for, self.placing.may_grow = self.scaling.asked_for, self.scaling.may_grow
        self.scheduler, self.calling, self.admitting = Scheduler(self, tokens), Calling(self), Admitting(self)
        self._evaluating = Evaluating(dispatcher=self.dispatcher, rich=self.head_renderer, answered=self._answered)
        self.ready = False

    # --- life

    async def start(self, owner: str) -> None:
        """Take the store, load what is unfinished, learn who holds what, and go on."""
        self.store.take_ownership(owner, self.clock())
        for execution in (*self.store.unfinished(), *outliving(self.store)):
            self._load(execution)
        self.lookout.begin()
        await self.lookout.look()
        self._tasks = [asyncio.create_task(self._turns()), asyncio.create_task(self.lookout.look_on())]
        await Resuming(self).resume(self.scheduler.load(self.store.commands()))
        await self.scheduler.resume()
        self._tasks.append(asyncio.create_task(self.reaping.go_on()))
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
        view = ExecutionView(saved.flow, execution, self.store.task_runs(execution.id), self.flows.resolve)
        live = self.keep(Live(view, execution.version, outlives=execution.current.ended))
        self.slots.note(execution)
        return live

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
        self.admitting.admit(turn)
        self.calling.go_on(turn)
        for live, event in self.placing.admit(turn):
            self.step(turn, live, event)
        self.scheduler.admit(turn)
        if self.slots.are_stirred or self.calling.is_due:  # by a run that could not even be sent, or started what ended at once
            self.post(lambda turn: None)
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
        for place, some in turn.stops_by_place().items():
            self.cluster.stop(place, some)
        for execution_id in turn.touched:
            live = self.live.get(execution_id)
            self.watchers.tell(execution_id)
            if live is not None and is_over(live.view):
                del self.live[execution_id]
        for act in turn.after:
            act()

    # --- deciding

    def keep(self, live: Live) -> Live:
        """Hold an unfinished execution in memory."""
        live.view.rules = lambda: self.groups.rules
        live.view.starts, live.view.prices = self._starts, self._prices
        live.at_work = any(run.attempts for run in live.view.runs)
        self.live[live.view.execution.id] = live
        self.calling.kept(live.view.execution)
        return live

    def begin(self, turn: Turn, flow: Flow, execution: Execution) -> Live:
        """Take up a new execution and let it start."""
        live = self._created(turn, flow, execution)
        self.admitting.take_up(turn, live)
        return live

    def begin_later(self, turn: Turn, flow: Flow, execution: Execution) -> None:
        """Save a new execution in this turn, and let it start in the next: what starts another at once could go on for ever in one turn."""
        self._created(turn, flow, execution)
        self.post(lambda following: self.admitting.due(following, execution.id))

    def _created(self, turn: Turn, flow: Flow, execution: Execution) -> Live:
        live = self.keep(Live(ExecutionView(flow, execution, (), self.flows.resolve), execution.version - 1))
        turn.add(execution.id, Decision(execution=execution))
        return live

    def put(self, turn: Turn, live: Live, state: State) -> None:
        """Let an execution that has not begun wait for its turn, or end without having run. Raises IllegalTransition."""
        self.carry_out(turn, live, put(live.view, state, turn.now))

    def take_up(self, turn: Turn, view: ExecutionView, saved: int) -> Live:
        """Go on with an execution from rows that a person set back, or copied; `saved` is its version in the store."""
        live = self.keep(Live(view, saved))
        turn.add(view.execution.id, Decision(execution=view.execution, runs=tuple(view.runs)))
        self.carry_out(turn, live, reconcile(view, turn.now, self.flows.resolve, self.new_id))
        return live

    def step(self, turn: Turn, live: Live, event: Event) -> None:
        """Let the engine decide on an event, and on all that follows from it at once."""
        self.carry_out(turn, live, step(live.view, event, turn.now, self.new_id, self.flows.resolve))

    def carry_out(self, turn: Turn, live: Live, decision: Decision) -> None:
        """Take over a decision, obey its commands, and decide on what follows from them at once."""
        commands: deque[object] = deque()
        self._take(turn, live, decision, commands)
        while commands:
            event = self._obey(turn, live, commands.popleft())
            if event is not None:
                self._take(turn, live, step(live.view, event, turn.now, self.new_id, self.flows.resolve), commands)

    def _take(self, turn: Turn, live: Live, decision: Decision, commands: deque[object]) -> None:
        if decision.empty:
            return
        had_ended = live.view.execution.current.ended
        known = len(live.view.execution.state.histories)
        live.view.apply(decision)
        turn.add(live.view.execution.id, decision)
        self.slots.note(live.view.execution)
        for entered in live.view.execution.state.histories[known:]:
            self.scheduler.heard(turn, live.view, entered.state)
        if live.view.execution.current.ended:
            note_outliving(turn, live)
        if live.view.execution.current.ended and not had_ended:
            self.scheduler.over(turn, live.view.execution)
            self.calling.over(live.view)
        for run in decision.runs:
            if run.state.current.ended:
                self.placing.let_go_of(turn, run)
                self.calling.let_go_of(run)
        commands.extend(decision.commands)

    def amend(self, turn: Turn, live: Live, run: TaskRun) -> None:
        """Save a fact about a run that no decision hangs on: a phase, its job's handle, where it was sent."""
        decision = Decision(execution=live.view.execution, runs=(run,))
        live.view.apply(decision)
        turn.add(live.view.execution.id, decision)

    def amend_execution(self, turn: Turn, live: Live, **fields: Any) -> None:
        """Save a fact about an execution that no decision hangs on: a label."""
        decision = Decision(execution=live.view.execution.model_copy(update=fields))
        live.view.apply(decision)
        turn.add(live.view.execution.id, decision)

    def _obey(self, turn: Turn, live: Live, command: object) -> Event | None:
        match command:
            case Evaluate():
                return self._evaluating.evaluate(live, command)
            case Run(run=run):
                if not self.calling.takes(live, run):
                    return self.placing.queue(turn, live, run)
                self.calling.begin(run)
            case StopRun(task_run_id=run_id):
                return self.calling.stop(turn, command) if self.calling.takes(live, live.view.known(run_id)) else self.placing.stop(turn, live, command)
            case CloseFolder(task_run_id=run_id):
                return self.placing.close(turn, live, live.view.known(run_id))
            case SetTimer(kind=kind, at=at, task_run_id=run_id):
                self.timers.set(at, live.view.execution.id, (kind, run_id))
            case StartAnew(at=at):
                again = fresh(live.view.execution, self.new_id(), turn.now)
                self.begin(turn, live.view.flow, again.model_copy(update={"schedule_date": at}))
            case Say(level=level, message=message, task_run_id=run_id):
                say(turn, live, level, message, run_id)
        return None

    # --- the world outside

    def _answered(self, live: Live, event: Event) -> None:
        self.post(lambda turn: self.step(turn, live, event))

    def _ring(self, execution_id: str, what: object) -> None:
        kind, run_id = what if isinstance(what, tuple) else (what, None)
        if kind == PLACE:
            self.post(lambda turn: self.placing.due(run_id))
            return
        if kind == BEGIN:
            self.post(lambda turn: self.admitting.due(turn, execution_id))
            return
        self.post(lambda turn: self.on(turn, execution_id, TimerFired(TimerKind(kind), run_id)))

    def on(self, turn: Turn, execution_id: str, event: Event) -> None:
        """Step an execution if it still lives."""
        live = self.live.get(execution_id)
        if live is not None:
            self.step(turn, live, event)

    def kill(self, turn: Turn, execution_id: str, *, cascade: bool = True) -> None:
        """Begin to end an execution, and unless `cascade` is off all that it has started."""
        if not cascade:
            self.calling.spare(execution_id)
        self.on(turn, execution_id, KillAsked())
        if cascade:
            self.calling.kill_below(execution_id)

    def heard(self, place: str) -> None:
        """A place has given a sign of life."""
        self.lookout.heard(place)
