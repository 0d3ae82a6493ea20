"""The few calls we make of AWS. The only module that imports boto3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError
from botocore.session import Session, get_session

from orchestrator.sdk import JobRejected, RunnerUnavailable
from orchestrator_plugins.aws.access import Access, Role

CONNECT, READ = 10, 60  # seconds
PAGE = 1000  # keys that S3 lists and deletes at once
_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded", "SlowDown", "LimitExceededException"})
_GONE = frozenset({"NoSuchKey", "NoSuchBucket", "404", "ResourceNotFoundException"})


class Throttled(RunnerUnavailable):
    """The service wants fewer calls."""


class AnswerLost(RunnerUnavailable):
    """Nobody knows whether the call was carried out."""


@contextmanager
def _told(service: str, access: Access) -> Iterator[None]:
    """Every failure of a service as one of ours."""
    try:
        yield
    except ClientError as err:
        code, said = str(err.response.get("Error", {}).get("Code")), str(err.response.get("Error", {}).get("Message") or err)
        status = int(err.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _THROTTLED or status == 429:
            raise Throttled(f"{service} in {access.region} wants fewer calls: {said}") from err
        if 400 <= status < 500:
            raise JobRejected(f"{service} refuses {err.operation_name}: {said}") from err
        raise AnswerLost(f"{service} in {access.region} failed: {said}") from err
    except (NoCredentialsError, PartialCredentialsError) as err:
        raise JobRejected("no AWS credentials: set `accessKeyId` and `secretKeyId`, or give the machine a role or profile of its own") from err
    except HTTPClientError as err:
        where = access.endpoint or access.region
        raise AnswerLost(f"{service} does not answer at {where}: check `region`, `endpointOverride` and the network ({err})") from err
    except BotoCoreError as err:
        raise JobRejected(f"{service} cannot be called: {err}") from err


def _code(err: JobRejected) -> str:
    cause = err.__cause__
    return str(cause.response.get("Error", {}).get("Code")) if isinstance(cause, ClientError) else ""


def connected(access: Access) -> boto3.Session:
    """A session with the credentials asked for; a role's are renewed by themselves."""
    session = get_session()
    if access.access_key_id:
        session.set_credentials(access.access_key_id, access.secret_key or "", access.session_token)
    if access.role is not None:
        with _told("STS", access):
            session = _with_role(session, access, access.role)
    return boto3.Session(botocore_session=session, region_name=access.region)


def _with_role(session: Session, access: Access, role: Role) -> Session:
    extra = {"RoleSessionName": role.session_name, "DurationSeconds": int(role.duration.total_seconds())}
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(session.create_client, region_name=access.region, endpoint_url=role.endpoint),
        source_credentials=session.get_credentials(),
        role_arn=role.arn,
        extra_args={**extra, **({"ExternalId": role.external_id} if role.external_id else {})},
    )
    assumed = get_session()
    assumed._credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)  # type: ignore[attr-defined]
    return assumed


class _Service:
    """One service of one region. All calls raise RunnerUnavailable or JobRejected."""

    name, title = "", ""

    def __init__(self, session: boto3.Session, access: Access) -> None:
        self._access = access
        self._api = self._connected(session, tries=3)

    def _connected(self, session: boto3.Session, *, tries: int) -> Any:
        config = Config(
            connect_timeout=CONNECT,
            read_timeout=READ,
            retries={"mode": "standard", "total_max_attempts": tries},
            max_pool_connections=32,
            s3={"addressing_style": "path"} if self._access.endpoint else None,
        )
        with self._told():
            return session.client(self.name, endpoint_url=self._access.endpoint, config=config)  # type: ignore[call-overload]

    def _told(self) -> Any:
        return _told(self.title, self._access)

    def _unless_gone(self, call: Callable[[], Any]) -> Any:
        try:
            with self._told():
                return call()
        except JobRejected as err:
            if _code(err) in _GONE:
                return None
            raise


