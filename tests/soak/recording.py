"""Where what a soak has found is kept: printed, and at the end of `benchmarks/RESULTS.md` when asked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.run import RESULTS, machine


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options of a soak; every one may be recorded."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--record", action="store_true", help="add what was found to benchmarks/RESULTS.md")
    return made


def record(about: str, lines: Sequence[str]) -> None:
    """Add a dated section."""
    with RESULTS.open("a") as file:
        file.write(f"\n## {datetime.now(UTC):%Y-%m-%d}, {about}: {machine()}\n\n" + "\n".join(lines) + "\n")
