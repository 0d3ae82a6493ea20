"""What a flow promises of its executions."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, field_validator, model_validator

from orchestrator.model.values import Duration, Frozen, Label, labels_of


class SlaKind(StrEnum):
    MAX_DURATION = "MAX_DURATION"
    EXECUTION_ASSERTION = "EXECUTION_ASSERTION"


class SlaBehavior(StrEnum):
    FAIL = "FAIL"
    CANCEL = "CANCEL"
    NONE = "NONE"


class Sla(Frozen):
    """A promise about every execution of a flow: how long it takes at most, or what holds while it runs."""

    id: str = Field(min_length=1, description="A name for it, as its violation is logged under.", examples=["in_time"])
    type: SlaKind = Field(description="Whether `duration` bounds the execution, or `assert` must hold.")
    behavior: SlaBehavior = Field(description="What becomes of an execution that breaks it: FAIL, CANCEL, or NONE (it only gets the labels).")
    labels: tuple[Label, ...] = Field((), description="Labels that an execution gets when it breaks it.", examples=[{"sla": "missed"}])
    duration: Duration | None = Field(None, description="The longest that an execution may take from its creation on.", examples=["PT2H"])
    assertion: str | None = Field(
        None,
        alias="assert",
        description="An expression that holds when it renders to something true; looked at when the execution begins and after each of the flow's own tasks.",
        examples=["{{ outputs.load.rows > 0 }}"],
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _either_form(cls, value: object) -> object:
        return labels_of(value)

    @field_validator("assertion", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value).lower() if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _has_its_bound(self) -> Sla:
        if self.type is SlaKind.MAX_DURATION and self.duration is None:
            raise ValueError("an SLA of type MAX_DURATION needs a `duration`")
        if self.type is SlaKind.EXECUTION_ASSERTION and self.assertion is None:
            raise ValueError("an SLA of type EXECUTION_ASSERTION needs an `assert`")
        return self
