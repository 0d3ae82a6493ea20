"""What users write for any SQL database: where it is, what to ask, and what becomes of the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, PluginModel, RunContext, TaskFailed, Text, is_template

if TYPE_CHECKING:
    from orchestrator_plugins.jdbc.driver import Driver


class FetchType(StrEnum):
    """What becomes of the rows: nothing, all of them or the first as outputs, or all of them in a stored file."""

    NONE = "NONE"
    FETCH = "FETCH"
    FETCH_ONE = "FETCH_ONE"
    STORE = "STORE"


class Database(PluginModel, ABC):
    """Where a database is and who asks."""

    url: Dynamic[Text] = Field(description="The database's address, with or without `jdbc:` before it.")
    username: Dynamic[Text] | None = Field(None, description="Who asks; also a part of the address may say so.")
    password: Dynamic[Text] | None = Field(None, description="The password of who asks.", examples=["{{ secret('POSTGRES_PASSWORD') }}"])
    time_zone_id: Dynamic[Text] | None = Field(None, description="The time zone in which moments are told; UTC when not set.", examples=["Europe/Paris"])

    @abstractmethod
    def driver(self, ctx: RunContext) -> Driver:
        """The way to the database. Raises TaskFailed when its library is not installed or a property does not fit."""

    def zone(self, ctx: RunContext) -> tzinfo:
        name = ctx.render(self.time_zone_id)
        if not name:
            return UTC
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError) as err:
            raise TaskFailed(f"timeZoneId: there is no time zone `{name}`") from err


class Asking(Database, ABC):
    """What to ask a database."""

    isolated: ClassVar[bool] = True  # a library that waits for a server is not to be stopped from within its process

    sql: Dynamic[Text] = Field(description="The SQL. Put values into `parameters`, not into the text.", examples=["SELECT * FROM orders WHERE state = :state"])
    parameters: Mapping[str, Json] | None = Field(None, description="Values by the names that stand in the SQL as `:name`.", examples=[{"state": "open"}])
    fetch_type: Dynamic[FetchType] = Field(FetchType.NONE, description="What becomes of the rows.")
    fetch_size: Dynamic[int] = Field(10_000, description="How many rows are brought at a time.")
    fetch: bool = Field(False, description="Older form of `fetchType: FETCH`.")
    fetch_one: bool = Field(False, description="Older form of `fetchType: FETCH_ONE`.")
    store: bool = Field(False, description="Older form of `fetchType: STORE`.")

    def fetching(self, ctx: RunContext) -> FetchType:
        if self.fetch or self.fetch_one or self.store:
            return FetchType.FETCH if self.fetch else FetchType.FETCH_ONE if self.fetch_one else FetchType.STORE
        return FetchType(ctx.render(self.fetch_type))

    def values(self, ctx: RunContext) -> dict[str, Json]:
        """The parameters; what is nothing but one expression keeps the type of its value."""
        return {name: _typed(ctx, value) for name, value in (self.parameters or {}).items()}


def _typed(ctx: RunContext, value: Json) -> Json:
    if is_template(value):
        return ctx.render_typed(value)
    if isinstance(value, Mapping):
        return {key: _typed(ctx, one) for key, one in value.items()}
    return [_typed(ctx, one) for one in value] if isinstance(value, list | tuple) else value
