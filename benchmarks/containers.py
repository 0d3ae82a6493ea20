"""A task in a container of its own beside the same container by docker-py alone, in turn, on one machine, or

    python -m benchmarks.containers [--runs 30] [--record]

Needs a Docker engine with the image test/busybox. Bare is make, start, wait and read the log; ours is a POST with
`wait=true` until its answer, so the whole server is in it. A container costs what its engine takes, which is noisy: compare
what was measured in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import docker

from benchmarks.rest import Api, moment
from benchmarks.run import RESULTS, machine
from tests.local_server import local_server

IMAGE = "test/busybox"
NAMESPACE = "bench"
AT_ONCE = 4
LINES = 10
MARKS = {
    "overhead, p50, ms": 40.0,
    f"{AT_ONCE} at once, times bare": 1.15,
    "a line from its container to a reader, longest, ms": 1000.0,
    "an end from its container to a reader, longest, ms": 200.0,
}
FLOW = """
id: {name}
namespace: {namespace}
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: {image}
    taskRunner: {{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER}}
    commands: ["{command}"]
"""


def main() -> int:
    """0, whatever was measured: a mark that is missed is shown, not judged."""
    options = _options()
    engine = docker.APIClient(version="auto")
    with local_server() as server:
        api = Api(server.url)
        for name, command in {"one": "echo hello", "lines": f"for i in $(seq {LINES}); do echo $i; sleep 0.3; done"}.items():
            api.save(FLOW.format(name=name, namespace=NAMESPACE, image=IMAGE, command=command))
        for _ in range(3):
            bare(engine), ours(api)
        figures = {**in_turn(engine, api, options.runs), **at_once(engine, api, options.runs), **seen(engine, api)}
    text = f"| figure | measured | mark |\n| --- | ---: | ---: |\n{_rows(figures)}"
    print(text)
    if options.record:
        with RESULTS.open("a") as file:
            file.write(f"\n## {datetime.now(UTC):%Y-%m-%d}, containers: {machine()}\n\n{text}\n")
    return 0


def bare(engine: docker.APIClient) -> float:
    """Milliseconds until the log of a container is read whose end was waited for."""
    began = time.perf_counter()
    made = engine.create_container(IMAGE, ["/bin/sh", "-c", "echo hello"])["Id"]
    engine.start(made)
    assert engine.wait(made)["StatusCode"] == 0
    assert engine.logs(made) == b"hello\n"
    took = time.perf_counter() - began
    engine.remove_container(made)
    return took * 1000


def ours(api: Api) -> float:
    """Milliseconds from the POST of an execution to its end."""
    began = time.perf_counter()
    assert api.execute(NAMESPACE, "one", wait=True)["state"]["current"] == "SUCCESS"
    return (time.perf_counter() - began) * 1000


def in_turn(engine: docker.APIClient, api: Api, runs: int) -> Mapping[str, float]:
    pairs = [(bare(engine), ours(api)) for _ in range(runs)]
    theirs, mine = (statistics.median(one) for one in zip(*pairs, strict=True))
    return {"bare, p50, ms": theirs, "ours, p50, ms": mine, "overhead, p50, ms": mine - theirs}


def at_once(engine: docker.APIClient, api: Api, runs: int) -> Mapping[str, float]:
    """Several at a time: bare and ours in rounds that take turns."""
    theirs, mine = list[float](), list[float]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(max(3, runs // 5)):
            theirs.append(_round(pool, lambda: bare(engine)))
            mine.append(_round(pool, lambda: ours(api)))
    return {
        f"{AT_ONCE} at once, bare, p50, ms each": statistics.median(theirs),
        f"{AT_ONCE} at once, ours, p50, ms each": statistics.median(mine),
        f"{AT_ONCE} at once, times bare": statistics.median(mine) / statistics.median(theirs),
    }


def _round(pool: ThreadPoolExecutor, one: Callable[[], float]) -> float:
    began = time.perf_counter()
    for done in [pool.submit(one) for _ in range(AT_ONCE * 4)]:
        done.result()
    return (time.perf_counter() - began) * 1000 / (AT_ONCE * 4)


def seen(engine: docker.APIClient, api: Api) -> Mapping[str, float]:
    """How long after the engine has a line, or an end, a reader of the API sees it."""
    began = time.time()
    execution = str(api.execute(NAMESPACE, "lines", wait=False)["id"])
    late = dict[str, float]()
    while len(late) < LINES:
        now = time.time()
        for line in api.logs(execution):
            if line["message"].isdigit():
                late.setdefault(line["message"], now - moment(line["timestamp"]))
        time.sleep(0.01)
    ended = moment(api.until_ended(execution, every=0.01)["taskRunList"][0]["state"]["endDate"])
    label = f"label=kestra.io/execution-id={execution}"
    bounds = ("--since", f"{began:.3f}", "--until", f"{time.time():.3f}")
    died = subprocess.run(
        ["docker", "events", *bounds, "--filter", "event=die", "--filter", label, "--format", "{{.TimeNano}}"], capture_output=True, text=True, check=True
    )
    return {
        "a line from its container to a reader, longest, ms": max(late.values()) * 1000,
        "an end from its container to a reader, longest, ms": (ended - int(died.stdout.strip()) / 1e9) * 1000,
    }


def _rows(figures: Mapping[str, float]) -> str:
    return "\n".join(f"| {name} | {value:.3g} | {f'<= {MARKS[name]:g}' if name in MARKS else ''} |" for name, value in figures.items())


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--record", action="store_true", help="add the table to RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