class BatchClient(_Service):
    """Jobs, definitions and queues."""

    name, title = "batch", "AWS Batch"

    def __init__(self, session: boto3.Session, access: Access) -> None:
        super().__init__(session, access)
        self._once = self._connected(session, tries=1)  # a second try of its own would make a second job

    def compute_environment(self, arn: str) -> Mapping[str, Any] | None:
        with self._told():
            found: Sequence[Mapping[str, Any]] = self._api.describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"]
        return next(iter(found), None)

    def register(self, definition: Mapping[str, Any]) -> str:
        """Register a job definition; its ARN."""
        with self._told():
            return str(self._api.register_job_definition(**definition)["jobDefinitionArn"])

    def definitions(self, name: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The active definitions: those of a name, or all."""
        with self._told():
            pages = self._api.get_paginator("describe_job_definitions").paginate(status="ACTIVE", **({"jobDefinitionName": name} if name else {}))
            for page in pages:
                yield from page["jobDefinitions"]

    def deregister(self, arn: str) -> None:
        with self._told():
            self._api.deregister_job_definition(jobDefinition=arn)

    def submit(self, request: Mapping[str, Any]) -> str:
        """Submit a job; its id. Raises AnswerLost when a job may exist all the same."""
        with self._told():
            return str(self._once.submit_job(**request)["jobId"])

    def describe(self, jobs: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """What is known of at most 100 jobs."""
        with self._told():
            found: Sequence[Mapping[str, Any]] = self._api.describe_jobs(jobs=list(jobs))["jobs"]
        return found

    def named(self, queue: str, name: str) -> Sequence[Mapping[str, Any]]:
        """All jobs of a queue by a name, in whatever state, the oldest first. Of a queue that is gone: none."""
        filters = [{"name": "JOB_NAME", "values": [name]}]
        try:
            with self._told():
                pages = self._api.get_paginator("list_jobs").paginate(jobQueue=queue, filters=filters)
                found = [job for page in pages for job in page["jobSummaryList"] if job["jobName"] == name]
        except JobRejected as err:
            if "does not exist" in str(err) or "not found" in str(err).lower():
                return ()
            raise
        return sorted(found, key=lambda job: int(job.get("createdAt", 0)))

    def listed(self, queue: str, status: str) -> Iterator[Mapping[str, Any]]:
        """The jobs of a queue in one state."""
        with self._told():
            for page in self._api.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status):
                yield from page["jobSummaryList"]

    def terminate(self, job: str, reason: str) -> None:
        with self._told():
            self._api.terminate_job(jobId=job, reason=reason)

    def create_queue(self, name: str, compute_environment: str, tags: Mapping[str, str]) -> None:
        order = [{"order": 1, "computeEnvironment": compute_environment}]
        with self._told():
            self._api.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order, tags=dict(tags))

    def queues(self, names: Sequence[str] = ()) -> Iterator[Mapping[str, Any]]:
        """The queues of these names, or all."""
        with self._told():
            for page in self._api.get_paginator("describe_job_queues").paginate(**({"jobQueues": list(names)} if names else {})):
                yield from page["jobQueues"]

    def disable_queue(self, name: str) -> None:
        with self._told():
            self._api.update_job_queue(jobQueue=name, state="DISABLED")

    def delete_queue(self, name: str) -> None:
        with self._told():
            self._api.delete_job_queue(jobQueue=name)


class LogsClient(_Service):
    """Streams of CloudWatch Logs."""

    name, title = "logs", "CloudWatch Logs"

    def ensure_group(self, group: str) -> None:
        """Make a log group unless it is there. Where that is not allowed, somebody else sees to it."""
        try:
            with self._told():
                self._api.create_log_group(logGroupName=group)
        except JobRejected as err:
            if _code(err) not in {"ResourceAlreadyExistsException", "AccessDeniedException"}:
                raise

    def page(self, group: str, stream: str, token: str | None) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """Events from a token on, the first ones without, and the token after them. A stream that is not there (yet) is empty."""
        given = {"nextToken": token} if token else {}
        read = partial(self._api.get_log_events, logGroupName=group, logStreamName=stream, startFromHead=True, **given)
        answer = self._unless_gone(read)
        return ((), token) if answer is None else (answer["events"], answer["nextForwardToken"])


class StorageClient(_Service):
    """Objects of S3."""

    name, title = "s3", "S3"

    def put(self, bucket: str, key: str, content: BinaryIO) -> None:
        """Store an object, in parts where it is large."""
        with self._told():
            self._api.upload_fileobj(content, bucket, key)

    def get(self, bucket: str, key: str) -> Iterator[bytes] | None:
        """An object's content; None where there is none."""
        answer = self._unless_gone(lambda: self._api.get_object(Bucket=bucket, Key=key))
        return None if answer is None else self._chunks(answer["Body"])

    def _chunks(self, body: Any) -> Iterator[bytes]:
        with self._told():
            yield from body.iter_chunks(1 << 18)

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """The names directly below a prefix that ends in a slash."""
        with self._told():
            for page in self._api.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
                yield from (found["Prefix"][len(prefix) :].rstrip("/") for found in page.get("CommonPrefixes", ()))

    def delete(self, bucket: str, prefix: str) -> None:
        """Remove every object below a prefix that ends in a slash."""
        with self._told():
            for page in self._api.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": PAGE}):
                keys = [{"Key": found["Key"]} for found in page.get("Contents", ())]
                if keys:
                    self._api.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})

    def delete_one(self, bucket: str, key: str) -> None:
        with self._told():
            self._api.delete_object(Bucket=bucket, Key=key)
