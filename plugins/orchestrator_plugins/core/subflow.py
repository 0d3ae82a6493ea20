"""Starting executions of other flows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from orchestrator.sdk import Call, Caller, CallProperties, Instant, Json, Label, TaskFailed, Text, labels_of, text_of, truthy

Labels = Annotated[tuple[Label, ...], BeforeValidator(labels_of)]
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


class FlowProperties(CallProperties):
    """Which flow is called, and with what."""

    namespace: Text = Field(min_length=1, description="The namespace of the flow to start.", examples=["company.team"])
    flow_id: Text = Field(min_length=1, description="The id of the flow to start.")
    revision: int | Text | None = Field(None, description="The revision of the flow; the newest by default.")
    inputs: Mapping[str, Json] | None = Field(None, description="The inputs to give.", examples=[{"day": "{{ trigger.date }}"}])
    labels: Labels = Field((), description="Labels for what is started: a map, or a list of `key` and `value`.", examples=[{"team": "data"}])
    inherit_labels: bool | Text = Field(False, description="Whether what is started gets the labels of this execution too.")
    schedule_date: Text | None = Field(None, description="The moment to begin at, with its zone; at once by default.", examples=["2030-01-01T08:00:00Z"])


class FlowCall(FlowProperties, Caller):
    """A task that starts executions of one flow."""

    def questions(self) -> Mapping[str, Json]:
        asked = {
            "namespace": self.namespace,
            "flowId": self.flow_id,
            "revision": self.revision,
            "inputs": self.inputs,
            "labels": [[label.key, label.value] for label in self.labels],
            "inheritLabels": self.inherit_labels,
            "scheduleDate": self.schedule_date,
        }
        return {name: value for name, value in asked.items() if value not in (None, [])}

    def call(self, answers: Mapping[str, Json]) -> Call:
        return Call(
            namespace=text_of(answers["namespace"]).strip(),
            flow_id=text_of(answers["flowId"]).strip(),
            revision=_revision(answers.get("revision")),
            inputs=answers.get("inputs") or {},
            labels=tuple(_label(text_of(key), value) for key, value in answers.get("labels") or ()),
            inherit_labels=truthy(answers["inheritLabels"]),
            schedule_date=_instant(answers.get("scheduleDate")),
        )


class Subflow(FlowCall):
    """Start an execution of another flow; the outputs are its `executionId`, and once it has been waited for its `state` and `outputs`."""

    outputs: Mapping[str, Json] | None = Field(
        None,
        description="What to take from the execution, rendered among its own variables; better declare `outputs` in its flow.",
        json_schema_extra={"deprecated": True},
    )

    @model_validator(mode="after")
    def _has_something_to_wait_for(self) -> Subflow:
        if self.outputs and not self.wait:
            raise ValueError("`outputs` can only be taken from an execution that is waited for: set `wait: true`")
        return self

    def results(self) -> Mapping[str, Json]:
        return self.outputs or {}


def _revision(value: Json) -> int | None:
    if value is None or not text_of(value).strip():
        return None
    try:
        return int(text_of(value))
    except ValueError as err:
        raise TaskFailed(f"`revision` must be a number, and is: {text_of(value)[:100]}") from err


def _label(key: str, value: Json) -> Label:
    if key.startswith("system."):
        raise TaskFailed(f"System labels can only be set by Kestra itself, offending label: {key}")
    return Label(key=key, value=text_of(value))


def _instant(value: Json) -> datetime | None:
    if value is None or not text_of(value).strip():
        return None
    try:
        return _INSTANT.validate_python(text_of(value))
    except ValidationError as err:
        raise TaskFailed(f"`scheduleDate` must be a moment with its zone, such as 2030-01-01T08:00:00Z, and is: {text_of(value)[:100]}") from err
