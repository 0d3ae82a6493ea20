"""Items of a file, one per line, as JSON or Ion: those that a template picks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum

from pydantic import Field

from orchestrator.sdk import Dynamic, ExpressionFailed, Json, RunContext, Task, TaskFailed, Template, Text, truthy
from orchestrator_plugins.core.rows import checked, folder_of, name_of, rows


def with_item(ctx: RunContext, line: bytes) -> RunContext:
    """The context with an item's fields as variables. Raises ExpressionFailed when the line holds no item."""
    text = line.decode(errors="replace")
    try:
        item = json.loads(text)
    except ValueError:
        item = ctx.with_variables({"line": text}).render_typed("{{ fromIon(line) }}")
    if not isinstance(item, Mapping):
        raise ExpressionFailed(f"`{text[:100]}` is not an item with fields")
    return ctx.with_variables({str(key): value for key, value in item.items()})


def _lines(ctx: RunContext, found: Iterator[bytes]) -> Iterator[bytes]:
    return (line for line in checked(ctx, found, every=100) if line.strip())


class DeduplicateItems(Task):
    """Keep of all items with the same key only the last, in the order of the file."""

    from_: Dynamic[Text] = Field(alias="from", description="The URI of a file of items.")
    expr: Dynamic[Text] = Field(description="The key of an item, whose fields it sees as variables.", examples=["{{ id }}"])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        uri = ctx.render(self.from_)
        with folder_of(ctx) as folder:
            ctx.files.fetch(uri, folder / "from")
            last: dict[bytes, int] = {}
            number = 0
            with (folder / "from").open("rb") as file:
                for number, line in enumerate(_lines(ctx, rows(file, b"\n")), 1):
                    last[self._key(ctx, line, number)] = number
            kept = frozenset(last.values())
            with (folder / "from").open("rb") as file, (folder / "kept").open("wb") as out:
                out.writelines(line + b"\n" for at, line in enumerate(_lines(ctx, rows(file, b"\n")), 1) if at in kept)
            put = ctx.files.put(folder / "kept", name_of(uri))
        return {"uri": put, "numKeys": len(last), "processedItemsTotal": number, "droppedItemsTotal": number - len(last)}

    def _key(self, ctx: RunContext, line: bytes, number: int) -> bytes:
        try:
            key: str = with_item(ctx, line).render(self.expr)
        except ExpressionFailed as err:
            raise TaskFailed(f"item {number}: {err}") from err
        return hashlib.blake2b(key.encode(), digest_size=16).digest()  # of one size, whatever the keys are


class FilterType(StrEnum):
    """What is done with the items for which the condition holds."""

    INCLUDE = "INCLUDE"
    EXCLUDE = "EXCLUDE"


class ErrorBehavior(StrEnum):
    """What is done with an item for which the condition cannot be told."""

    FAIL = "FAIL"
    INCLUDE = "INCLUDE"
    EXCLUDE = "EXCLUDE"


class FilterItems(Task):
    """Keep the items for which a condition holds, or those for which it does not."""

    from_: Dynamic[Text] = Field(alias="from", description="The URI of a file of items.")
    filter_condition: Dynamic[Text] = Field(description="The condition on an item, whose fields it sees as variables.", examples=["{{ amount > 10 }}"])
    filter_type: Dynamic[FilterType] = Field(FilterType.INCLUDE, description="Whether the items that fit are kept or dropped.")
    error_or_null_behavior: Dynamic[ErrorBehavior] = Field(ErrorBehavior.FAIL, description="What is done with an item whose condition fails or gives nothing.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        uri, wanted, otherwise = ctx.render(self.from_), FilterType(ctx.render(self.filter_type)), ErrorBehavior(ctx.render(self.error_or_null_behavior))
        number = kept = 0
        with folder_of(ctx) as folder, ctx.files.open(uri) as file:
            with (folder / "kept").open("wb") as out:
                for number, line in enumerate(_lines(ctx, rows(file, b"\n")), 1):
                    if self._keeps(ctx, line, number, wanted, otherwise):
                        out.write(line + b"\n")
                        kept += 1
            put = ctx.files.put(folder / "kept", name_of(uri))
        return {"uri": put, "processedItemsTotal": number, "droppedItemsTotal": number - kept}

    def _keeps(self, ctx: RunContext, line: bytes, number: int, wanted: FilterType, otherwise: ErrorBehavior) -> bool:
        try:
            text = self._told(with_item(ctx, line))
        except ExpressionFailed as err:
            if otherwise is ErrorBehavior.FAIL:
                raise TaskFailed(f"item {number}: {err}") from err
            return otherwise is ErrorBehavior.INCLUDE
        return truthy(text) == (wanted is FilterType.INCLUDE)

    def _told(self, ctx: RunContext) -> str:
        condition = self.filter_condition
        text: str = ctx.render(condition)
        if not text.strip():
            raise ExpressionFailed(f"the condition `{condition.source if isinstance(condition, Template) else condition}` gives nothing")
        return text
