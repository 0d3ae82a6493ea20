"""Flowables that run their tasks once per value of a list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

from pydantic import Field

from orchestrator.sdk import Drawn, Flowable, Json, Order, Plan, TaskFailed, Tasks, text_of

Values: TypeAlias = str | Sequence[Json]


def values_of(raw: Json) -> tuple[str, ...]:
    """The values to go through, as text and each once: from a list, or from text that holds a JSON list.

    Raises TaskFailed when it is no list or holds null. Outputs are found by their value, so a value that comes
    again is not gone through again.
    """
    found = _parsed(raw) if isinstance(raw, str) else raw
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise TaskFailed(f"the values to loop over must be a list, and are: {text_of(raw)[:200]}")
    nulls = sum(one is None for one in {text_of(v): v for v in found}.values())
    if nulls:
        raise TaskFailed(f"Found '{nulls}' null values on Each, with values={json.dumps(found, ensure_ascii=False, default=str)}")
    return tuple(dict.fromkeys(text_of(one) for one in found))


def _parsed(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError as err:
        raise TaskFailed(f"the values to loop over must be a JSON list, and are: {text[:200]} ({err})") from err


class ForEach(Flowable):
    """Run tasks once per value, in order; several values may be gone through at once."""

    drawn: ClassVar[Drawn] = Drawn.DYNAMIC

    values: Values = Field(description="A list, or text that renders to a JSON list.", examples=[["a", "b"], "{{ outputs.list.value }}"])
    concurrency_limit: int = Field(1, ge=0, description="How many values at once; 0: all.")
    tasks: Tasks = Field(min_length=1, description="The tasks to run for each value, which they find in `taskrun.value`.")

    def questions(self) -> Mapping[str, Json]:
        return {"values": self.values}

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, values=values_of(answers["values"]), limit=self.concurrency_limit)

    def branches(self) -> Mapping[str, Tasks]:
        return {"tasks": self.tasks}


class _OlderEach(Flowable):
    drawn: ClassVar[Drawn] = Drawn.DYNAMIC

    value: Values = Field(description="A list, or text that renders to a JSON list.")
    tasks: Tasks = Field(min_length=1, description="The tasks to run for each value, which they find in `taskrun.value`.")

    def questions(self) -> Mapping[str, Json]:
        return {"value": self.value}

    def branches(self) -> Mapping[str, Tasks]:
        return {"tasks": self.tasks}


class EachSequential(_OlderEach):
    """Run tasks once per value, one value after another; `ForEach` is the newer task for it."""

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, values=values_of(answers["value"]), limit=1)


class EachParallel(_OlderEach):
    """Run tasks once per value, all values and all tasks side by side; `ForEach` is the newer task for it."""

    drawn: ClassVar[Drawn] = Drawn.PARALLEL

    concurrent: int = Field(0, ge=0, description="How many values at once; 0: all.")

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, values=values_of(answers["value"]), order=Order.PARALLEL, limit=self.concurrent)
