"""The few calls we make of Google's services. With the emulator the only module that imports google or grpc."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, BinaryIO, Self

import google.auth
import grpc
from google.api_core import exceptions, retry
from google.api_core.client_options import ClientOptions
from google.auth import exceptions as auth_exceptions
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from google.cloud import batch_v1 as batch
from google.cloud import storage  # type: ignore[attr-defined]
from google.cloud.batch_v1.services.batch_service.transports import BatchServiceGrpcTransport
from google.cloud.logging_v2 import types as logging
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
from google.oauth2 import service_account
from google.protobuf import json_format

from orchestrator.sdk import JobRejected, Json, RunnerUnavailable
from orchestrator_plugins.gcp.facts import ENDED, GOING, Entry, Event, JobFacts, Part
from orchestrator_plugins.gcp.place import PLAIN, Place

CALL = 10.0  # seconds for one try of one call
CHUNK = 8 << 20  # bytes of a file asked for or sent by one request; a multiple of 256 KiB
PIECE = 1 << 18  # bytes of a file given at once
ERROR = 500  # the least severity that is told as stderr
_PASSING = (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.TooManyRequests, exceptions.InternalServerError)
READING = retry.Retry(predicate=retry.if_exception_type(*_PASSING), initial=0.2, maximum=10.0, multiplier=2.0, timeout=40.0)
_LASTING = (exceptions.BadRequest, exceptions.Unauthorized, exceptions.Forbidden, exceptions.NotFound, exceptions.MethodNotImplemented)


class NameTaken(Exception):
    """A job of this name exists already."""


class Cancelled(Exception):
    """What was being sent is not wanted any more."""


class AnswerLost(RunnerUnavailable):
    """The service may have done it: nobody knows."""


class Throttled(RunnerUnavailable):
    """The service takes no more calls, or a quota is used up."""


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Every failure of a service as one of ours."""
    where = f"Google Cloud ({place.project}, {place.region})"
    try:
        yield
    except exceptions.Conflict as err:
        raise NameTaken(str(err)) from err
    except exceptions.TooManyRequests as err:
        raise Throttled(f"{where} takes no more for now: {err.message}") from err
    except _LASTING as err:
        raise JobRejected(f"{where} refuses: {err.message}") from err
    except exceptions.GoogleAPICallError as err:
        raise AnswerLost(f"{where} does not answer: {err.message}") from err
    except exceptions.RetryError as err:
        raise RunnerUnavailable(f"{where} does not answer: {err.cause or err}") from err
    except (auth_exceptions.RefreshError, auth_exceptions.TransportError) as err:
        raise (RunnerUnavailable if err.retryable else JobRejected)(f"{where} gives no access: {err}") from err
    except auth_exceptions.GoogleAuthError as err:
        raise JobRejected(f"{where} knows no credentials: set `serviceAccount`, or give the machine credentials of its own ({err})") from err
    except (ConnectionError, TimeoutError) as err:
        raise RunnerUnavailable(f"{where} does not answer: {err}") from err
    except OSError as err:  # requests' own errors are among them
        raise RunnerUnavailable(f"{where} does not answer: {err}") from err


@cache
def default_project() -> str | None:
    """The project of the machine's own credentials."""
    with suppress(auth_exceptions.GoogleAuthError):
        return google.auth.default()[1]
    return None


def _credentials(place: Place) -> Any:
    try:
        found = _own_credentials(place)
    except ValueError as err:
        raise JobRejected(f"`serviceAccount` is not a key that can be used: {err}") from err
    if place.impersonated is None:
        return found
    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=found, target_principal=place.impersonated, target_scopes=list(place.scopes)
    )


def _own_credentials(place: Place) -> Any:
    if place.key is not None:
        made = service_account.Credentials.from_service_account_info(json.loads(place.key), scopes=list(place.scopes))  # type: ignore[no-untyped-call]
        return made
    return google.auth.default(scopes=list(place.scopes))[0]


def _plain_channel(address: str) -> grpc.Channel:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    return grpc.insecure_channel(address.removeprefix(PLAIN).rstrip("/"), options=options)


def _stub(place: Place, address: str | None, client: Any, transport: Any) -> Any:
    """A client of a gRPC service at an address, or at Google's own."""
    if address is not None and address.startswith(PLAIN):
        return client(transport=transport(channel=_plain_channel(address)))
    options = ClientOptions(api_endpoint=address.removeprefix("https://")) if address else None
    return client(credentials=_credentials(place), client_options=options)


