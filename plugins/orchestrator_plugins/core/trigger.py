"""What starts executions by itself. These are read and checked here; the scheduler acts on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from orchestrator.sdk import Duration, Json, PluginModel, Trigger
from orchestrator_plugins.core.cron import cron_problem

Condition = Mapping[str, Json]
_OFFSET = re.compile(r"Z|(UTC|GMT|UT)?[+-]\d{1,2}(:?\d{2})?")


def _is_zone(text: str) -> bool:
    """Whether it is a zone's name or an offset from UTC."""
    if _OFFSET.fullmatch(text):
        return True
    try:
        return bool(ZoneInfo(text))
    except (KeyError, ValueError, OSError):
        return False


class Backfill(PluginModel):
    """Past times to make up for."""

    start: str | None = None
    end: str | None = None
    current_date: str | None = None
    paused: bool = False
    inputs: Mapping[str, Json] | None = None
    labels: Json = None


class Schedule(Trigger):
    """Start an execution at the times a cron expression names."""

    dated: ClassVar[bool] = True

    cron: str = Field(description="Five cron fields (six with `withSeconds`), or a nickname.", examples=["0 9 * * 1-5", "@hourly"])
    timezone: str | None = Field(None, description="The time zone of the expression, by name; the server's own when not set.")
    with_seconds: bool = Field(False, description="Whether the expression has a first field for seconds.")
    late_maximum_delay: Duration | None = Field(None, description="Leave a time out when it is missed by more than this.")
    recover_missed_schedules: Literal["ALL", "LAST", "NONE"] | None = Field(None, description="Which missed times to make up for after a stop.")
    schedule_conditions: tuple[Condition, ...] = Field((), description="Older name of `conditions`.")
    backfill: Backfill | None = None
    late_after: Duration | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and not _is_zone(zone):
            raise ValueError(f"'{zone}' is not a valid time-zone ID")
        return zone

    @model_validator(mode="after")
    def _readable(self) -> Schedule:
        if problem := cron_problem(self.cron, with_seconds=self.with_seconds):
            raise ValueError(f"invalid cron expression '({self.cron}): {problem}'")
        return self


class Webhook(Trigger):
    """Start an execution when its address is called."""

    key: str = Field(max_length=256, description="The secret last part of the address.")
    wait: bool = False
    return_outputs: bool = False

    @field_validator("conditions")
    @classmethod
    def _no_multiple(cls, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
        if any(str(condition.get("type", "")).endswith("MultipleCondition") for condition in conditions):
            raise ValueError("invalid webhook: conditions of type MultipleCondition are not supported")
        return conditions


class Flow(Trigger):
    """Start an execution when executions of other flows end."""

    states: tuple[str, ...] = ()
    preconditions: Mapping[str, Json] | None = None
