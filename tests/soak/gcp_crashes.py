"""Every crash point of a job on Google Batch: part of `make soak`, or

    python -m tests.soak.gcp_crashes [--only "after create"]

First a supervisor alone is killed at each step of its own, then under a server the supervisor, the executor or both. Each time:
one job was ever made, its lines are there once and in order, its exit code and files arrived, and nothing of it is left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.contract.gcp_site import an_emulator
from tests.integration.crash_points import VICTIMS
from tests.integration.gcp_crash_site import POINTS as SERVER_POINTS
from tests.integration.gcp_crash_site import google_crash_site
from tests.integration.gcp_crashes import POINTS, GoogleCrashes


def main() -> int:
    """1 when anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one point")
    only = parser.parse_args().only
    wrong = 0
    print("| point | killed | all well after, s |\n| --- | --- | ---: |", flush=True)
    with tempfile.TemporaryDirectory(prefix="gcp-crash-") as folder, an_emulator() as emulator:
        alone = GoogleCrashes(emulator, Path(folder))
        for point in POINTS if only is None else set(POINTS) & {only}:
            wrong += _tried(point, "a supervisor alone", lambda point=point: alone.crash(point))  # type: ignore[misc]
    chosen = SERVER_POINTS if only is None else tuple(set(SERVER_POINTS) & {only})
    with tempfile.TemporaryDirectory(prefix="gcp-crash-") as folder, google_crash_site(Path(folder)) as site:
        for point in chosen:
            for victim in VICTIMS:
                wrong += _tried(point, victim, lambda point=point, victim=victim: site.crash(point, victim))  # type: ignore[misc]
    return int(wrong > 0)


def _tried(point: str, victim: str, crash: Callable[[], object]) -> int:
    begun = time.monotonic()
    try:
        crash()
    except Exception:
        print(f"| {point} | {victim} | WRONG |", flush=True)
        traceback.print_exc()
        return 1
    print(f"| {point} | {victim} | {time.monotonic() - begun:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
