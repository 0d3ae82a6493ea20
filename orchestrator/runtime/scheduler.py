"""Keeps every trigger of every saved flow: has it evaluated when it is due, and takes what becomes of that.

The thin shell around `engine.schedule`: all of it happens in turns of the executor, saved before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.engine.admission import Target
from orchestrator.engine.schedule import decide, may_go, next_moment
from orchestrator.engine.trigger_events import (
    Asked,
    Definition,
    Event,
    ExecutionOver,
    Halt,
    Kind,
    Leaving,
    Lost,
    Missed,
    Rang,
    Removed,
    Saved,
    ServerBegan,
    Standing,
    Verb,
)
from orchestrator.engine.trigger_reasons import TriggerReason, reason_of
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Unavailable
from orchestrator.model.dispatch import Report, Stop
from orchestrator.model.execution import Cause, Execution
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.log import Level, LogLine
from orchestrator.model.state import State
from orchestrator.model.trigger import evaluation_run, is_evaluation
from orchestrator.runtime.date_firing import DateFiring
from orchestrator.runtime.listening import Listening
from orchestrator.runtime.timers import Timers
from orchestrator.runtime.trigger_definitions import Reading, differs, reading_of
from orchestrator.runtime.trigger_dispatching import TriggerDispatcher
from orchestrator.runtime.trigger_entries import Entries, Entry, Name
from orchestrator.runtime.trigger_firing import Firing
from orchestrator.runtime.trigger_placing import TriggerPlacing
from orchestrator.runtime.trigger_reports import TriggerReports
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import Command

if TYPE_CHECKING:
    from orchestrator.model.run_token import RunTokens
    from orchestrator.runtime.executor import Executor

UNDECLARED = Definition(Kind.POLL, obstacle="no flow declares it")
KEPT = 2  # which kinds of triggers have states: 1 (as True) those that workers evaluate, 2 all


class Scheduler:
    """All methods are called in a turn of the executor, but for `load` and `resume`, which come before the first."""

    def __init__(self, executor: Executor, tokens: RunTokens) -> None:
        self._executor = executor
        self._dispatcher = TriggerDispatcher(executor.settings, tokens)
        self._timers = Timers(lambda run, what: executor.post(lambda turn: self._rang(turn, run)), executor.clock)
        self._fresh: dict[tuple[str, str], Flow] = {}  # saved in this turn: nobody else can read them yet
        self.entries = Entries()
        self._placing = TriggerPlacing(executor, self, self._dispatcher)
        self.firing = Firing(executor.settings, executor.head_renderer, executor.dispatcher.seal)
        self._reports = TriggerReports(executor, self, self.firing)
        self._dates = DateFiring(executor, self, self.firing)
        self._listening = Listening(executor, self, self.firing)

    # --- life

    def load(self, commands: Iterable[Command]) -> list[Command]:
        """Learn what is saved; gives back the commands that are about task runs."""
        for state in self._executor.store.triggers():
            self._place(Standing(state), state.key)
            if state.next_execution_date is None:  # it may listen: what it listens to must be known before anything happens
                self.definition(self.entries.named(state.key))
        others = []
        for command in commands:
            body = command.body or {}
            if not is_evaluation(str(body.get("task_run_id", ""))):
                others.append(command)
                continue
            namespace, flow_id, trigger_id = body["trigger"]
            entry = self.entries.named((namespace, flow_id, trigger_id))
            leaving = Leaving(command.target, int(body["lease"]), self._executor.clock())
            self._place(Standing(entry.standing.state, leaving), entry.name)
        return others

    def _place(self, standing: Standing, name: Name) -> None:
        entry = self.entries.named(name)
        entry.standing = standing
        if entry.worker is not None:
            self.definition(entry)
        self.entries.note(entry, worker=None, waited_for=None)

    async def resume(self) -> None:
        """After a start: every place is asked what it holds before anything is sent again."""
        held: dict[str, set[tuple[str, int]] | None] = {}
        for worker in {entry.worker for entry in self.entries.all() if entry.worker is not None}:
            try:
                inventory = await self._executor.cluster.inventory(worker)
            except Unavailable:
                self._executor.lookout.lost(worker, is_certain=False)  # nothing is known of it: it answers, or has stopped some day
                continue
            held[worker] = None if inventory is None else {(one.task_run_id, one.lease) for one in inventory.held}
        await self._executor.do(lambda turn: self._take_up(turn, held))
        if self._executor.store.setting("triggers-caught-up") != KEPT:
            await self._catch_up()

    def _take_up(self, turn: Turn, held: Mapping[str, set[tuple[str, int]] | None]) -> None:
        for entry in self.entries.all():
            state, worker = entry.standing.state, entry.worker
            if worker is not None and worker in held:
                self._asked_after(turn, entry, worker, held[worker])
            if state is not None and state.execution_id is not None and state.execution_id not in self._executor.live:
                found = self._executor.store.execution(state.execution_id)
                self.apply(turn, entry, ExecutionOver(state.execution_id, found.current if found is not None else None))
            if state is not None and state.next_execution_date is not None and self.definition(entry).kind is Kind.DATES:
                self.apply(turn, entry, ServerBegan())
            self._settle(turn, entry)

    def _asked_after(self, turn: Turn, entry: Entry, worker: str, held: set[tuple[str, int]] | None) -> None:
        evaluation = entry.standing.state.evaluation if entry.standing.state is not None else None
        if held is None:
            self.apply(turn, entry, Lost(worker))
        elif evaluation is not None and (entry.run, evaluation.lease) not in held:
            self.apply(turn, entry, Missed())
        elif evaluation is not None and evaluation.stopping is not None:
            self._halt(turn, entry, Halt(worker, evaluation.lease, evaluation.stopping))

    async def _catch_up(self) -> None:
        """Once, on a store from before triggers were kept: what its flows declare."""
        for saved in self._executor.store.flows().rows:
            if saved.flow.triggers:
                await self._executor.do(lambda turn, flow=saved.flow: self._catch_up_with(turn, flow))  # type: ignore[misc]
        await self._executor.do(lambda turn: turn.settings.update({"triggers-caught-up": KEPT}))

    def _catch_up_with(self, turn: Turn, flow: Flow) -> None:
        known = {entry.name[2] for entry in self.entries.of_flow(flow.key) if entry.standing.state is not None}
        for spec in flow.triggers if self._executor.flows.latest(*flow.key) is not None else ():
            if spec.id not in known or reading_of(flow, spec).definition.kind is Kind.DATES:
                self._saved(turn, None, flow, spec)

    # --- flows

    def flow_saved(self, turn: Turn, before: Flow | None, after: Flow) -> None:
        """Add, change or remove triggers as the newest revision of their flow has them; `before` is the one until now."""
        self._fresh[after.key] = after
        turn.after.append(self._fresh.clear)
        declared = {} if after.deleted else {spec.id: spec for spec in after.triggers}
        kept: set[str] = set()
        for spec in declared.values():
            kept.add(self._saved(turn, before, after, spec).run)
        for entry in self.entries.of_flow(after.key):
            if entry.run not in kept and entry.standing.state is not None:
                self._learn(entry, None)
                self.apply(turn, entry, Removed())

    def _saved(self, turn: Turn, before: Flow | None, after: Flow, spec: TriggerSpec) -> Entry:
        entry = self.entries.named((*after.key, spec.id))
        self._learn(entry, reading_of(after, spec, self.firing.judge))
        changed = entry.standing.state is None or before is None or before.deleted or differs(before, after, spec.id)
        self.apply(turn, entry, Saved(entry.name, changed))
        return entry

    def declared(self, entry: Entry) -> tuple[Flow, TriggerSpec] | None:
        """The newest revision of its flow, and what that says of it."""
        flow = self._fresh.get(entry.flow_key) or self._executor.flows.latest(*entry.flow_key)
        spec = next((spec for spec in flow.triggers if spec.id == entry.name[2]), None) if flow is not None and not flow.deleted else None
        return (flow, spec) if flow is not None and spec is not None else None

    def definition(self, entry: Entry) -> Definition:
        """What decides about it; read when it is first asked for."""
        if entry.reading is None and entry.standing.state is not None:
            found = self.declared(entry)
            self._learn(entry, reading_of(*found, self.firing.judge) if found is not None else None)
        return entry.definition or UNDECLARED

    def _learn(self, entry: Entry, reading: Reading | None) -> None:
        entry.reading = reading
        self._listening.ears.learn(entry)

    # --- what happens

    def apply(self, turn: Turn, entry: Entry, event: Event) -> None:
        """Let the engine decide on an event; save and do what follows."""
        before, worker, waited_for = entry.standing, entry.worker, entry.waits_for
        verdict = decide(before, event, self.definition(entry) if before.state is not None else entry.definition, turn.now)
        entry.standing = verdict.standing
        if verdict.halt is not None:
            self._halt(turn, entry, verdict.halt)
        if entry.standing.state is not before.state:
            turn.keep_trigger(entry.name, entry.standing.state)
        if entry.standing.leaving != before.leaving:
            self._note_leaving(turn, entry, before.leaving)
        self.entries.note(entry, worker=worker, waited_for=waited_for)
        if worker is not None and entry.worker != worker:
            self._placing.make_room()
        self._settle(turn, entry)

    def _note_leaving(self, turn: Turn, entry: Entry, before: Leaving | None) -> None:
        """What a trigger that is gone has left running must be remembered although its state is not."""
        leaving = entry.standing.leaving
        if leaving is None or (before is not None and before.lease != leaving.lease):
            turn.answer(f"stop:{entry.run}:{before.lease if before is not None else 0}")
        if leaving is not None and (before is None or before.lease != leaving.lease):
            body = {"task_run_id": entry.run, "lease": leaving.lease, "cause": Cause.KILLED.value, "trigger": list(entry.name)}
            command = Command(id=f"stop:{entry.run}:{leaving.lease}", execution_id=entry.run, kind="stop", target=leaving.worker, body=body, created=turn.now)
            turn.commands[command.id] = command

    def _halt(self, turn: Turn, entry: Entry, halt: Halt) -> None:
        turn.stops.append((halt.worker, Stop(task_run_id=entry.run, execution_id=entry.run, lease=halt.lease, cause=halt.cause)))

    def _settle(self, turn: Turn, entry: Entry) -> None:
        """Wait for what must be waited for."""
        definition = self._needed(entry, turn)
        due = definition is not None and may_go(entry.standing, definition, turn.now)
        dated = definition is not None and definition.kind is Kind.DATES
        self._placing.note(entry, due=due and not dated)
        self._dates.note(entry, due=due and dated)
        moment = None if due else next_moment(entry.standing, definition)
        if definition is None and entry.standing.state is not None:
            moment = entry.standing.state.next_execution_date
        if moment is not None and moment != entry.armed:
            self._timers.set(moment, entry.run, None)
        entry.armed = moment

    def _needed(self, entry: Entry, turn: Turn) -> Definition | None:
        """Its definition; None while it need not be read: after a start no flow is, before something is due."""
        state = entry.standing.state
        if state is None or (entry.definition is None and entry.worker is None and state.next_execution_date and state.next_execution_date > turn.now):
            return None
        return self.definition(entry)

    def _rang(self, turn: Turn, run: str) -> None:
        entry = self.entries.get(run)
        if entry is None or entry.armed is None:
            return
        if entry.armed <= turn.now:
            entry.armed = None
            self.apply(turn, entry, Rang())
        else:  # it waits for another moment by now, or the clock has gone back
            self._timers.set(entry.armed, run, None)

    def admit(self, turn: Turn) -> None:
        """At the end of a turn: send what is due."""
        for execution_id in turn.executions_gone:
            entry = self.entries.waiting_for(execution_id)
            if entry is not None:
                self.apply(turn, entry, ExecutionOver(execution_id, None))
        self._dates.admit(turn)
        self._placing.admit(turn)

    def stir(self) -> bool:
        """Have those that wait for a worker looked at again in the next turn, and the clock; whether there are any of the former."""
        self._timers.look()
        return self._placing.stir()

    def lacking(self) -> Sequence[tuple[Target, str]]:
        """What those wait for that find no worker, each with its namespace."""
        return self._placing.lacking()

    def take(self, turn: Turn, report: Report) -> None:
        """Something that an evaluation reports."""
        entry = self.entries.get(report.task_run_id)
        if entry is not None:
            self._reports.take(turn, entry, report)

    def lose(self, turn: Turn, place: str) -> None:
        """A place is dead: others take over."""
        for entry in self.entries.at(place):
            self.apply(turn, entry, Lost(place))

    def over(self, turn: Turn, execution: Execution) -> None:
        """An execution has ended; it may be one that a trigger waits for."""
        if execution.trigger is not None:
            entry = self.entries.get(evaluation_run(execution.namespace, execution.flow_id, execution.trigger.id))
            if entry is not None:
                self.apply(turn, entry, ExecutionOver(execution.id, execution.current))

    def heard(self, turn: Turn, view: ExecutionView, state: State) -> None:
        """An execution has reached a state: others may start for it."""
        self._listening.heard(turn, view, state)

    # --- people

    def ask(self, turn: Turn, entry: Entry, verb: Verb) -> None:
        """What a person wants of it."""
        self.apply(turn, entry, Asked(verb))

    def reason(self, turn: Turn, entry: Entry) -> TriggerReason:
        """Why it is not evaluated now, or that it is."""
        return reason_of(entry.standing, self.definition(entry), turn.now, entry.held)

    def say(self, turn: Turn, entry: Entry, level: Level, message: str) -> None:
        """A line of the engine's own in the trigger's log."""
        namespace, flow_id, trigger_id = entry.name
        turn.logs.append(LogLine(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id, timestamp=turn.now, level=level, message=message))
