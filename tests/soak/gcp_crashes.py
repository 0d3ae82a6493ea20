"""Every crash point of a job on Google Batch: part of `make soak`, or

    python -m tests.soak.gcp_crashes [--only "after client.BatchClient.create"]

The supervisor is killed at each. Then: one job was ever made, its lines are there once and in order, its exit code and files
arrived, and nothing of it is left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.contract.gcp_site import an_emulator
from tests.integration.gcp_crashes import POINTS, GoogleCrashes


def main() -> int:
    """1 when anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one point")
    only = parser.parse_args().only
    wrong = 0
    print("| killed | all well after, s |\n| --- | ---: |", flush=True)
    with tempfile.TemporaryDirectory(prefix="gcp-crash-") as folder, an_emulator() as emulator:
        for point in [only] if only else POINTS:
            begun = time.monotonic()
            try:
                GoogleCrashes(emulator, Path(folder)).crash(point)
                print(f"| {point} | {time.monotonic() - begun:.1f} |", flush=True)
            except Exception:
                wrong += 1
                print(f"| {point} | WRONG |", flush=True)
                traceback.print_exc()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
