"""Cutting a file into several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, RunContext, Task, TaskFailed, Text
from orchestrator_plugins.core.rows import byte_size, checked, folder_of, name_of, rows

MOST_PARTITIONS = 500  # files open at once


class Split(Task):
    """Cut a file into files of so many rows, of about so many bytes, or into so many parts to which rows are dealt in turn."""

    from_: Dynamic[Text] = Field(alias="from", description="The file's URI.")
    bytes_: Dynamic[Text] | None = Field(None, alias="bytes", description="How many bytes a file holds before the next begins, such as `10MB`.")
    rows_: Dynamic[int] | None = Field(None, alias="rows", description="How many rows a file holds.")
    partitions: Dynamic[int] | None = Field(None, description="How many files to make.")
    separator: Dynamic[Text] = Field("\n", description="What ends a row.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        uri, after = ctx.render(self.from_), ctx.render(self.separator).encode()
        with folder_of(ctx) as folder, ctx.files.open(uri) as file:
            found = checked(ctx, (row + after for row in rows(file, after)))
            parts = parts_of(found, folder, limit=ctx.render(self.bytes_), count=ctx.render(self.rows_), partitions=ctx.render(self.partitions))
            return {"uris": [ctx.files.put(path, name_of(uri)) for path in parts]}


def parts_of(found: Iterator[bytes], folder: Path, *, limit: str | None, count: int | None, partitions: int | None) -> Iterator[Path]:
    """The files that rows are cut into, by the first that is given: about so many bytes, so many parts, so many rows.

    Each may be gone once the next is asked for. Raises TaskFailed for a bound that makes no sense.
    """
    if (partitions is not None and not 1 <= partitions <= MOST_PARTITIONS) or (count is not None and count < 1):
        raise TaskFailed(f"`rows` is at least 1, `partitions` from 1 to {MOST_PARTITIONS}")
    if limit is not None:
        try:
            return _runs(found, folder, byte_size(limit), None)
        except ValueError as err:
            raise TaskFailed(f"bytes: {err}") from err
    if partitions is not None:
        return _dealt(found, folder, partitions)
    if count is not None:
        return _runs(found, folder, None, count)
    raise TaskFailed("one of `bytes`, `partitions` and `rows` is needed")


def _runs(found: Iterator[bytes], folder: Path, limit: int | None, count: int | None) -> Iterator[Path]:
    """Files of rows that follow each other, each gone once the next is asked for; a file ends with the row that reaches a limit."""
    path = folder / "part"
    for first in found:
        with path.open("wb") as out:
            size, number = out.write(first), 1
            while (limit is None or size < limit) and (count is None or number < count) and (row := next(found, None)) is not None:
                size, number = size + out.write(row), number + 1
        yield path


def _dealt(found: Iterator[bytes], folder: Path, partitions: int) -> Iterator[Path]:
    """Files to which the rows are dealt in turn; those that got none are left out."""
    paths = [folder / str(number) for number in range(partitions)]
    with ExitStack() as stack:
        outs = [stack.enter_context(path.open("wb")) for path in paths]
        for number, row in enumerate(found):
            outs[number % partitions].write(row)
    yield from (path for path in paths if path.stat().st_size)
