"""How what a run makes outside is called and labelled, so that it is found again and never taken for another's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from orchestrator.sdk.context import RunInfo

LONGEST = 63  # of a name or label value, the least that every back end takes


def job_key(info: RunInfo) -> str:
    """The name of a run's job: `namespace-flow-task` as far as it fits, and 16 hex digits of installation, run and generation.

    A re-dispatch gets the same key and adopts what is there; a retry gets another.
    """
    digits = hashlib.sha256("\0".join((info.installation, info.task_run_id, str(info.generation))).encode()).hexdigest()[:16]
    words = re.sub(r"[^a-z0-9]+", "-", f"{info.namespace}-{info.flow_id}-{info.task_id}".lower()).strip("-")
    slug = re.sub(r"^[^a-z]+", "", words)[: LONGEST - 17].strip("-") or "job"
    return f"{slug}-{digits}"


def label_value(text: str) -> str:
    """The text as a label's value: cut at 63 characters, with no `-`, `.` or `_` left at its end."""
    return text[:LONGEST].rstrip("-").rstrip(".").rstrip("_")


def job_labels(info: RunInfo) -> Mapping[str, str]:
    """What everything a run makes is labelled with. A runner puts its own prefix before names that have none."""
    return {
        "namespace": label_value(info.namespace),
        "flow-id": label_value(info.flow_id),
        "task-id": label_value(info.task_id),
        "execution-id": label_value(info.execution_id),
        "taskrun-id": label_value(info.task_run_id),
        "taskrun-attempt": str(info.attempt),
        "installation": info.installation,
        "job": job_key(info),
    }