class BatchClient:
    """Google Batch. All calls raise RunnerUnavailable or JobRejected; what names a job that is gone gives None or nothing."""

    def __init__(self, place: Place) -> None:
        self._place = place
        with _told(place):
            self._api = _stub(place, place.endpoints.batch, batch.BatchServiceClient, BatchServiceGrpcTransport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._api.transport.close()

    def create(self, job_id: str, job: Mapping[str, Json], request_id: str) -> JobFacts:
        """Have a job made. Raises NameTaken, Throttled, and AnswerLost when it may have been made."""
        made = json_format.ParseDict(dict(job), batch.Job.pb(batch.Job()))
        request = batch.CreateJobRequest(parent=self._place.parent, job_id=job_id, job=batch.Job.wrap(made), request_id=request_id)
        with _told(self._place):
            return _facts(self._api.create_job(request, retry=None, timeout=CALL))

    def get(self, name: str) -> JobFacts | None:
        """What the service knows of a job by its full name."""
        found: JobFacts | None = self._unless_gone(lambda: _facts(self._api.get_job(name=name, retry=READING, timeout=CALL)))
        return found

    def jobs(self, labels: Mapping[str, str]) -> Sequence[JobFacts]:
        """All jobs of the region, in whatever state, that carry these labels."""
        wanted = " AND ".join(f'labels.{name}="{value}"' for name, value in labels.items())
        with _told(self._place):
            request = batch.ListJobsRequest(parent=self._place.parent, filter=wanted, page_size=1000)
            return [_facts(job) for job in self._api.list_jobs(request, retry=READING, timeout=CALL)]

    def task_events(self, name: str) -> Sequence[Event]:
        """What happened to a job's task, in order."""
        found = self._unless_gone(lambda: list(self._api.list_tasks(parent=f"{name}/taskGroups/group0", retry=READING, timeout=CALL)))
        return [_event(event) for task in found or () for event in task.status.status_events]

    def cancel(self, name: str) -> None:
        """Ask for a job's end. One that has ended, or is gone, stays as it is."""
        self._unless_over(name, lambda: self._api.cancel_job(batch.CancelJobRequest(name=name), retry=READING, timeout=CALL), GOING | ENDED)

    def delete(self, name: str, reason: str) -> None:
        """Have a job removed, and stopped if it still runs."""
        self._unless_over(name, lambda: self._api.delete_job(batch.DeleteJobRequest(name=name, reason=reason), retry=READING, timeout=CALL), GOING)

    def _unless_over(self, name: str, call: Callable[[], Any], over: Collection[str]) -> None:
        """Do it; a refusal is none where the job is gone, or in one of the states that were to be reached."""
        try:
            self._unless_gone(call)
        except (JobRejected, NameTaken):
            found = self.get(name)
            if found is not None and found.state not in over:
                raise

    def _unless_gone(self, call: Callable[[], Any]) -> Any:
        try:
            with _told(self._place):
                return call()
        except JobRejected as err:
            if isinstance(err.__cause__, exceptions.NotFound):
                return None
            raise


def _facts(job: Any) -> JobFacts:
    state = batch.JobStatus.State(job.status.state).name
    return JobFacts(job.name, job.uid, state, _utc(job.create_time), dict(job.labels), tuple(_event(one) for one in job.status.status_events))


def _event(event: Any) -> Event:
    told = "task_execution" in event
    return Event(_utc(event.event_time), str(event.description), int(event.task_execution.exit_code) if told else None)


def _utc(at: Any) -> datetime:
    return at.astimezone(UTC) if at else datetime.now(UTC)


class LogClient:
    """Cloud Logging. All calls raise RunnerUnavailable or JobRejected."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._log = f"projects/{place.project}/logs/batch_task_logs"
        with _told(place):
            self._api = _stub(place, place.endpoints.logging, LoggingServiceV2Client, LoggingServiceV2GrpcTransport)

    def close(self) -> None:
        self._api.transport.close()

    def entries(self, jobs: Sequence[str], since: str, *, received: str | None = None) -> Iterator[Entry]:
        """The entries of jobs, named by uid, from a time on, the oldest first; with `received` only what the service took in since then."""
        uids = " OR ".join(f'"{uid}"' for uid in jobs)
        wanted = f'logName="{self._log}" AND labels.job_uid=({uids}) AND timestamp>="{since}"'
        wanted += f' AND receiveTimestamp>="{received}"' if received else ""
        request = logging.ListLogEntriesRequest(resource_names=[f"projects/{self._place.project}"], filter=wanted, order_by="timestamp asc", page_size=1000)
        with _told(self._place):
            for page in self._api.list_log_entries(request, retry=READING, timeout=60.0).pages:
                yield from map(_entry, logging.ListLogEntriesResponse.pb(page).entries)

    def rings(self) -> tuple[Iterator[set[str]], Callable[[], None]]:
        """The uids of jobs that have said something, as it happens, and how to end that."""
        request = logging.TailLogEntriesRequest(resource_names=[f"projects/{self._place.project}"], filter=f'logName="{self._log}"')
        with _told(self._place):
            stream = self._api.tail_log_entries(iter([request]))

        def heard() -> Iterator[set[str]]:
            with _told(self._place):
                for answer in stream:
                    yield {entry.labels.get("job_uid", "") for entry in answer.entries}

        return heard(), stream.cancel


def _entry(raw: Any) -> Entry:
    at = raw.timestamp.seconds * 10**9 + raw.timestamp.nanos
    received = raw.receive_timestamp.seconds * 10**9 + raw.receive_timestamp.nanos
    text = raw.text_payload if raw.HasField("text_payload") else json.dumps(json_format.MessageToDict(raw.json_payload), ensure_ascii=False)
    part = Part(raw.split.uid, raw.split.index, raw.split.total_splits) if raw.HasField("split") else None
    return Entry(at, raw.insert_id, raw.labels.get("job_uid", ""), text, raw.severity >= ERROR, received or at, part)


class _Watched(io.RawIOBase):
    """A file that cannot be read on once it is not wanted any more."""

    def __init__(self, content: BinaryIO, cancelled: Callable[[], bool]) -> None:
        self._content, self._cancelled = content, cancelled

    def read(self, size: int = -1) -> bytes:
        if self._cancelled():
            raise Cancelled
        return self._content.read(size)

    def tell(self) -> int:
        return self._content.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)


class BucketClient:
    """One bucket of Cloud Storage. All calls raise RunnerUnavailable or JobRejected."""

    def __init__(self, place: Place, bucket: str) -> None:
        self._place = place
        address = place.endpoints.storage
        plain = address is not None and address.startswith(PLAIN)
        with _told(place):
            credentials = AnonymousCredentials() if plain else _credentials(place)  # type: ignore[no-untyped-call]
            self._api = storage.Client(place.project, credentials=credentials, client_options={"api_endpoint": address} if address else None)
            self._bucket = self._api.bucket(bucket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def put(self, name: str, content: BinaryIO, cancelled: Callable[[], bool]) -> None:
        """Write an object; what stood there is replaced. Raises Cancelled when that is so before all of it is sent."""
        with _told(self._place):
            self._bucket.blob(name, chunk_size=CHUNK).upload_from_file(_Watched(content, cancelled), content_type="application/octet-stream")

    def chunks(self, name: str) -> Iterator[bytes]:
        """An object's content. Raises JobRejected when there is none."""
        with _told(self._place), self._bucket.blob(name, chunk_size=CHUNK).open("rb") as content:
            while chunk := content.read(PIECE):
                yield chunk

    def has(self, name: str) -> bool:
        with _told(self._place):
            return bool(self._bucket.blob(name).exists())

    def delete_below(self, prefix: str) -> None:
        """Remove every object whose name begins so. Raises ValueError for what is no one job's: a bucket holds more than ours."""
        if prefix.count("/") < 2:
            raise ValueError(f"`{prefix}` is the prefix of no job")
        with _told(self._place):
            for blob in self._api.list_blobs(self._bucket, prefix=prefix):
                with suppress(exceptions.NotFound):
                    blob.delete()

    def prefixes(self, below: str) -> Sequence[str]:
        """The folders right below a prefix, which ends in `/` as they do."""
        with _told(self._place):
            found = self._api.list_blobs(self._bucket, prefix=below, delimiter="/")
            return sorted({prefix for page in found.pages for prefix in page.prefixes})
