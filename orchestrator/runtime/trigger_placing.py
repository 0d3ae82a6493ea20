"""Sends triggers that are due to workers of the groups they ask for, or keeps them waiting with the reason why."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.engine.admission import Target
from orchestrator.engine.schedule import may_go
from orchestrator.engine.trigger_events import Ended, How, Kind, Placed, Skipped
from orchestrator.engine.trigger_placing import Chosen, Held, PassedOver, place_for, workers_for
from orchestrator.engine.wishes import Step, Wish
from orchestrator.errors import NotFound, OrchestratorError
from orchestrator.lang.calendar import written
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.log import Level
from orchestrator.model.trigger import MOST_LISTENERS, MOST_LOOKS
from orchestrator.model.worker import WorkerInfo
from orchestrator.runtime.trigger_dispatching import TriggerDispatcher
from orchestrator.runtime.trigger_entries import Entry
from orchestrator.runtime.turn import Turn

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.scheduler import Scheduler

MOST = {Kind.POLL: MOST_LOOKS, Kind.LISTEN: MOST_LISTENERS}


def _target(step: Step) -> Target:
    """An evaluation needs a worker of a step's groups, and no slot of it."""
    return Target.of(step, supervised=True, resources=None)


class TriggerPlacing:
    """`due` are looked at in this turn; those that find no worker wait until something has changed."""

    def __init__(self, executor: Executor, scheduler: Scheduler, dispatcher: TriggerDispatcher) -> None:
        self._executor, self._scheduler, self._dispatcher = executor, scheduler, dispatcher
        self._due: dict[str, Entry] = {}
        self._lacking: dict[str, Entry] = {}  # wait for a worker
        self._crowded: dict[str, Entry] = {}  # wait for room
        self._found: dict[tuple[Step, str], Sequence[WorkerInfo]] = {}  # in this turn, by step and namespace

    def note(self, entry: Entry, *, due: bool) -> None:
        """Something has changed about it."""
        entry.held = None
        for line in (self._due, self._lacking, self._crowded):
            line.pop(entry.run, None)
        if due:
            self._due[entry.run] = entry

    def lacking(self) -> Sequence[tuple[Target, str]]:
        """What those wait for that find no worker, each with its namespace."""
        wishes = ((entry.wish[1], entry.name[0]) for entry in self._lacking.values() if entry.wish is not None)
        return [(_target(next(step for step in wish.steps if step.runner is None)), namespace) for wish, namespace in wishes]

    def make_room(self) -> None:
        """A worker has room for one more: have those looked at again that wait for it."""
        self._due |= self._crowded

    def stir(self) -> bool:
        """Have all that wait looked at again; whether there are any."""
        self._due |= self._crowded | self._lacking
        return bool(self._due)

    def admit(self, turn: Turn) -> None:
        """Send what is due and finds a worker."""
        due, self._due = self._due, {}
        self._found.clear()
        for entry in due.values():
            try:
                self._one(turn, entry)
            except Exception as err:  # one that cannot be sent must never hold up the others, nor end the executor
                if not isinstance(err, OrchestratorError):
                    traceback.print_exc()
                self._scheduler.say(turn, entry, Level.ERROR, f"It cannot be evaluated: {err}")
                self._scheduler.apply(turn, entry, Skipped())

    def _one(self, turn: Turn, entry: Entry) -> None:
        definition, state = self._scheduler.definition(entry), entry.standing.state
        found = self._scheduler.declared(entry)
        if state is None or state.next_execution_date is None or found is None or not may_go(entry.standing, definition, turn.now):
            return
        flow, spec = found
        if not self._passes(turn, entry, flow, spec):
            self._scheduler.apply(turn, entry, Skipped())
            return
        wish, waited = self._wish(entry, flow, spec), turn.now - state.next_execution_date
        match place_for(
            wish,
            waited,
            find=lambda step: self._workers(step, flow.namespace),
            room=lambda worker: self._room(worker, definition.kind),
            may_grow=lambda step: self._executor.scaling.may_grow(_target(step), flow.namespace),
        ):
            case Chosen(worker=worker):
                self._send(turn, entry, flow, spec, worker)
            case PassedOver(places=places, fallback=fallback):
                told = f"No workers are available for {' or '.join(places)}: not evaluated this time (fallback {fallback})"
                self._scheduler.say(turn, entry, Level.WARN, told)
                self._scheduler.apply(turn, entry, Skipped())
            case Held() as held:
                self._wait(turn, entry, held)

    def _passes(self, turn: Turn, entry: Entry, flow: Flow, spec: TriggerSpec) -> bool:
        """Whether its conditions let it be evaluated now; one that cannot be tested does not."""
        conditions = entry.reading.conditions if entry.reading is not None else None
        if conditions is None:
            return True
        try:
            return conditions.hold(self._scheduler.firing.judge(flow, spec, {"date": written(turn.now)}))
        except OrchestratorError as err:
            self._scheduler.say(turn, entry, Level.WARN, f"Its conditions cannot be tested: {err}")
            return False

    def _wish(self, entry: Entry, flow: Flow, spec: TriggerSpec) -> Wish:
        """Where it asks to go, made out again when its flow or the rules have changed."""
        version = (flow.revision, self._executor.groups.version)
        if entry.wish is None or entry.wish[0] != version:
            wish = self._dispatcher.wish(flow, spec, self._executor.groups.rules)
            self._check(wish)
            entry.wish = (version, wish)
        return entry.wish[1]

    def _check(self, wish: Wish) -> None:
        """Raises NotFound for a group that nobody has declared: only a template can have brought it."""
        groups = self._executor.groups
        for unknown in (step.group for step in wish.steps if step.group and not groups.knows(step.group)):
            near = groups.nearest(unknown)
            raise NotFound(f"there is no worker group '{unknown}'" + (f": did you mean '{near}'?" if near else ""))

    def _workers(self, step: Step, namespace: str) -> Sequence[WorkerInfo]:
        key = (step, namespace)
        if key not in self._found:
            self._found[key] = workers_for(step, self._executor.places.workers(), self._executor.groups.declared, namespace)
        return self._found[key]

    def _room(self, worker: WorkerInfo, kind: Kind) -> int:
        return MOST[kind] - self._scheduler.entries.count(worker.name, kind)

    def _send(self, turn: Turn, entry: Entry, flow: Flow, spec: TriggerSpec, worker: WorkerInfo) -> None:
        self._scheduler.apply(turn, entry, Placed(worker.name, self._executor.new_id()))
        evaluation = entry.standing.state.evaluation if entry.standing.state is not None else None
        assert evaluation is not None
        try:
            dispatch = self._dispatcher.dispatch(flow, spec, self._scheduler.definition(entry), evaluation, worker.group)
        except Exception:
            self._scheduler.apply(turn, entry, Ended(evaluation.lease, How.FAILED))
            raise
        self._executor.places.note_use(worker.name)
        turn.sends.append((worker.name, dispatch))

    def _wait(self, turn: Turn, entry: Entry, held: Held) -> None:
        before, entry.held = entry.held, held
        (self._lacking if held.lacking else self._crowded)[entry.run] = entry
        if held.lacking and (before is None or before.lacking != held.lacking):
            self._scheduler.say(turn, entry, Level.INFO, f"No workers are available for {' or '.join(held.lacking)}: waiting for one to join")
