"""How what a run makes at AWS is called and tagged. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.sdk import Job, label_value

PREFIX = "kestra-"
JOB, INSTALLATION, KEEP = f"{PREFIX}job", f"{PREFIX}installation", f"{PREFIX}keep"
_EXACT = frozenset({"job", "installation"})  # matched on: they stay as they are
_STRANGE = re.compile(r"[^\w\s+\-=.:/@]")  # characters that a tag's value may not have


def tags_of_job(job: Job, *, keep: bool) -> dict[str, str]:
    """The tags of everything a job makes: lower case but for what is matched on."""
    tags = {_name(name): value if name in _EXACT else _STRANGE.sub("-", label_value(value.lower())) for name, value in job.labels.items()}
    return {**tags, JOB: job.key, **({KEEP: "true"} if keep else {})}


def _name(label: str) -> str:
    return label if "." in label or "/" in label else PREFIX + label


def installation_of(job: Job) -> str:
    """Whose job it is."""
    return job.labels.get("installation", "local")


def staging_prefix(installation: str, job_key: str) -> str:
    """Where a job's files stand in its bucket, without a slash at either end: the reaper knows its own by it."""
    return f"{installation}/{job_key}"


def belongs(tags: Mapping[str, str], installation: str) -> bool:
    """Whether something with these tags is of an installation."""
    return tags.get(INSTALLATION) == installation and JOB in tags


def account_of(arn: str) -> str:
    """The account that an ARN names; empty where it names none."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""
