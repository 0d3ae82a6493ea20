"""The triggers in memory, found by name, by flow, by the worker that evaluates them, by the execution that they wait for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.engine.trigger_events import Definition, Kind, Standing
from orchestrator.engine.trigger_placing import Held
from orchestrator.engine.wishes import Wish
from orchestrator.model.trigger import evaluation_run
from orchestrator.runtime.trigger_definitions import Reading

Name = tuple[str, str, str]  # namespace, flow, trigger


@dataclass
class Entry:
    """One trigger. `reading` None: it was not read yet, or no flow declares it."""

    name: Name
    standing: Standing = field(default_factory=Standing)
    reading: Reading | None = None
    held: Held | None = None  # why it was not sent when it was due
    armed: datetime | None = None  # the moment that it waits for
    wish: tuple[tuple[int, int], Wish] | None = None  # where it asks to go, as of a revision of its flow and a version of the rules

    @property
    def run(self) -> str:
        return evaluation_run(*self.name)

    @property
    def definition(self) -> Definition | None:
        """What decides about it, where it was read."""
        return self.reading.definition if self.reading is not None else None

    @property
    def flow_key(self) -> tuple[str, str]:
        return self.name[:2]

    @property
    def worker(self) -> str | None:
        """Where it is evaluated, or may still be."""
        state, leaving = self.standing.state, self.standing.leaving
        if state is not None and state.evaluation is not None:
            return state.evaluation.worker
        return leaving.worker if leaving is not None else None

    @property
    def waits_for(self) -> str | None:
        """The execution it waits for."""
        return self.standing.state.execution_id if self.standing.state is not None else None


class Entries:
    """`note` must be called whenever the standing of one has changed."""

    def __init__(self) -> None:
        self._by_run: dict[str, Entry] = {}
        self._of_flow: defaultdict[tuple[str, str], dict[str, Entry]] = defaultdict(dict)
        self._at: defaultdict[str, dict[str, Kind]] = defaultdict(dict)
        self._for: dict[str, Entry] = {}

    def get(self, run: str) -> Entry | None:
        return self._by_run.get(run)

    def all(self) -> Sequence[Entry]:
        return tuple(self._by_run.values())

    def of_flow(self, flow_key: tuple[str, str]) -> Sequence[Entry]:
        return tuple(self._of_flow[flow_key].values()) if flow_key in self._of_flow else ()

    def at(self, worker: str) -> Sequence[Entry]:
        """Those that a worker evaluates, or may still."""
        return tuple(self._by_run[run] for run in self._at.get(worker, ()))

    def counts(self) -> Mapping[str, int]:
        """How many each worker has of both."""
        return {worker: len(some) for worker, some in self._at.items() if some}

    def count(self, worker: str, kind: Kind) -> int:
        """How many looks, or listeners, a worker has."""
        return sum(one is kind for one in self._at.get(worker, {}).values())

    def waiting_for(self, execution_id: str) -> Entry | None:
        return self._for.get(execution_id)

    def named(self, name: Name) -> Entry:
        """The entry of that name; a new one when there is none."""
        entry = self._by_run.get(evaluation_run(*name))
        if entry is None:
            entry = Entry(name)
            self._by_run[entry.run] = self._of_flow[entry.flow_key][entry.run] = entry
        return entry

    def note(self, entry: Entry, *, worker: str | None, waited_for: str | None) -> None:
        """Find it anew where its standing has changed; `worker` and `waited_for` are what they were. One without any is forgotten."""
        if worker != entry.worker:
            if worker is not None:
                self._at[worker].pop(entry.run, None)
            if entry.worker is not None:
                self._at[entry.worker][entry.run] = entry.definition.kind if entry.definition is not None else Kind.POLL
        if waited_for is not None and waited_for != entry.waits_for:
            self._for.pop(waited_for, None)
        if entry.waits_for is not None:
            self._for[entry.waits_for] = entry
        if entry.standing == Standing():
            self._by_run.pop(entry.run, None)
            self._of_flow[entry.flow_key].pop(entry.run, None)
