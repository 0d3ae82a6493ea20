"""The crash points of AWS Batch, against an emulator of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator_plugins.aws.emulator import Account, Emulator
from tests.contract.aws_site import emulated, engine, properties
from tests.integration.crash_points import BACKENDS, Backend, CrashSite, crash_site

POINTS = (
    *("asked", "named", "handle saved", "after named", "after put", "after ensure_group", "after register", "after submit", "running"),
    *("to be watched", "line 0 taken", "line 3 taken", "line 6 taken", "end seen", "collected", "outcome saved", "removed"),
)


def backend_of(aws: Emulator, made: Account) -> Backend:
    """AWS Batch with halts; what counts as created is a job that ran the user's command."""

    def ran(execution_id: str, since: float) -> int:
        mine = [job for job in aws.jobs() if job.tags.get("kestra-execution-id") == execution_id.lower()]
        return sum(job.containers["main"].get("logStreamName") is not None for job in mine)

    def left(execution_id: str) -> Sequence[str]:
        found = engine("ps", "-aq", "--filter", f"label=kestra-execution-id={execution_id.lower()}").split()
        definitions = aws.client("batch").describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        objects = aws.client("s3").list_objects_v2(Bucket=made.bucket).get("Contents", ())
        return [*found, *(one["jobDefinitionArn"] for one in definitions), *(one["Key"] for one in objects), *(job.id for job in aws.jobs() if not job.ended)]

    given = properties(aws, made, completionCheckInterval="PT0.2S")
    written = ", ".join(f'{name}: "{value}"' for name, value in given.items())
    return Backend(type="test.HaltingBatch", image="test/busybox", properties=written, points=POINTS, created=ran, left=left)


@contextmanager
def aws_crash_site(folder: Path) -> Iterator[CrashSite]:
    """A site with a server and an emulator of its own."""
    with emulated() as (aws, made):
        BACKENDS["aws"] = backend_of(aws, made)
        with crash_site(folder, "aws") as site:
            yield site
