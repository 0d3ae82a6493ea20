"""From how a job ended to what that means. Pure.

The job's own state tells little: with output files its main container is not essential, so the job succeeds whatever the
command did. What counts is the main container's exit code; without one the command was never begun.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.sdk import JobExit, JobLost, StartFailed, TaskFailed, TimedOut
from orchestrator_plugins.aws.definition import INPUTS_NAME, MAIN_NAME, OUTPUTS_NAME
from orchestrator_plugins.aws.detail import Detail
from orchestrator_plugins.aws.shell import DOUBLE

STOPPED, REMOVED = "stopped by the orchestrator", "removed by the orchestrator"  # why we terminate
KILLED = 137
_IMAGE = ("cannotpull", "pull image", "manifest", "imagenotfound", "invalid reference", "repository does not exist")
_RECLAIMED = ("host ec2", "spot interruption", "spot task was interrupted", "spotinterruption")
_CAPACITY = ("capacity", "resource:", "insufficient", "misconfiguration")
_TIMEOUT = "attempt duration exceeded timeout"


@dataclass(frozen=True)
class Double:
    """The run has begun in another job: this one did nothing."""


def outcome(job: Detail, *, outputs: bool) -> JobExit | Double:
    """How an ended job's command ended. Raises StartFailed, TimedOut, JobLost, and TaskFailed when its output files are lost."""
    told = job.reason.lower()
    if job.reason.startswith(REMOVED):
        raise JobLost(f"job {job.id} is gone: it was removed")
    if any(word in _said(job) for word in _RECLAIMED):
        raise StartFailed(_reason(job), "RECLAIMED")
    if _TIMEOUT in told:
        raise TimedOut("The job has outlasted its bound and was ended by AWS Batch: raise the task's `timeout` or the runner's `waitUntilCompletion`")
    if job.container(INPUTS_NAME).exit_code == DOUBLE:
        return Double()
    code = job.container(MAIN_NAME).exit_code
    return _without_command(job) if code is None else _with_command(job, code, outputs=outputs)


def _with_command(job: Detail, code: int, *, outputs: bool) -> JobExit:
    main, last = job.container(MAIN_NAME), job.container(OUTPUTS_NAME)
    lost = outputs and last.exit_code != 0 and not job.terminated
    why = f"its output files did not come back: the container {OUTPUTS_NAME} ended with {last.exit_code} {last.reason or job.reason}".rstrip()
    if lost and code == 0:
        raise TaskFailed(f"The command succeeded, but {why}", exit_code=code, cause="EXCEPTION")
    oom = "outofmemory" in main.reason.lower()
    reason = "the container ran out of memory (OOM)" if oom else why if lost else (job.reason if job.terminated else main.reason) or None
    return JobExit(code=code, oom_killed=oom, reason=reason)


def _without_command(job: Detail) -> JobExit:
    if job.terminated or job.reason.startswith(STOPPED):
        return JobExit(code=KILLED, reason="stopped before the command was begun")
    said = _said(job)
    kinds = {"IMAGE": _IMAGE, "CAPACITY": _CAPACITY}
    raise StartFailed(_reason(job), next((kind for kind, words in kinds.items() if any(word in said for word in words)), "SERVICE"))


def _said(job: Detail) -> str:
    return " ".join((job.reason, *(one.reason for one in job.containers.values()))).lower()


def _reason(job: Detail) -> str:
    """The service's own words, of the job and of its containers."""
    ends = [f"{name} ended with {one.exit_code}" for name, one in job.containers.items() if one.exit_code not in (None, 0) and name != MAIN_NAME]
    words = [job.reason, *(f"{name}: {one.reason}" for name, one in job.containers.items() if one.reason), *ends]
    return "; ".join(word for word in words if word) or f"job {job.id} ended {job.status} and AWS Batch does not say why"
