"""A flowable that holds its execution until somebody lets it go on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field, field_validator

from orchestrator.sdk import Flowable, Input, Json, Plan, State, TaskFailed, Tasks, TaskSpec, Text, Wait, is_template, parse_duration, text_of


class Behavior(StrEnum):
    """What becomes of a pause that has lasted as long as it was to."""

    RESUME = "RESUME"
    WARN = "WARN"
    FAIL = "FAIL"
    CANCEL = "CANCEL"


_ENDS: Mapping[Behavior, State] = {
    Behavior.RESUME: State.SUCCESS,
    Behavior.WARN: State.WARNING,
    Behavior.FAIL: State.FAILED,
    Behavior.CANCEL: State.CANCELLED,
}


class Pause(Flowable):
    """Hold the execution until somebody resumes it, or for a time."""

    pause_duration: Text | None = Field(
        None,
        alias="pauseDuration",
        validation_alias=AliasChoices("pauseDuration", "delay"),
        description="How long to hold it at most, an ISO-8601 duration; without it until somebody resumes it, or its `timeout` fails it.",
        examples=["PT1H", "{{ inputs.delay }}"],
    )
    behavior: Text = Field(
        Behavior.RESUME.value,
        description="What happens after that time: RESUME goes on, WARN goes on and ends this task in WARNING, FAIL fails it, CANCEL cancels the execution.",
        examples=[behavior.value for behavior in Behavior],
    )
    on_resume: Annotated[tuple[Input, ...], BeforeValidator(lambda value: () if value is None else value)] = Field(
        (),
        description="Inputs to ask of whoever resumes it, declared as a flow's are; found in `outputs.ID.onResume`.",
        examples=[[{"id": "approved", "type": "BOOLEAN", "defaults": True}]],
    )
    on_pause: TaskSpec | None = Field(None, description="A task to run when the pause begins, such as one that tells somebody; how it ends changes nothing.")
    tasks: Tasks = Field((), description="Tasks to run once it is resumed, in order.")

    @field_validator("pause_duration")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None and not is_template(value):
            parse_duration(value)
        return value

    @field_validator("behavior")
    @classmethod
    def _known(cls, value: str) -> str:
        return value if is_template(value) else Behavior(value).value

    def questions(self) -> Mapping[str, Json]:
        asked = {"pauseDuration": self.pause_duration, "timeout": self.timeout, "behavior": self.behavior}
        return {name: value for name, value in asked.items() if is_template(value)}

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        lasts = _length(answers.get("pauseDuration", self.pause_duration), "pauseDuration")
        timeout = _length(answers.get("timeout", self.timeout), "timeout")
        behavior = _behavior(answers.get("behavior", self.behavior))
        times = [(lasts, _ENDS[behavior]), (timeout, State.FAILED)]
        length, overdue = min(((at, ends) for at, ends in times if at is not None), key=lambda one: one[0], default=(None, State.SUCCESS))
        beside = (self.on_pause,) if self.on_pause is not None else ()
        return Plan(tasks=self.tasks, wait=Wait(length=length, overdue=overdue, inputs=self.on_resume, beside=beside))

    def branches(self) -> Mapping[str, Tasks]:
        return {"tasks": self.tasks, "onPause": (self.on_pause,) if self.on_pause is not None else ()}


def _length(value: Json, name: str) -> timedelta | None:
    """A rendered duration; blank is none. Raises TaskFailed."""
    if value is None or not text_of(value).strip():
        return None
    try:
        return parse_duration(text_of(value))
    except ValueError as err:
        raise TaskFailed(f"{name}: {err}") from err


def _behavior(value: Json) -> Behavior:
    try:
        return Behavior(text_of(value).strip().upper())
    except ValueError as err:
        raise TaskFailed(f"behavior: must be one of {', '.join(Behavior)}, not `{text_of(value)}`") from err
