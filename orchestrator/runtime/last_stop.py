"""The program that ends one job whose place is gone: its runner and its handle come as JSON on the input."""

from __future__ import annotations

import sys
from datetime import timedelta

from pydantic import BaseModel

from orchestrator.model.job import JobHandle
from orchestrator.model.values import Json
from orchestrator.runtime.runner_choice import built_runner


class _Job(BaseModel):
    runner: dict[str, Json]
    handle: JobHandle


def main(text: str) -> None:
    """Ask nothing, end it, and remove it. Raises what the runner raises."""
    job = _Job.model_validate_json(text)
    runner = built_runner(job.runner)
    runner.stop(job.handle, timedelta())
    runner.remove(job.handle)


if __name__ == "__main__":
    main(sys.stdin.read())
