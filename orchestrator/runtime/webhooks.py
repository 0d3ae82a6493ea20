"""Answers calls of triggers' addresses: finds whose key it is, tests its conditions, starts what it starts."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable

from orchestrator.engine.trigger_events import Called, Kind
from orchestrator.errors import Conflict, ExpressionFailed, NotFound, OrchestratorError
from orchestrator.model.execution import Execution
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.log import Level
from orchestrator.model.trigger import evaluation_run
from orchestrator.model.values import Json
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.requests import CallWebhook
from orchestrator.runtime.trigger_definitions import Reading
from orchestrator.runtime.trigger_entries import Entry
from orchestrator.runtime.trigger_firing import Start
from orchestrator.runtime.turn import Turn
from orchestrator.sdk import CalledTrigger


class Webhooks:
    """`shown` and `ended` give an execution's JSON text, now and once it has ended."""

    def __init__(self, executor: Executor, shown: Callable[[str], str], ended: Callable[[str], Awaitable[str]]) -> None:
        self._executor, self._shown, self._ended = executor, shown, ended

    async def call_webhook(self, text: str) -> str:
        """Of a CallWebhook: what became of it."""
        request = CallWebhook.model_validate_json(text)
        flow, entry, trigger = self._called(request)
        known = request.execution_id in self._executor.live or self._executor.store.execution(request.execution_id) is not None
        if not known and not await self._executor.do(lambda turn: self._begin(turn, request, entry)):
            return json.dumps({"execution": None})
        execution = json.loads(await self._ended(request.execution_id) if trigger.wait else self._shown(request.execution_id))
        if not trigger.wait and not known:
            execution = _as_created(execution)
        about = {"wait": trigger.wait, "outputs": trigger.wait and trigger.return_outputs, "type": trigger.response_content_type}
        return json.dumps({"execution": execution, **about, "code": self._code(flow, trigger, execution)})

    def _called(self, request: CallWebhook) -> tuple[Flow, Entry, CalledTrigger]:
        """The trigger whose key it is. Raises NotFound, and Conflict for what is disabled."""
        flow = self._executor.flows.latest(request.namespace, request.flow_id)
        if flow is None:
            raise NotFound("Flow not found")
        if flow.disabled or flow.draft:
            raise Conflict("Flow is disabled")
        found = next((one for spec in flow.triggers if (one := self._with_key(flow, spec, request.key)) is not None), None)
        if found is None:
            raise NotFound("Webhook not found")
        entry, reading = found
        if not reading.definition.runs or entry.standing.state is None or entry.standing.state.disabled:
            raise Conflict("Webhook is disabled")
        assert isinstance(reading.trigger, CalledTrigger)
        return flow, entry, reading.trigger

    def _with_key(self, flow: Flow, spec: TriggerSpec, key: str) -> tuple[Entry, Reading] | None:
        entry = self._executor.scheduler.entries.get(evaluation_run(*flow.key, spec.id))
        if entry is None or self._executor.scheduler.definition(entry).kind is not Kind.CALLED:
            return None
        assert entry.reading is not None
        assert isinstance(entry.reading.trigger, CalledTrigger)
        try:
            own = self._executor.scheduler.firing.judge(flow, spec, {}).render_text(entry.reading.trigger.key)
        except ExpressionFailed:
            return None
        return (entry, entry.reading) if hmac.compare_digest(own.encode(), key.encode()) else None

    def _begin(self, turn: Turn, request: CallWebhook, entry: Entry) -> bool:
        """Whether an execution was started. Raises InputInvalid and ExpressionFailed for inputs that do not come out."""
        scheduler, declared = self._executor.scheduler, self._executor.scheduler.declared(entry)
        if declared is None or entry.reading is None or entry.reading.conditions is None:
            raise NotFound("Webhook not found")
        try:
            if not entry.reading.conditions.hold(scheduler.firing.judge(*declared, {**request.variables, **request.seen})):
                return False
        except OrchestratorError as err:
            scheduler.say(turn, entry, Level.WARN, f"Its conditions cannot be tested on a call: {err}")
            return False
        made = self._made(turn, request, entry, declared)
        scheduler.apply(turn, entry, Called())
        self._executor.begin(turn, declared[0], made)
        return True

    def _made(self, turn: Turn, request: CallWebhook, entry: Entry, declared: tuple[Flow, TriggerSpec]) -> Execution:
        try:
            return self._executor.scheduler.firing.execution(*declared, Start(request.execution_id, request.variables), turn.now)
        except OrchestratorError as err:
            told = f"A call could start nothing: {err}"
            self._executor.post(lambda following: self._executor.scheduler.say(following, entry, Level.ERROR, told))
            raise

    def _code(self, flow: Flow, trigger: CalledTrigger, execution: Json) -> int | None:
        """The status that the flow's author wants for an execution that was waited for."""
        if not trigger.wait or trigger.response_code is None:
            return None
        judge = self._executor.scheduler.firing.judge(flow, TriggerSpec.model_validate({"id": trigger.id, "type": trigger.type}), {})
        try:
            text = judge.with_variables({"outputs": execution.get("outputs") or {}}).render_text(str(trigger.response_code))
        except ExpressionFailed:  # of an execution that came to no such output
            return None
        return int(text) if text.strip().isdigit() and 200 <= int(text) <= 599 else None


def _as_created(execution: Json) -> Json:
    """An execution as it was when it was made: it may have gone on since."""
    first = execution["state"]["histories"][0]
    state = {"current": first["state"], "histories": [first], "startDate": first["date"], "duration": "PT0S"}
    return {**{name: value for name, value in execution.items() if name not in ("taskRunList", "outputs")}, "state": state}
