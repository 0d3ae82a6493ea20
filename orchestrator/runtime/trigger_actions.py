"""What people may do to triggers: enable, disable, restart, unlock, delete, make up for dates, and ask why one does not run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from orchestrator.engine.trigger_events import BackfillAsked, Kind, Verb
from orchestrator.engine.trigger_explaining import explain_trigger
from orchestrator.errors import Conflict, NotFound, Refused
from orchestrator.model.trigger import Backfill, TriggerState, evaluation_run
from orchestrator.model.values import format_instant
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.requests import ActOnTriggers, AskBackfill, TriggerName
from orchestrator.runtime.trigger_entries import Entry
from orchestrator.runtime.turn import Turn


class NoBackfill(Refused):
    """A backfill was meant, and there is none."""

    code = "no-backfill"


class TriggerActions:
    """Checks first, so that an action on several is done to all or to none."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._checks: Mapping[str, Callable[[TriggerState], None]] = {"unlock": _locked, "delete": _undeclared} | {
            verb.value: _filling_back for verb in (Verb.PAUSE_BACKFILL, Verb.UNPAUSE_BACKFILL, Verb.DELETE_BACKFILL)
        }

    async def act_on_triggers(self, text: str) -> str:
        """Of an ActOnTriggers: {"changed": [states]}, once they are saved."""
        request = ActOnTriggers.model_validate_json(text)
        states = await self._executor.do(lambda turn: self._act(turn, request))
        return '{"changed":[' + ",".join(state.model_dump_json(by_alias=True, exclude_none=True) for state in states) + "]}"

    def _act(self, turn: Turn, request: ActOnTriggers) -> list[TriggerState]:
        chosen = [entry for name in request.triggers if (entry := self._chosen(name, request)) is not None]
        for entry in chosen:
            if request.verb in _VERBS:
                self._executor.scheduler.ask(turn, entry, Verb(request.verb))
        return [entry.standing.state for entry in chosen if entry.standing.state is not None]

    def _chosen(self, name: TriggerName, request: ActOnTriggers) -> Entry | None:
        try:
            entry, state = self._found(name)
            if request.verb in self._checks:
                self._checks[request.verb](state)
        except Refused:
            if request.strict:
                raise
            return None
        return entry

    def _found(self, name: TriggerName) -> tuple[Entry, TriggerState]:
        entry = self._executor.scheduler.entries.get(evaluation_run(name.namespace, name.flow_id, name.trigger_id))
        if entry is None or entry.standing.state is None:
            if self._executor.flows.latest(name.namespace, name.flow_id) is None:
                raise NotFound(f"Flow of trigger {name.trigger_id} not found")
            raise NotFound(f"Trigger {name.trigger_id} of flow {name.namespace}.{name.flow_id} not found")
        return entry, entry.standing.state

    async def backfill(self, text: str) -> str:
        """Of an AskBackfill: the trigger's state, once it is saved."""
        request = AskBackfill.model_validate_json(text)
        state = await self._executor.do(lambda turn: self._backfill(turn, request))
        return state.model_dump_json(by_alias=True, exclude_none=True)

    def _backfill(self, turn: Turn, request: AskBackfill) -> TriggerState:
        entry, _ = self._found(request.name)
        definition = self._executor.scheduler.definition(entry)
        if definition.obstacle is not None or definition.kind is not Kind.DATES:
            raise Refused(f"trigger {request.name.trigger_id} has no dates that could be made up for")
        end = min(request.end or turn.now, turn.now)  # what is to come is the trigger's own
        if end <= request.start:
            raise Refused("a backfill ends after its start, and makes up for dates that have passed")
        asked = Backfill(start=request.start, end=end, current_date=request.start, inputs=request.inputs, labels=request.labels)
        self._executor.scheduler.apply(turn, entry, BackfillAsked(asked))
        return self._found(request.name)[1]

    async def explain_trigger(self, text: str) -> str:
        """Of a TriggerName: {"kind", "since", "evidence", "explanation": Explanation}."""
        name = TriggerName.model_validate_json(text)
        return await self._executor.do(lambda turn: self._explain(turn, name))

    def _explain(self, turn: Turn, name: TriggerName) -> str:
        reason = self._executor.scheduler.reason(turn, self._found(name)[0])
        since = format_instant(reason.since) if reason.since is not None else None
        flow = self._executor.flows.latest(name.namespace, name.flow_id)
        told = explain_trigger(name.namespace, name.flow_id, name.trigger_id, reason, flow_disabled=flow is not None and flow.disabled)
        shown = told.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps({"kind": reason.kind, "since": since, "evidence": dict(reason.evidence), "explanation": shown})


_VERBS = frozenset(verb.value for verb in Verb)


def _locked(state: TriggerState) -> None:
    if state.execution_id is None and state.evaluation is None:
        raise Conflict("Trigger is not locked")


def _filling_back(state: TriggerState) -> None:
    if state.backfill is None:
        raise NoBackfill(f"No backfill found for trigger {state.trigger_id}")


def _undeclared(state: TriggerState) -> None:
    """A state is there only while a flow declares its trigger, and goes with that."""
    raise Conflict(f"Trigger {state.trigger_id} of flow {state.namespace}.{state.flow_id} cannot be deleted because the flow still declares it")
