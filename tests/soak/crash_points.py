"""Every crash point with every victim: part of `make soak`, or

    python -m tests.soak.crash_points [--backend docker] [--only "after create"]

At each of them the supervisor, the executor or both are killed. Then: one job was ever made, its lines are there once and
in order, its exit code and files arrived, and nothing of it is left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from tests.integration.crash_points import BACKENDS, VICTIMS, crash_site


def main() -> int:
    """1 when anything did not hold."""
    options = _options()
    points = [options.only] if options.only else BACKENDS[options.backend].points
    wrong = 0
    print(f"| halted at | {' | '.join(f'{victim} killed, s' for victim in VICTIMS)} |\n| --- | {'---: | ' * len(VICTIMS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="orch-crash-") as folder, crash_site(Path(folder), options.backend) as site:
        for point in points:
            row = []
            for victim in VICTIMS:
                try:
                    row.append(f"{site.crash(point, victim):.1f}")
                except Exception:
                    wrong += 1
                    row.append("WRONG")
                    print(f"{point}, {victim} killed:", file=sys.stderr)
                    traceback.print_exc()
            print(f"| {point} | {' | '.join(row)} |", flush=True)
    return int(wrong > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=list(BACKENDS), default="docker")
    parser.add_argument("--only", help="one point")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
