"""A flowable that repeats its tasks until something holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import Field, field_validator

from orchestrator.sdk import Flowable, Json, Plan, PluginModel, Repeat, State, TaskFailed, Tasks, Text, is_template, parse_duration, text_of, truthy


class CheckFrequency(PluginModel):
    """How often the tasks are run. What is null has no bound."""

    interval: Text | None = Field("PT1S", description="How long to wait after each round, an ISO-8601 duration.", examples=["PT30S"])
    max_iterations: int | Text | None = Field(100, description="The most rounds.", examples=[10])
    max_duration: Text | None = Field("PT1H", description="How long to go on, counted from the first round's beginning.", examples=["PT10M"])

    @field_validator("interval", "max_duration")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None and not is_template(value) and parse_duration(value) < timedelta():
            raise ValueError("must be a positive duration")
        return value

    @field_validator("max_iterations")
    @classmethod
    def _positive(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be greater than 0")
        return value


class LoopUntil(Flowable):
    """Run tasks again and again until a condition holds; it sees the outputs of the latest round."""

    condition: bool | Text = Field(
        description="Looked at after each round; false when it renders to blank, `false` or a zero.", examples=["{{ outputs.ask.code == 200 }}"]
    )
    check_frequency: CheckFrequency = Field(CheckFrequency(), description="How often and how long.")
    fail_on_max_reached: bool | Text = Field(False, description="Fail when the most rounds or the longest duration is reached; else that is a success.")
    tasks: Tasks = Field(min_length=1, description="The tasks of a round, in order; `outputs.ID.iterationCount` counts the rounds from 1.")

    def questions(self) -> Mapping[str, Json]:
        asked = {
            "interval": self.check_frequency.interval,
            "maxIterations": self.check_frequency.max_iterations,
            "maxDuration": self.check_frequency.max_duration,
            "failOnMaxReached": self.fail_on_max_reached,
        }
        return {name: value for name, value in asked.items() if is_template(value)}

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        frequency = self.check_frequency
        repeat = Repeat(
            condition=self.condition,
            interval=_length(answers.get("interval", frequency.interval), "interval") or timedelta(),
            most=_count(answers.get("maxIterations", frequency.max_iterations)),
            longest=_length(answers.get("maxDuration", frequency.max_duration), "maxDuration"),
            spent=State.FAILED if truthy(answers.get("failOnMaxReached", self.fail_on_max_reached)) else State.SUCCESS,
        )
        return Plan(tasks=self.tasks, outputs={"iterationCount": 1}, repeat=repeat)

    def branches(self) -> Mapping[str, Tasks]:
        return {"tasks": self.tasks}


def _length(value: Json, name: str) -> timedelta | None:
    if value is None or not text_of(value).strip():
        return None
    try:
        return parse_duration(text_of(value))
    except ValueError as err:
        raise TaskFailed(f"checkFrequency.{name}: {err}") from err


def _count(value: Json) -> int | None:
    if value is None or not text_of(value).strip():
        return None
    try:
        return int(text_of(value))
    except ValueError as err:
        raise TaskFailed(f"checkFrequency.maxIterations: must be a whole number, not `{text_of(value)}`") from err
