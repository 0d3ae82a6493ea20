"""From a job to exactly one that runs: SubmitJob has no token that would make it safe to repeat.

After an answer that was lost a job may exist. It is looked for by its name, which is the run's own; a list may lag, so
a second job may come of it all the same. Of several the one runs that puts `started` first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.sdk import RunnerUnavailable, StartFailed
from orchestrator_plugins.aws.detail import ENDED

if TYPE_CHECKING:
    from orchestrator_plugins.aws.client import BatchClient

TRIES = 4
LOOKS, PAUSE = 5, 0.5  # looks for a job whose answer was lost, and seconds between them


def submitted(client: BatchClient, request: Mapping[str, Any], cancelled: Callable[[], bool]) -> str | None:
    """The id of the run's job; None when cancelled. Raises StartFailed when no answer comes."""
    from orchestrator_plugins.aws.client import AnswerLost, Throttled

    last: RunnerUnavailable | None = None
    for attempt in range(TRIES):
        if cancelled():
            return None
        try:
            return client.submit(request)
        except Throttled as err:
            last = err
            time.sleep(PAUSE * 2**attempt)
        except AnswerLost as err:
            last = err
            if (found := _looked_for(client, str(request["jobQueue"]), str(request["jobName"]))) is not None:
                return found
    raise StartFailed(f"SubmitJob is not answered: {last}", "LOST") from last


def _looked_for(client: BatchClient, queue: str, name: str) -> str | None:
    for _ in range(LOOKS):
        try:
            if jobs := client.named(queue, name):
                return str(jobs[0]["jobId"])
        except RunnerUnavailable:
            pass
        time.sleep(PAUSE)
    return None


def unended(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of those that have not ended."""
    return [str(job["jobId"]) for job in jobs if job.get("status") not in ENDED]
