"""Conformance may only rise: compares a run's passes per tag with `floor.json`.

python -m tests.conformance.check_floor results.json           fails (1) when a tag has fewer passes than its floor
python -m tests.conformance.check_floor results.json --raise   also lifts the floor to what passed
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("floor.json")
ALL = "(all cases)"  # the row of the whole run, beside those of the tags


@dataclass(frozen=True)
class Floor:
    """The case files that count, and for each tag the fewest passes that are good enough."""

    files: tuple[str, ...]
    tags: Mapping[str, int]


@dataclass(frozen=True)
class Row:
    """One tag: what the floor asks, and what the run gave."""

    tag: str
    floor: int
    passed: int
    failed: int
    skipped: int

    @property
    def holds(self) -> bool:
        return self.passed >= self.floor


def read(file: Path = FILE) -> Floor:
    """The floor as kept in the repository."""
    found = json.loads(file.read_text())
    return Floor(files=tuple(found["files"]), tags=found["tags"])


def rows(floor: Floor, results: Iterable[Mapping[str, Any]]) -> list[Row]:
    """A row for every tag that the floor or the run knows, the whole run last.

    `results` are the harness's: objects with `tags` and `outcome` (passed, failed or skipped).
    """
    counts: dict[str, Counter[str]] = {}
    for result in results:
        for tag in [*result["tags"], ALL]:
            counts.setdefault(tag, Counter())[result["outcome"]] += 1
    tags = sorted((set(floor.tags) | set(counts)) - {ALL})
    return [_row(tag, floor, counts.get(tag, Counter())) for tag in [*tags, ALL]]


def _row(tag: str, floor: Floor, count: Counter[str]) -> Row:
    return Row(tag=tag, floor=floor.tags.get(tag, 0), passed=count["passed"], failed=count["failed"], skipped=count["skipped"])


def raised(floor: Floor, table: Sequence[Row]) -> Floor:
    """The floor lifted to what passed; never lowered."""
    return Floor(files=floor.files, tags={row.tag: max(row.floor, row.passed) for row in table})


def table_text(table: Sequence[Row]) -> str:
    """The rows for people."""
    width = max(len(row.tag) for row in table)
    lines = [f"{'tag':<{width}}  floor passed failed skipped"]
    lines += [f"{row.tag:<{width}}  {row.floor:5} {row.passed:6} {row.failed:6} {row.skipped:7}{'' if row.holds else '  BELOW'}" for row in table]
    return "\n".join(lines)


def write(floor: Floor, file: Path = FILE) -> None:
    file.write_text(json.dumps({"files": list(floor.files), "tags": dict(floor.tags)}, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every tag holds its floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what the harness wrote with --json")
    parser.add_argument("--raise", dest="lift", action="store_true", help="lift the floor to what passed")
    options = parser.parse_args(arguments)
    floor = read()
    table = rows(floor, json.loads(options.results.read_text()))
    print(table_text(table))
    if options.lift:
        write(raised(floor, table))
    below = [row.tag for row in table if not row.holds]
    print(f"conformance fell below its floor: {', '.join(below)}" if below else "conformance holds its floor")
    return 1 if below else 0


if __name__ == "__main__":
    raise SystemExit(main())
