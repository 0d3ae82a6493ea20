"""Which triggers listen to which flows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from orchestrator.runtime.trigger_entries import Entry
from orchestrator.sdk import ListeningTrigger

FlowKey = tuple[str, str]


class Ears:
    """Found by the flow that is heard, so that a state costs no more than those who may want to hear of it."""

    def __init__(self) -> None:
        self._to: defaultdict[FlowKey | None, dict[str, Entry]] = defaultdict(dict)
        self._wants: dict[str, frozenset[FlowKey | None]] = {}

    def learn(self, entry: Entry) -> None:
        """It was read, or has changed, or is gone."""
        for key in self._wants.pop(entry.run, ()):
            self._to[key].pop(entry.run, None)
            if not self._to[key]:
                del self._to[key]
        trigger = entry.reading.trigger if entry.reading is not None else None
        if not isinstance(trigger, ListeningTrigger):
            return
        flows = trigger.heard_flows()
        wants: frozenset[FlowKey | None] = frozenset((None,)) if flows is None else frozenset(flows)
        self._wants[entry.run] = wants
        for key in wants:
            self._to[key][entry.run] = entry

    def of(self, flow: FlowKey) -> Iterable[Entry]:
        """Those that may want to hear of an execution of that flow; none is told of its own flow's."""
        return [entry for key in (flow, None) for entry in self._to.get(key, {}).values() if entry.flow_key != flow]
