"""Conditions of triggers, tested: the same code for the executor and for whoever tries one out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.errors import ExpressionFailed, OrchestratorError, Refused
from orchestrator.lang.complaints import complaints
from orchestrator.lang.expressions import Renderer, references_of
from orchestrator.model.values import Json
from orchestrator.sdk import Condition, ConditionContext, ExecutionFacts, Part, Template, is_template, truthy

_NEIGHBOURS = frozenset({("trigger", "next"), ("trigger", "previous"), ("trigger",), ("trigger", "*"), ("*",)})


class ConditionInvalid(Refused):
    """What is written is no condition."""

    code = "condition-invalid"


class ConditionFailed(Refused):
    """It cannot be said whether a condition holds."""

    code = "condition-failed"


def condition_of(raw: Mapping[str, Json]) -> Condition:
    """A condition as written. Raises NotFound for a type that is not installed, ConditionInvalid for properties that do not fit."""
    cls: type[Condition] = registry.load("condition", str(raw.get("type")))
    try:
        return cls.model_validate(dict(raw))
    except ValidationError as err:
        told = "; ".join(f"{'.'.join(map(str, found.path))}: {found.message}" for found in complaints(err, dict(raw), cls))
        raise ConditionInvalid(f"condition {raw.get('type')}: {told}") from err


class Judge(ConditionContext):
    """What conditions are tested on: variables, and an execution where one is in question."""

    def __init__(self, renderer: Renderer, variables: Mapping[str, Any], *, flow: tuple[str, str], execution: ExecutionFacts | None = None) -> None:
        self._renderer, self._variables = renderer, variables
        self.namespace, self.flow_id = flow
        self.execution = execution

    def render(self, value: Any) -> Any:
        if not isinstance(value, Template):
            return self.render_text(value) if is_template(value) else value
        text = self.render_text(value.source)
        try:
            return value.parse(text)
        except ValidationError as err:
            raise ExpressionFailed(f"`{value.source}` rendered to `{text[:200]}`, which does not fit: {err.errors()[0]['msg']}") from err

    def render_text(self, expression: str) -> str:
        return self._renderer.render(expression, self._variables)

    def with_variables(self, extra: Mapping[str, Any]) -> Judge:
        """The same with more names; maps of one name are put together."""
        merged = {name: _together(self._variables.get(name), value) for name, value in extra.items()}
        return Judge(self._renderer, {**self._variables, **merged}, flow=(self.namespace, self.flow_id), execution=self.execution)

    def holds(self, condition: Mapping[str, Json]) -> bool:
        return self.tests(condition_of(condition))

    def tests(self, part: Part) -> bool:
        """Whether a condition holds. Raises ConditionFailed when that cannot be said."""
        try:
            return self.holds(part) if isinstance(part, Mapping) else part.test(self)
        except (ConditionFailed, ConditionInvalid):
            raise
        except (OrchestratorError, ValueError, TimeoutError) as err:
            raise ConditionFailed(str(err)) from err


class Conditions:
    """All that a trigger says must hold, built once. Raises as `condition_of`."""

    def __init__(self, raws: Iterable[Mapping[str, Json]], when: str | bool | None = None) -> None:
        known = [(condition_of(raw), raw) for raw in raws]
        self._all: Sequence[Condition] = [condition for condition, _ in known]
        self._when = when
        self.dated = [one for one in self._all if one.dated]
        self.name_neighbours = bool(_NEIGHBOURS & references_of([raw for one, raw in known if one.dated]))

    def hold(self, judge: Judge) -> bool:
        """Whether all do. Raises ConditionFailed."""
        return all(judge.tests(one) for one in self._all) and self._is_wanted(judge)

    def _is_wanted(self, judge: Judge) -> bool:
        if self._when is None or isinstance(self._when, bool):
            return self._when is not False
        try:
            return truthy(judge.render_text(self._when))
        except OrchestratorError as err:
            raise ConditionFailed(str(err)) from err


def _together(known: Any, value: Any) -> Any:
    return {**known, **value} if isinstance(known, Mapping) and isinstance(value, Mapping) else value
