"""Watching a container to its end, over an engine that may be restarted meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from orchestrator.sdk import JobExit, JobLost, LogSink, RunnerUnavailable
from orchestrator_plugins.docker.logs import Reading

if TYPE_CHECKING:
    from orchestrator_plugins.docker.client import Engine

LOOK = 5.0  # seconds to wait for an end when a log has ended
PATIENCE = 120.0  # seconds that an engine may be away
PAUSE = 0.5  # seconds before it is asked again
OOM_WORD, OOM_LOOK = 1.0, 0.1  # seconds that the word of an OOM kill may come after the end, and between looks
SIGKILLED = 137
_UNTOLD = "oom-untold"


def followed(opened: Callable[[], AbstractContextManager[Engine]], container: str, logs: LogSink) -> JobExit:
    """Pass on every line of a container until it has ended. Raises JobLost, and RunnerUnavailable when the engine stays away."""
    reading = Reading(logs)
    answered = time.monotonic()
    while True:
        try:
            with opened() as engine:
                answered = time.monotonic()
                if (ended := _until_cut(engine, container, reading)) is not None:
                    return ended
            answered = time.monotonic()
        except RunnerUnavailable:
            if time.monotonic() - answered > PATIENCE:
                raise
            time.sleep(PAUSE)


def _until_cut(engine: Engine, container: str, reading: Reading) -> JobExit | None:
    """Follow the log; at the end of the container read the log's end once more: the engine may lose a last line."""
    reading.take(engine.log(container, follow=True, since=reading.since))
    ended = _inspected(engine, container)
    if ended["State"].get("Running"):  # the log was cut, or the engine is about to see the end
        if not engine.wait(container, LOOK):
            return None
        ended = _inspected(engine, container)
    reading.take(engine.log(container, follow=False, since=reading.since))
    state = _with_word_of_oom(engine, container, ended)
    reading.end()
    reason = "the container ran out of memory (OOM)" if state.get("OOMKilled") else state.get("Error") or None
    if _UNTOLD in state:
        reason = "the container was killed below its memory limit, and not by us: most likely it ran out of memory (OOM)"
    oom = bool(state.get("OOMKilled")) or _UNTOLD in state
    return JobExit(code=int(state["ExitCode"]), oom_killed=oom, reason=reason, details={"containerId": container})


def _inspected(engine: Engine, container: str) -> Mapping[str, Any]:
    found = engine.inspect(container)
    if found is None:
        raise JobLost(f"container {container[:12]} was removed by someone else before its end was known")
    return found


def _with_word_of_oom(engine: Engine, container: str, ended: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of an ended container. The engine learns of an OOM kill apart from the end, and sometimes a moment later."""
    deadline = time.monotonic() + OOM_WORD
    while True:
        state: Mapping[str, Any] = ended["State"]
        may_be_oom = int(state["ExitCode"]) == SIGKILLED and not state.get("OOMKilled") and ended.get("HostConfig", {}).get("Memory")
        if not may_be_oom:
            return state
        if time.monotonic() > deadline:
            # Engines lose the word of an OOM kill now and then when the container's group goes at once. Nothing inside
            # can SIGKILL a container's first process, so under a limit it was the kernel, or a person.
            return {**state, _UNTOLD: True}
        time.sleep(OOM_LOOK)
        ended = _inspected(engine, container)
