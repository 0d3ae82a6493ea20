"""Whatever happens, in whatever order: never two evaluations of one trigger at once, one execution for each, and never stuck for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from engine_driving import EPOCH
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.engine.schedule import STOP_AGAIN, decide, may_go, next_moment
from orchestrator.engine.trigger_events import (
    Asked,
    Definition,
    Ended,
    Event,
    ExecutionOver,
    How,
    Kind,
    Lost,
    Missed,
    Placed,
    Rang,
    Received,
    Removed,
    Saved,
    Standing,
    Verb,
)
from orchestrator.model.state import State

NAME = ("house", "flow", "t")
NAMES = ("w1", "w2")
SECOND = timedelta(seconds=1)
POLL = Definition(Kind.POLL, interval=5 * SECOND, timeout=10 * SECOND)
LISTEN = Definition(Kind.LISTEN)


@dataclass
class Worker:
    """As `runtime.worker` does: a lease that was stopped before it came, or has ended, never begins; what runs ends when it will."""

    running: int | None = None
    evaluation: str = ""
    stopped: bool = False
    never: int = -1
    unsaid: list[tuple[int, How, str]] = field(default_factory=list)  # outcomes not acknowledged

    @property
    def leases(self) -> set[int]:
        return {lease for lease, _, _ in self.unsaid} | ({self.running} if self.running is not None else set())

    def dispatched(self, lease: int, evaluation: str) -> None:
        if lease <= self.never:
            self.unsaid.append((lease, How.STOPPED, evaluation))
        elif lease not in self.leases:
            assert self.running is None, "a second evaluation was sent to where one is running"
            self.running, self.evaluation, self.stopped = lease, evaluation, False

    def told_to_stop(self, lease: int) -> None:
        if self.running is not None and lease >= self.running:
            self.stopped = True
        elif lease not in self.leases:
            self.never = max(self.never, lease)
            self.unsaid.append((lease, How.STOPPED, ""))

    def end(self, how: How) -> None:
        assert self.running is not None
        self.unsaid.append((self.running, How.STOPPED if self.stopped else how, self.evaluation))
        self.running = None


class World(RuleBasedStateMachine):
    """One trigger, an executor that may be killed, two workers that may die and be replaced, and messages under way."""

    definition = POLL

    def __init__(self) -> None:
        super().__init__()
        self.now, self.standing = EPOCH, Standing()
        self.declared = True
        self.workers = {name: Worker() for name in NAMES}
        self.dead: list[str] = []  # nobody has told the executor yet
        self.lost: set[str] = set()
        self.sent: list[tuple[str, str, int, str]] = []  # under way: to whom, what, lease, evaluation
        self.count = 0
        self.executions: list[str] = []
        self.tell(Saved(NAME))

    def tell(self, event: Event) -> None:
        verdict = decide(self.standing, event, self.definition if self.declared else None, self.now)
        self.standing = verdict.standing
        if verdict.halt is not None:
            self.sent.append((verdict.halt.worker, "stop", verdict.halt.lease, ""))

    @property
    def ready(self) -> bool:
        return self.declared and may_go(self.standing, self.definition, self.now)

    # --- the executor and its people

    @precondition(lambda self: self.ready and len(self.lost) < len(NAMES))
    @rule(pick=st.integers(0, 1))
    def place(self, pick: int) -> None:
        known = [name for name in NAMES if name not in self.lost]
        worker = known[pick % len(known)]
        self.count += 1
        self.tell(Placed(worker, f"e{self.count}"))
        assert self.standing.state is not None
        self.sent.append((worker, "run", self.standing.state.lease, f"e{self.count}"))

    @rule(seconds=st.integers(1, 20))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        moment = next_moment(self.standing, self.definition if self.declared else None)
        if moment is not None and moment <= self.now:
            self.tell(Rang())

    @rule(changed=st.booleans())
    def save(self, changed: bool) -> None:
        self.declared = True
        self.tell(Saved(NAME, changed))

    @rule()
    def delete(self) -> None:
        self.declared = False
        self.tell(Removed())

    @rule(verb=st.sampled_from(Verb))
    def ask(self, verb: Verb) -> None:
        self.tell(Asked(verb))

    @rule(state=st.sampled_from([State.SUCCESS, State.FAILED]))
    def execution_ends(self, state: State) -> None:
        if self.standing.state is not None and self.standing.state.execution_id is not None:
            self.tell(ExecutionOver(self.standing.state.execution_id, state))

    @rule(unsent=st.booleans())
    def executor_is_killed(self, unsent: bool) -> None:
        """What it had sent may still arrive, what it had only saved was never sent. The next one asks every worker that lives."""
        if unsent:
            self.sent.clear()
        state, leaving = self.standing.state, self.standing.leaving
        evaluation = state.evaluation if state is not None else None
        worker = evaluation.worker if evaluation is not None else leaving.worker if leaving is not None else None
        if worker is None:
            return
        if worker in self.lost or worker in self.dead:
            self.tell(Lost(worker))
        elif evaluation is not None and evaluation.lease not in self.workers[worker].leases:
            self.tell(Missed())
        elif evaluation is not None and evaluation.stopping is not None:
            self.sent.append((worker, "stop", evaluation.lease, ""))
        elif leaving is not None:
            self.sent.append((leaving.worker, "stop", leaving.lease, ""))

    # --- messages

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), twice=st.booleans())
    def message_arrives(self, data: st.DataObject, twice: bool) -> None:
        """In any order, perhaps twice, perhaps at a dead worker."""
        at = data.draw(st.integers(0, len(self.sent) - 1))
        name, what, lease, evaluation = self.sent[at]
        if not twice:
            del self.sent[at]
        if name in self.dead or name in self.lost:
            return
        if what == "run":
            self.workers[name].dispatched(lease, evaluation)
        else:
            self.workers[name].told_to_stop(lease)

    @rule(name=st.sampled_from(NAMES), acknowledged=st.booleans())
    def outcome_arrives(self, name: str, acknowledged: bool) -> None:
        """One that is not acknowledged comes again."""
        worker = self.workers[name]
        if not worker.unsaid or name in self.dead or name in self.lost:
            return
        lease, how, evaluation = worker.unsaid[0]
        self.outcome(lease, how, evaluation)
        if acknowledged:
            worker.unsaid.pop(0)
            worker.never = max(worker.never, lease)

    def outcome(self, lease: int, how: How, evaluation: str) -> None:
        state = self.standing.state
        fits = state is not None and state.evaluation is not None and state.evaluation.lease == lease
        found = evaluation if how is How.LOOKED and fits else None
        if found is not None:
            assert found not in self.executions, "one evaluation has started two executions"
            self.executions.append(found)
        self.tell(Ended(lease, how, found))

    @rule(name=st.sampled_from(NAMES))
    def receipt_arrives(self, name: str) -> None:
        if (lease := self.workers[name].running) is not None:
            self.tell(Received(lease))

    # --- workers

    @rule(name=st.sampled_from(NAMES), how=st.sampled_from([How.LOOKED, How.FAILED, How.HANDED_BACK]))
    def evaluation_ends(self, name: str, how: How) -> None:
        if self.workers[name].running is not None:
            self.workers[name].end(how)

    @rule(name=st.sampled_from(NAMES))
    def worker_dies(self, name: str) -> None:
        if name not in self.dead and name not in self.lost:
            self.workers[name] = Worker()
            self.sent = [one for one in self.sent if one[0] != name]
            self.dead.append(name)

    @precondition(lambda self: self.dead)
    @rule()
    def a_death_is_seen(self) -> None:
        name = self.dead.pop()
        self.lost.add(name)
        self.tell(Lost(name))

    @precondition(lambda self: self.lost)
    @rule()
    def a_worker_joins(self) -> None:
        """It is another: nothing that was sent to the dead one comes to it."""
        name = min(self.lost)
        self.lost.remove(name)
        self.sent = [one for one in self.sent if one[0] != name]

    # --- what must hold

    @invariant()
    def never_two_at_once(self) -> None:
        assert sum(worker.running is not None for worker in self.workers.values()) <= 1

    @invariant()
    def what_is_out_is_known_once(self) -> None:
        state = self.standing.state
        assert state is None or state.evaluation is None or self.standing.leaving is None

    def teardown(self) -> None:
        """Once all that is under way has arrived, and all that was told to stop has, it can be evaluated again."""
        for name in list(self.dead):
            self.tell(Lost(name))
            self.lost.add(name)
        self.dead.clear()
        self.save(changed=True)
        self.ask(Verb.UNLOCK)
        self.ask(Verb.ENABLE)
        for _ in range(10):
            self.now += STOP_AGAIN
            self.tell(Rang())
            for name, what, lease, evaluation in self.sent:
                if name not in self.lost:
                    self.workers[name].dispatched(lease, evaluation) if what == "run" else self.workers[name].told_to_stop(lease)
            self.sent.clear()
            for name, worker in self.workers.items():
                if worker.running is not None:
                    worker.end(How.LOOKED)
                if name not in self.lost:
                    for lease, how, _ in worker.unsaid:
                        self.tell(Ended(lease, how))
                worker.unsaid.clear()
        self.now += timedelta(minutes=2)
        assert self.ready, self.standing


class ListeningWorld(World):
    definition = LISTEN


MANY = settings(max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("world", [World, ListeningWorld])
def test_no_order_of_events_gives_two_evaluations_at_once_or_a_trigger_that_is_stuck(world: type[World]) -> None:
    case = world.TestCase
    case.settings = MANY
    case().runTest()
