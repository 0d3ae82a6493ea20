"""How a job ended, from what the service and the wrapper say. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.sdk import JobExit, JobLost, JobRejected, StartFailed, TimedOut
from orchestrator_plugins.gcp.facts import Event, JobFacts
from orchestrator_plugins.gcp.reading import Reading

KILLED, OUT_OF_TIME, UNTOLD = 137, 50005, 50000
NO_IMAGE, NOT_EXECUTABLE, NO_PROGRAM = 125, 126, 127  # docker's own, where the command did not begin
OUT_OF_MEMORY = "it ran out of memory (OOM): give it more with `computeResource.memory` and a larger `machineType`"
_TAKEN = {50001: ("RECLAIMED", "the spot machine was taken back (exit code 50001)")}
_LOST = {
    50002: "the machine no longer reported to the service (exit code 50002)",
    50003: "the machine was started again while the command ran (exit code 50003)",
    50004: "the machine no longer answered the service (exit code 50004)",
    50006: "the machine was made again while the command ran (exit code 50006)",
}
_CODE = re.compile(r"exit code:? (\d+)")


def end_of(facts: JobFacts, events: Sequence[Event], reading: Reading, details: dict[str, str]) -> JobExit:
    """The exit of an ended job. Raises StartFailed, TimedOut and JobRejected where it has none of its own.

    `events` are those of the job's task.
    """
    events = [*facts.events, *events]
    code, said = _code_of(events), next((event.said for event in reversed(events) if event.said), facts.last_word())
    if facts.state == "SUCCEEDED":
        return JobExit(code=0, details=details)
    if code == OUT_OF_TIME:
        raise TimedOut("the command ran longer than it may: the service ended it (exit code 50005)")
    if facts.state == "CANCELLED":
        return JobExit(code=reading.code or KILLED, reason="the job was cancelled", details=details)
    if code in _TAKEN:
        raise StartFailed(f"{_TAKEN[code][1]}: {said}", _TAKEN[code][0])
    if code in _LOST:
        raise StartFailed(f"{_LOST[code]}: {said}", "LOST")
    if reading.code is not None:
        why = OUT_OF_MEMORY if reading.out_of_memory else _why(reading.code)
        return JobExit(code=reading.code or code or 1, oom_killed=reading.out_of_memory, reason=why, details=details)
    if reading.trouble is not None:
        raise StartFailed(f"the files could not be brought to the command: {reading.trouble}", "SERVICE")
    return _without_word(code, said, details)


def _without_word(code: int | None, said: str, details: dict[str, str]) -> JobExit:
    """The end of a job whose wrapper said nothing: it never began, or was killed itself."""
    if code in (NOT_EXECUTABLE, NO_PROGRAM):
        raise JobRejected(f"the image has no /bin/sh, which the Google Batch runner needs (exit code {code}): {said}")
    if code == NO_IMAGE:
        raise StartFailed(f"the container could not be started (exit code 125): {said}", "IMAGE")
    if code is None or code >= UNTOLD:
        raise StartFailed(f"the command never began: {said}", "CAPACITY" if _is_capacity(said) else "SERVICE")
    return JobExit(code=code, reason=_why(code), details=details)


def _code_of(events: Sequence[Event]) -> int | None:
    """The last exit code told, by a field or, as events of a job tell that of its task, in words."""
    for event in reversed(events):
        if event.code is not None:
            return event.code
        if (found := _CODE.search(event.said)) is not None:
            return int(found[1])
    return None


def _is_capacity(said: str) -> bool:
    return any(word in said.lower() for word in ("quota", "capacity", "exhausted", "not available", "stockout"))


def _why(code: int) -> str | None:
    return "it was killed (SIGKILL), and nobody told why: most often it ran out of memory" if code == KILLED else None


def never_began(facts: JobFacts, bound: str) -> StartFailed:
    """The failure of a job that waited past its bound, in the service's own words."""
    return StartFailed(f"the job was still {facts.state} after {bound} (`waitUntilRunning`): {facts.last_word()}", "BOUND")


def lost(name: str, why: str) -> JobLost:
    return JobLost(f"job {name.rpartition('/')[2]} {why}")
