"""Keeping secrets out of the job definition, which whoever may call DescribeJobs can read."""

from __future__ import annotations

import re
import shlex

from orchestrator.sdk import Job

_EXPORTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # names that a shell can set


def holds_secret(job: Job) -> bool:
    """Whether the command line or the environment holds a secret as it is."""
    return any(secret and secret in text for secret in job.secrets for text in (*job.argv, *job.env.values()))


def without_secrets(job: Job) -> tuple[Job, str | None]:
    """What may be shown of a job, and the shell text that gives it back the rest; None where nothing is secret.

    A variable whose name no shell can set is set by `env`, which the image must have then.
    """
    if not holds_secret(job):
        return job, None
    secret = {name: value for name, value in job.env.items() if any(one and one in value for one in job.secrets)}
    odd = [f"{name}={value}" for name, value in secret.items() if not _EXPORTED.fullmatch(name)]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in secret.items() if _EXPORTED.fullmatch(name)]
    lines.append("set -- " + " ".join(shlex.quote(word) for word in (*(("env", *odd) if odd else ()), *job.argv)))
    shown = {name: value for name, value in job.env.items() if name not in secret}
    return job.model_copy(update={"argv": ("true",), "env": shown}), "\n".join(lines) + "\n"
