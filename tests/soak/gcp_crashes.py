"""A supervisor of jobs on Google Batch, without a server, that dies at each step of its own: part of `make soak`, or

    python -m tests.soak.gcp_crashes [--only "after client.BatchClient.create"] [--record]

Each time: one job was ever made, its lines are there once and in order, its exit code and files arrived, and nothing of it is left.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.contract.gcp_site import an_emulator
from tests.integration.gcp_crashes import POINTS, GoogleCrashes
from tests.soak.recording import parser, record

HEAD = ("| killed | all well after, s |", "| --- | ---: |")
WRONG = "WRONG"


def main() -> int:
    """1 when anything did not hold."""
    found = parser(__doc__)
    found.add_argument("--only", help="one point")
    options = found.parse_args()
    lines = list(HEAD)
    print(*HEAD, sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="gcp-crash-") as folder, an_emulator() as emulator:
        alone = GoogleCrashes(emulator, Path(folder))
        for point in [options.only] if options.only else POINTS:
            lines.append(f"| {point} | {_tried(alone, point)} |")
            print(lines[-1], flush=True)
    if options.record:
        record("a supervisor on Google Batch that dies at its own steps", lines)
    return int(any(WRONG in line for line in lines))


def _tried(alone: GoogleCrashes, point: str) -> str:
    begun = time.monotonic()
    try:
        alone.crash(point)
    except Exception:
        traceback.print_exc()
        return WRONG
    return f"{time.monotonic() - begun:.1f}"


if __name__ == "__main__":
    sys.exit(main())
