"""Conditions and schedules tried out: asked on given facts and a given clock, with nothing started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.errors import NotFound, Refused
from orchestrator.lang.calendar import Calendar, written
from orchestrator.lang.complaints import complaints
from orchestrator.lang.conditions import Conditions, Judge, condition_of
from orchestrator.lang.expressions import Renderer, with_types
from orchestrator.model.state import State
from orchestrator.model.values import Json, labels_of
from orchestrator.sdk import DatedTrigger, ExecutionFacts

MOST = 1000  # dates in one answer
MOST_TRIES = 5000  # dates looked at for one of them: nobody waits meanwhile but who asks


class NotTried(Refused):
    """What is asked to be tried cannot be read."""

    code = "bad-trial"


def try_condition(body: Mapping[str, Any], renderer: Renderer) -> bool:
    """Whether a condition (`type`, `properties`) holds for an `execution` of a `flow`, with `variables`. Raises Refused."""
    facts = _facts(_map(body, "execution"))
    flow = _map(body, "flow")
    execution = {} if facts is None else {"outputs": {}, "labels": {label.key: label.value for label in facts.labels}}
    variables = {**execution, **({"flow": flow} if flow else {}), **with_types(_map(body, "variables"))}
    name = (str(flow.get("namespace") or (facts.namespace if facts else "")), str(flow.get("id") or (facts.flow_id if facts else "")))
    try:
        condition = condition_of({**_map(body, "properties"), "type": body.get("type")})
    except NotFound as err:
        raise NotTried(str(err)) from err
    return Judge(renderer, variables, flow=name, execution=facts).tests(condition)


def _facts(given: Mapping[str, Any]) -> ExecutionFacts | None:
    if not given:
        return None
    try:
        return ExecutionFacts(
            namespace=str(given.get("namespace", "")),
            flow_id=str(given.get("flowId", "")),
            state=State(given.get("state", "CREATED")),
            labels=labels_of(given.get("labels")),
            outputs=given.get("outputs") or {},
            attempts=_attempts(given),
        )
    except (ValueError, TypeError) as err:
        raise NotTried(f"`execution`: {err}") from err


def _attempts(given: Mapping[str, Any]) -> tuple[tuple[State, ...], ...]:
    """The states of every task run's attempts; a mere number counts attempts of one task run that failed before the last."""
    found = given.get("attempts")
    if isinstance(found, int):
        return ((*[State.FAILED] * max(0, found - 1), State(given.get("state", "CREATED"))),) if found else ()
    if isinstance(found, list):
        return (tuple(State(_state(one)) for one in found),)
    return tuple(tuple(State(_state(one)) for one in run.get("attempts") or ()) for run in given.get("taskRunList") or ())


def _state(attempt: Any) -> Any:
    return (attempt.get("state") or {}).get("current") if isinstance(attempt, Mapping) else attempt


def try_schedule(body: Mapping[str, Any], renderer: Renderer) -> dict[str, Json]:
    """The dates of a `trigger` at a clock of `now`: by `evaluate_at`, `last`, `previous_of_now` or `recover`. Raises Refused."""
    now, calendar = _date(body.get("now")) or datetime.now(UTC), _calendar(_map(body, "trigger"), renderer)
    if body.get("evaluate_at") is not None:
        return _evaluated(calendar, _needed(body["evaluate_at"]), _map(body, "backfill"), now)
    if body.get("previous_of_now"):
        return _shown(previous=calendar.previous(now))
    if isinstance(body.get("recover"), Mapping):
        due = calendar.next(_needed(body["recover"].get("last")), now)
        first = calendar.after_downtime(due, now) if due is not None and due <= now else due
        if first is None or first > now:
            return _shown(next=first)
        return _shown(first=first, next=calendar.next(first, now))
    if "last" in body:
        return _following(calendar, _date(body["last"]), body.get("count"), now)
    raise NotTried("one of `evaluate_at`, `last`, `previous_of_now` and `recover` is needed")


def _calendar(raw: Mapping[str, Any], renderer: Renderer) -> Calendar:
    name = registry.full_name("trigger", str(raw.get("type")))
    cls = registry.load("trigger", name) if name is not None else None
    if cls is None or not issubclass(cls, DatedTrigger):
        raise NotTried(f"{raw.get('type')} has no dates")
    given = {"id": "tried", **raw}
    try:
        trigger = cls.model_validate(given)
    except ValidationError as err:
        raise NotTried("; ".join(f"{'.'.join(map(str, found.path))}: {found.message}" for found in complaints(err, given, cls))) from err
    conditions = Conditions(trigger.all_conditions, trigger.when)
    return Calendar(trigger, conditions, lambda dates: Judge(renderer, {"trigger": dict(dates)}, flow=("", "")), most_tries=MOST_TRIES)


def _evaluated(calendar: Calendar, at: datetime, backfill: Mapping[str, Any], now: datetime) -> dict[str, Json]:
    if backfill:
        at = _needed(backfill.get("currentDate"))
        if calendar.at_or_after(at, now) != at:
            return {"fires": False}
    found = calendar.dates(at, now)
    return {"fires": True, **found.variables()} if found is not None else {"fires": False}


def _following(calendar: Calendar, last: datetime | None, count: Any, now: datetime) -> dict[str, Json]:
    following: list[datetime] = []
    found = calendar.begins(None, now) if last is None else calendar.next(last, now)
    wanted = min(count, MOST) if isinstance(count, int) and not isinstance(count, bool) else 1
    while found is not None and len(following) < max(1, wanted):
        following.append(found)
        found = calendar.next(found, now)
    first = following[0] if following else None
    return _shown(next=first) | ({"next_n": [written(at) for at in following[:wanted]]} if count is not None else {})


def _shown(**dates: datetime | None) -> dict[str, Json]:
    return {name: written(at) for name, at in dates.items() if at is not None}


def _map(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise NotTried(f"`{name}` is a map")
    return found


def _date(text: Any) -> datetime | None:
    return None if text is None else _needed(text)


def _needed(text: Any) -> datetime:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise NotTried(f"`{text}` is no date-time with a zone")
    return found
