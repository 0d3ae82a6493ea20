"""From a trigger as written to what decides about it, and the trigger itself where the head must ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.engine.trigger_events import LEAST_TIMEOUT, Definition, Kind
from orchestrator.errors import NotFound, OrchestratorError
from orchestrator.lang.calendar import Calendar
from orchestrator.lang.conditions import Conditions, Judge
from orchestrator.lang.expressions import Renderer
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.state import State
from orchestrator.model.values import Json, parse_duration
from orchestrator.runtime.built_plugins import told
from orchestrator.sdk import CalledTrigger, DatedTrigger, ListeningTrigger, PollingTrigger, RealtimeTrigger, Trigger

Judging = Callable[[Flow, TriggerSpec, Mapping[str, Json]], Judge]  # with variables of the trigger's own

_KINDS: tuple[tuple[type[Trigger], Kind], ...] = (
    (DatedTrigger, Kind.DATES),
    (ListeningTrigger, Kind.HEARS),
    (CalledTrigger, Kind.CALLED),
    (RealtimeTrigger, Kind.LISTEN),
    (PollingTrigger, Kind.POLL),
)


@dataclass(frozen=True)
class Reading:
    """A trigger as it was read. `trigger` and `conditions` are None where it cannot be."""

    definition: Definition
    trigger: Trigger | None = None
    conditions: Conditions | None = None


def plain_judging(flow: Flow, spec: TriggerSpec, variables: Mapping[str, Json]) -> Judge:
    """Conditions tested on nothing but the trigger's own variables."""
    return Judge(Renderer(), {"trigger": dict(variables)}, flow=flow.key)


def definition_of(flow: Flow, spec: TriggerSpec) -> Definition:
    """What decides about a trigger of a flow."""
    return reading_of(flow, spec).definition


def reading_of(flow: Flow, spec: TriggerSpec, judging: Judging = plain_judging) -> Reading:
    """A trigger of a flow, read; whatever is wrong with it is an obstacle of its definition."""
    enabled = not (flow.disabled or flow.deleted or flow.draft or spec.disabled)
    try:
        cls: type[Any] = registry.load("trigger", spec.type)
    except NotFound as err:
        return _hindered(f"its type is not installed on the server: {err}", enabled=enabled)
    except Exception as err:  # whatever a plugin's module raises must not keep the executor from starting
        return _hindered(f"its type cannot be loaded on the server: {type(err).__name__}: {err}", enabled=enabled)
    try:
        trigger: Trigger = cls.model_validate(dict(spec.raw))
        conditions = Conditions((raw for raw in trigger.all_conditions if not _gathers(trigger, raw)), trigger.when)
        return Reading(_definition(trigger, conditions, lambda dates: judging(flow, spec, dates), enabled=enabled), trigger, conditions)
    except ValidationError as err:
        return _hindered(told(err), enabled=enabled)
    except OrchestratorError as err:
        return _hindered(f"its conditions cannot be read: {err}", enabled=enabled)
    except Exception as err:
        return _hindered(f"it cannot be read on the server: {type(err).__name__}: {err}", enabled=enabled)


def _hindered(obstacle: str, *, enabled: bool) -> Reading:
    return Reading(Definition(Kind.POLL, enabled=enabled, obstacle=obstacle))


def _gathers(trigger: Trigger, raw: Mapping[str, Json]) -> bool:
    """A condition that waits for several executions is what a listening trigger tells of as a gathering."""
    return isinstance(trigger, ListeningTrigger) and str(raw.get("type", "")).endswith("MultipleCondition")


def _definition(trigger: Trigger, conditions: Conditions, judging: Callable[[Mapping[str, Json]], Judge], *, enabled: bool) -> Definition:
    kind = next((kind for cls, kind in _KINDS if isinstance(trigger, cls)), Kind.POLL)
    about: dict[str, Any] = {
        "enabled": enabled,
        "stop_after": tuple(State(word) for word in trigger.stop_after if word in State.__members__),
        "concurrent": trigger.allow_concurrent or kind in (Kind.HEARS, Kind.CALLED),
    }
    if isinstance(trigger, DatedTrigger):
        return Definition(kind, calendar=Calendar(trigger, conditions, judging), **about)
    if isinstance(trigger, PollingTrigger):
        interval = parse_duration(trigger.interval)
        timeout = parse_duration(trigger.timeout) if trigger.timeout is not None else max(interval, LEAST_TIMEOUT)
        return Definition(kind, interval=interval, timeout=timeout, **about)
    if kind is Kind.POLL:
        about["obstacle"] = "nothing here knows how it comes to start executions"
    return Definition(kind, **about)


def differs(before: Flow, after: Flow, trigger_id: str) -> bool:
    """Whether a new revision makes a difference to one of its triggers.

    A look takes what is there when it looks; a listener has begun with all it was given.
    """
    old, new = _spec(before, trigger_id), _spec(after, trigger_id)
    if old is None or new is None:
        return old is not new
    earlier, later = definition_of(before, old), definition_of(after, new)
    if earlier != later or old.raw != new.raw:
        return True
    return later.kind is Kind.LISTEN and _given(before) != _given(after)


def _given(flow: Flow) -> tuple[Json, ...]:
    return (flow.variables, flow.labels, flow.worker_group, flow.worker_selector, flow.placement, flow.plugin_defaults)


def _spec(flow: Flow, trigger_id: str) -> TriggerSpec | None:
    return None if flow.deleted else next((spec for spec in flow.triggers if spec.id == trigger_id), None)
