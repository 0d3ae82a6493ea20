"""Makes of a trigger what is sent: where it asks to go, what its templates may need, the token for what its namespace holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from orchestrator.engine.schedule import RENEWAL
from orchestrator.engine.trigger_events import Definition, Kind
from orchestrator.engine.variables import nested
from orchestrator.engine.wishes import Rules, Wish, asked_of, chain_of, rendered, templates_of
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.lang.expressions import Renderer, references_of
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.log import Level
from orchestrator.model.run_token import RunTokens
from orchestrator.model.trigger import Evaluation, evaluation_run
from orchestrator.model.values import Json
from orchestrator.settings import Settings

SPARE = timedelta(hours=1)  # that a token outlives its evaluation
_EVERYTHING = ("*",)


class TriggerDispatcher:
    """Reads settings and flows; decides nothing about states."""

    def __init__(self, settings: Settings, tokens: RunTokens) -> None:
        self._settings, self._tokens, self._renderer = settings, tokens, Renderer()

    def wish(self, flow: Flow, spec: TriggerSpec, rules: Rules) -> Wish:
        """Where it asks to go, over all levels. Raises Refused when that cannot be made out."""
        try:
            asked, level = asked_of(spec, (), flow, rules)
            templates = templates_of(asked)
            answers = self._renderer.render_any(templates, self.variables(flow, spec)) if templates is not None else None
            return chain_of(rendered(asked, answers), level)
        except (OrchestratorError, ValueError) as err:
            raise Refused(f"where it is to be evaluated cannot be made out: {err}") from err

    def variables(self, flow: Flow, spec: TriggerSpec) -> dict[str, Json]:
        """All that a trigger's templates may name."""
        return {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "trigger": {"id": spec.id, "type": spec.type},
            "vars": dict(flow.variables),
            "labels": nested(flow.labels),
            "globals": dict(self._settings.globals),
            "envs": dict(self._settings.envs),
        }

    def dispatch(self, flow: Flow, spec: TriggerSpec, definition: Definition, evaluation: Evaluation, group: str) -> Dispatch:
        """All that the worker needs, and nothing it does not."""
        polls = definition.kind is Kind.POLL
        return Dispatch(
            kind="poll" if polls else "listen",
            task_run_id=evaluation_run(flow.namespace, flow.id, spec.id),
            execution_id=evaluation.id,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            task_id=spec.id,
            lease=evaluation.lease,
            generation=evaluation.lease,
            spec=spec.raw,
            context=self._wanted(flow, spec, evaluation),
            group=group,
            timeout=definition.timeout.total_seconds() if polls else None,
            api_token=self._token(flow, evaluation.id, evaluation.since + (definition.timeout if polls else RENEWAL)),
            log_level=_level(spec.raw),
        )

    def _token(self, flow: Flow, evaluation_id: str, end: datetime) -> str:
        return self._tokens.mint_evaluation(evaluation_id, flow.namespace, flow.id, end + SPARE)

    def _wanted(self, flow: Flow, spec: TriggerSpec, evaluation: Evaluation) -> dict[str, Any]:
        wanted = references_of(spec.raw)
        names = {path[0] for path in wanted}
        known = {**self.variables(flow, spec), "execution": {"id": evaluation.id}}
        return known if _EVERYTHING in wanted else {name: value for name, value in known.items() if name in names}


def _level(raw: Mapping[str, Json]) -> Level | None:
    word = raw.get("logLevel")
    return Level(str(word)) if word in Level.__members__ else None
