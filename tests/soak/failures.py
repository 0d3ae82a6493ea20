"""Every failure of the table many times over: `make soak`, or

    python -m tests.soak.failures [--times 20] [--only "the node is lost"] [--record]

Prints a table with the median and the longest time of each, and how often its bound was kept. As root, for the cable to be cut.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.integration.failure_table import SCENARIOS, Scene, scenes
from tests.soak.recording import parser, record

HEAD = "| what happens | times | median, s | longest, s | bound, s | kept |\n| --- | ---: | ---: | ---: | ---: | ---: |"


def main() -> int:
    """1 when anything was lost, done twice, or over its bound."""
    options = _options()
    names = options.only or list(SCENARIOS)
    rows, failed = [], 0
    print(HEAD, flush=True)
    for name in names:
        seconds, wrong = _played(name, options.times)
        failed += wrong + sum(not _kept(name, one) for one in seconds)
        rows.append(_row(name, seconds, wrong))
        print(rows[-1], flush=True)
    if options.record:
        record("failures", [HEAD, *rows])
    return int(failed > 0)


def _played(name: str, times: int) -> tuple[list[float], int]:
    """The seconds of each time that went well, and how many did not. A fresh server for each scenario."""
    seconds, wrong = [], 0
    with tempfile.TemporaryDirectory(prefix="orch-soak-") as folder, scenes(Path(folder)) as scene:
        for at in range(times):
            try:
                seconds.append(scene.bring_about(name))
            except Exception:
                wrong += 1
                print(f"{name}, time {at + 1} of {times}:", file=sys.stderr)
                traceback.print_exc()
            _settled(scene)
    return seconds, wrong


def _settled(scene: Scene) -> None:
    """Let the server be as before: healthy, with its own worker alone."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not scene.settled():
        time.sleep(0.2)


def _kept(name: str, seconds: float) -> bool:
    bound = SCENARIOS[name][1]
    return bound is None or seconds <= bound


def _row(name: str, seconds: Sequence[float], wrong: int) -> str:
    bound = SCENARIOS[name][1]
    kept = sum(_kept(name, one) for one in seconds)
    figures = f"{statistics.median(seconds):.1f} | {max(seconds):.1f}" if seconds else "- | -"
    return f"| {name} | {len(seconds) + wrong} | {figures} | {f'{bound:g}' if bound else ''} | {kept} of {len(seconds) + wrong} |"


def _options() -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--times", type=int, default=20)
    found.add_argument("--only", choices=list(SCENARIOS), action="append", help="may be given again")
    return found.parse_args()


if __name__ == "__main__":
    sys.exit(main())
