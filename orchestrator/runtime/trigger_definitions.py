"""From a trigger as written to what decides about it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.engine.trigger_events import LEAST_TIMEOUT, Definition, Kind
from orchestrator.errors import NotFound
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.state import State
from orchestrator.model.values import Json, parse_duration
from orchestrator.runtime.built_plugins import told
from orchestrator.sdk import PollingTrigger, RealtimeTrigger, Trigger


def definition_of(flow: Flow, spec: TriggerSpec) -> Definition | None:
    """What decides about a trigger of a flow; None for one that has no state: others make it start executions."""
    enabled = not (flow.disabled or flow.deleted or flow.draft or spec.disabled)
    try:
        kind: type[Any] = registry.load("trigger", spec.type)
        if not (issubclass(kind, PollingTrigger | RealtimeTrigger) or kind.dated):
            return None
        return _definition(kind.model_validate(dict(spec.raw)), enabled=enabled)
    except NotFound as err:
        return Definition(Kind.POLL, enabled=enabled, obstacle=f"its type is not installed on the server: {err}")
    except ValidationError as err:
        return Definition(Kind.POLL, enabled=enabled, obstacle=told(err))
    except Exception as err:  # whatever a plugin's module raises must not keep the executor from starting
        return Definition(Kind.POLL, enabled=enabled, obstacle=f"its type cannot be loaded on the server: {type(err).__name__}: {err}")


def _definition(trigger: Trigger, *, enabled: bool) -> Definition:
    about: dict[str, Any] = {
        "enabled": enabled,
        "obstacle": "its `conditions` are not evaluated by this version" if trigger.conditions else None,
        "stop_after": tuple(State(word) for word in trigger.stop_after if word in State.__members__),
        "concurrent": trigger.allow_concurrent,
    }
    if isinstance(trigger, RealtimeTrigger):
        return Definition(Kind.LISTEN, **about)
    if not isinstance(trigger, PollingTrigger):
        return Definition(Kind.POLL, **{**about, "obstacle": "its dates are not kept by this version"})
    interval = parse_duration(trigger.interval)
    timeout = parse_duration(trigger.timeout) if trigger.timeout is not None else max(interval, LEAST_TIMEOUT)
    return Definition(Kind.POLL, interval=interval, timeout=timeout, **about)


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
    return later is not None and later.kind is Kind.LISTEN and _given(before) != _given(after)


def _given(flow: Flow) -> tuple[Json, ...]:
    return (flow.variables, flow.labels, flow.worker_group, flow.worker_selector, flow.placement, flow.plugin_defaults)


def _spec(flow: Flow, trigger_id: str) -> TriggerSpec | None:
    return None if flow.deleted else next((spec for spec in flow.triggers if spec.id == trigger_id), None)
