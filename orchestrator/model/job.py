"""A job: one run of commands somewhere of its own, as a runner sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from orchestrator.model.values import Duration, Frozen, Json


class Job(Frozen):
    """What a runner is asked to run.

    `key` is `[a-z][a-z0-9-]*`, at most 63 characters, the same for a re-dispatch and new for a retry: name what is
    made by it. `working_dir` is the folder on this machine with the input files; what is below it is the upload set.
    `argv` is complete; `env` is text to text. `labels` go on everything made. `attempt` counts the starts of this run
    that failed before.
    """

    key: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = Field(default_factory=dict)
    working_dir: str
    image: str | None = None
    output_files: tuple[str, ...] = ()
    output_dir: str | None = None
    timeout: Duration | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    attempt: int = 0
    secrets: tuple[str, ...] = Field((), repr=False)  # values to mask in what the job prints


class JobHandle(Frozen):
    """What names a job for any process of the project, saved before it is started. Holds no secret.

    `runner` is the runner's type, `backend` where it stands (engine, account and region), `details` the runner's own
    facts: container id, working directory as the command sees it, bucket prefix, position in the log. `bound`: only the
    machine it was made on reaches it. `place` is who watches it, by name.
    """

    key: str
    runner: str
    backend: str
    bound: bool = False
    place: str = ""
    details: Mapping[str, Json] = Field(default_factory=dict)


class JobExit(Frozen):
    """How a job ended. `code` is the command's own exit code, 128+n for a signal; `reason` says why where more is known.

    `details` are the runner's own facts that people may want to see: a container's id, a console's address.
    """

    code: int
    oom_killed: bool = False
    reason: str | None = None
    details: Mapping[str, Json] = Field(default_factory=dict)


class Found(Frozen):
    """Something of ours that stands at a back end. `key` is its job's, `name` the back end's own, `state` in its own words."""

    key: str
    kind: Literal["container", "job", "job-definition", "queue", "prefix", "volume"]
    name: str
    state: str
    created: datetime | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    keep: bool = False
