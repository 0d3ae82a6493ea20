"""Speed over the REST API beside bare Ray actor calls, in turn, on one machine: `make bench`, or

    python -m benchmarks.run [--url http://127.0.0.1:8080 [--token T]] [--workloads W1,W4] [--reps 3] [--items 1000] [--record]

Without --url a server is started on a passing folder. Machines differ and are noisy: compare the last column, the
ratio to bare Ray in the same run. `--record` adds the table to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import memory
from benchmarks.bare_ray import bare_ray
from benchmarks.rest import Api
from benchmarks.workloads import NAMESPACE, WORKLOADS, Figures, measure, sources
from tests.local_server import local_server

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = "| | workload | unit | this server | bare Ray | times bare Ray | mark |\n| --- | --- | --- | ---: | ---: | ---: | ---: |"


def main() -> int:
    """1 when a workload could not be run; a mark that is missed is shown, not judged."""
    options = _options()
    figures: dict[str, tuple[Figures, Figures]] = {}
    with _server(options) as (api, mark), bare_ray() as bare:
        for source in sources(options.items):
            api.save(source)
        for _ in range(5):
            api.execute(NAMESPACE, "one", wait=True)
        print(HEAD, flush=True)
        for name in options.workloads.split(","):
            figures[name] = ([], [])
            for _ in range(options.reps):
                figures[name][1].extend(bare(name, options.items))
                figures[name][0].extend(measure(api, name, options.items))
            print(_row(name, *figures[name]), flush=True)
        held = memory.by_title(mark)
    print(_memory_text(held))
    if options.record:
        _record(figures, held, options.items)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a server that runs already")
    parser.add_argument("--token", help="its API token")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--items", type=int, default=1000, help="of W6")
    parser.add_argument("--record", action="store_true", help="add the table to RESULTS.md")
    options = parser.parse_args()
    if unknown := set(options.workloads.split(",")) - set(WORKLOADS):
        parser.error(f"no workload {', '.join(sorted(unknown))}: there are {', '.join(WORKLOADS)}")
    return options


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[Api, str]]:
    """The server to measure, and the mark of its processes (empty: every server's on this machine)."""
    if options.url:
        yield Api(options.url, options.token), ""
        return
    with local_server() as server:
        yield Api(server.url), json.loads((server.data / "cluster.json").read_text())["mark"]


def _row(name: str, server: Figures, bare: Figures) -> str:
    workload, mine, theirs = WORKLOADS[name], statistics.median(server), statistics.median(bare)
    mark = f"{'<=' if workload.less_is_better else '>='} {workload.mark:g}"
    return f"| {name} | {workload.about} | {workload.unit} | {mine:.4g} | {theirs:.4g} | {workload.ratio(mine, theirs):.2f} | {mark} |"


def _memory_text(held: Mapping[str, float]) -> str:
    return "\nMemory (PSS): " + ", ".join(f"{title} {mib:.0f} MiB" for title, mib in held.items() if mib >= 1)


def _record(figures: Mapping[str, tuple[Figures, Figures]], held: Mapping[str, float], items: int) -> None:
    now = datetime.now(UTC)
    rows = "\n".join(_row(name, *both) for name, both in figures.items())
    with RESULTS.open("a") as file:
        file.write(f"\n## {now:%Y-%m-%d}: {machine()}, W6 with {items} items\n\n{HEAD}\n{rows}\n{_memory_text(held)}\n")


def machine() -> str:
    """What it was measured on, in a line."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, Ray {version('ray')}, commit {_commit()}"


def _commit() -> str:
    """Of this clone, with a word when files differ from it (these results aside); `unknown` elsewhere."""
    try:
        commit, changed = (_git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "--", ":/", f":!{RESULTS}"))
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}, changed" if changed else commit


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=RESULTS.parent, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
