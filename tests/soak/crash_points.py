"""Every crash point with every victim: part of `make soak`, or

    python -m tests.soak.crash_points [--backend docker|aws|gcp] [--only "after create"] [--record]

At each of them the supervisor, the executor or both are killed. Then: one job was ever made, its lines are there once and
in order, its exit code and files arrived, and nothing of it is left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.integration.aws_crash_points import aws_crash_site
from tests.integration.crash_points import VICTIMS, CrashSite, crash_site
from tests.integration.gcp_crash_site import google_crash_site
from tests.soak.recording import parser, record

SITES = {"docker": crash_site, "aws": aws_crash_site, "gcp": google_crash_site}
HEAD = (f"| halted at | {' | '.join(f'{victim} killed, s' for victim in VICTIMS)} |", f"| --- | {'---: | ' * len(VICTIMS)}".rstrip())
WRONG = "WRONG"


def main() -> int:
    """1 when anything did not hold."""
    options = _options()
    lines = list(HEAD)
    print(*HEAD, sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="orch-crash-") as folder, SITES[options.backend](Path(folder)) as site:
        for point in options.only or site.backend.points:
            lines.append(f"| {point} | {' | '.join(_row(site, point))} |")
            print(lines[-1], flush=True)
    if options.record:
        record(f"crash points on {options.backend}, from the kill to the end", lines)
    return int(any(WRONG in line for line in lines))


def _row(site: CrashSite, point: str) -> Iterator[str]:
    for victim in VICTIMS:
        try:
            yield f"{site.crash(point, victim):.1f}"
        except Exception:
            print(f"{point}, {victim} killed:", file=sys.stderr)
            traceback.print_exc()
            yield WRONG


def _options() -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--backend", choices=list(SITES), default="docker")
    found.add_argument("--only", action="append", help="one point; may be given again")
    return found.parse_args()


if __name__ == "__main__":
    sys.exit(main())
