"""Files on their way to a job and back, as one tar each way below the job's own prefix of a bucket."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.sdk import Found, Job, JobHandle, JobRejected
from orchestrator.sdk.archive import Owner, packed, unpack
from orchestrator.sdk.globs import fixed_part, matches
from orchestrator_plugins.gcp.place import Place
from orchestrator_plugins.gcp.properties import BatchProperties
from orchestrator_plugins.gcp.shape import Staging
from orchestrator_plugins.gcp.wrapping import ARCHIVE_IN, ARCHIVE_OUT, BROUGHT, COMMAND, INLINE, Shown, shown

_EMPTY = Shown((), {})


@dataclass(frozen=True)
class Stage:
    """What one job's command and files travel by. `prefix` ends in `/`."""

    bucket: str | None = None
    prefix: str = ""
    command: Shown = _EMPTY
    job: Job | None = None
    inline: str = ""
    patterns: tuple[str, ...] = ()
    has_files: bool = False

    @property
    def outputs(self) -> Sequence[str]:
        """The outermost paths that the patterns can mean; `.` is all of the working directory."""
        return _outermost(fixed_part(pattern) for pattern in self.patterns)

    @property
    def uses_bucket(self) -> bool:
        return self.bucket is not None and (self.has_files or self.command.hidden is not None or bool(self.patterns))

    def staging(self, handle: JobHandle) -> Staging:
        """The same as the job's description tells it."""
        remote = f"{self.bucket}/{str(handle.details['prefix']).rstrip('/')}" if self.uses_bucket else None
        return Staging(remote=remote, brings_in=bool(remote or self.inline), inline=self.inline, outputs=self.outputs)

    def upload(self, place: Place, handle: JobHandle, cancelled: Callable[[], bool]) -> bool:
        """Put command and files into the bucket, where the job needs one. Whether they are there: it gives up once cancelled."""
        if not self.uses_bucket or self.job is None:
            return True
        from orchestrator_plugins.gcp.client import BucketClient, Cancelled

        prefix = str(handle.details["prefix"])
        with BucketClient(place, str(self.bucket)) as bucket, suppress(Cancelled):
            with packed(Path(self.job.working_dir), f"/{self.job.key}", Owner(), leave_out=self.job.output_dir) as tar:
                bucket.put(prefix + ARCHIVE_IN, tar, cancelled)
            if self.command.hidden is not None:
                bucket.put(prefix + COMMAND, io.BytesIO(self.command.hidden.encode()), cancelled)
            return True
        return False

    def bring_back(self, place: Place, handle: JobHandle, folder: Path) -> bool:
        """Put the files that the patterns mean into a folder. Whether the job had brought what there was of them."""
        from orchestrator_plugins.gcp.client import BucketClient

        prefix = str(handle.details["prefix"])
        with BucketClient(place, str(self.bucket)) as bucket:
            if not bucket.has(prefix + BROUGHT):
                return False
            if bucket.has(prefix + ARCHIVE_OUT):
                unpack(bucket.chunks(prefix + ARCHIVE_OUT), PurePosixPath(), folder, lambda name: any(matches(one, name) for one in self.patterns))
        return True

    def remove(self, place: Place) -> None:
        """Nothing stays below the prefix."""
        if self.bucket is not None and self.prefix:
            from orchestrator_plugins.gcp.client import BucketClient

            with BucketClient(place, self.bucket) as bucket, suppress(JobRejected):
                bucket.delete_below(self.prefix)

    def remove_secrets(self, place: Place) -> None:
        """What may hold a secret goes also where the rest is kept."""
        if self.bucket is not None and self.prefix:
            from orchestrator_plugins.gcp.client import BucketClient

            with BucketClient(place, self.bucket) as bucket:
                bucket.delete_below(self.prefix + COMMAND)
                bucket.delete_below(self.prefix + ARCHIVE_IN)

    @classmethod
    def left_by(cls, handle: JobHandle) -> Stage:
        """What a handle alone knows of it."""
        bucket = handle.details.get("bucket")
        return cls(bucket=bucket and str(bucket), prefix=str(handle.details.get("prefix") or ""))

    @staticmethod
    def prefixes(place: Place, bucket: str, installation: str, kept: set[str]) -> Sequence[Found]:
        """The prefixes of an installation's jobs; `kept` are keys of jobs that are to stay."""
        from orchestrator_plugins.gcp.client import BucketClient

        with BucketClient(place, bucket) as opened:
            names = opened.prefixes(f"{installation}/")
        keys = [name.rstrip("/").rpartition("/")[2] for name in names]
        return [Found(key=key, kind="prefix", name=f"gs://{bucket}/{installation}/{key}", state="stored", keep=key in kept) for key in keys]


def stage_of(job: Job, properties: BatchProperties) -> Stage:
    """How a job travels. Raises JobRejected when it needs a bucket and there is none."""
    words = (*(word for word in properties.entry_point or () if word), *job.argv)
    installation = job.labels.get("installation", "unknown")
    path = f"gs://{properties.bucket}/{installation}/{job.key}" if properties.bucket else None
    env = {**job.env, **({"BUCKET_PATH": path} if path else {})}
    command = shown(job, words, env, has_bucket=properties.bucket is not None)
    patterns = ("**",) if properties.sync_working_directory else (*job.output_files, *([f"{job.output_dir}/**"] if job.output_dir else []))
    has_files = any(Path(job.working_dir).iterdir()) if Path(job.working_dir).is_dir() else False
    stage = Stage(bucket=properties.bucket, command=command, job=job, patterns=patterns, has_files=has_files)
    if properties.bucket is not None:
        return stage
    if patterns:
        raise JobRejected("the task asks for output files, which travel through a bucket: set the runner's `bucket`")
    return Stage(command=command, job=job, inline=_inline(job), has_files=has_files) if has_files else stage


def _inline(job: Job) -> str:
    """A few small files as text that may stand in the job's description. Raises JobRejected when they are too much for that, or secret."""
    files = [path for path in Path(job.working_dir).rglob("*") if path.is_file()]
    if sum(path.stat().st_size for path in files) > INLINE:
        raise JobRejected("the task's files are more than 8 KiB and travel through a bucket: set the runner's `bucket`")
    if any(secret and secret.encode() in path.read_bytes() for path in files for secret in job.secrets):
        raise JobRejected("a file of the task holds a secret, which everyone who may look at the job would see: set the runner's `bucket`")

    with packed(Path(job.working_dir), f"/{job.key}", Owner(), leave_out=job.output_dir) as tar:
        return base64.b64encode(gzip.compress(tar.read(), mtime=0)).decode()


def _outermost(parts: Iterator[str]) -> list[str]:
    """The paths with none that lies below another of them."""
    found: list[str] = []
    for part in sorted(set(parts)):
        if not any(above == "" or part == above or part.startswith(above + "/") for above in found):
            found.append(part)
    return ["." if part == "" else part for part in found]
