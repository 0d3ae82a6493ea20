"""The emulator as one thing to start and to stop."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import boto3
import docker
from moto.backends import get_backend
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from orchestrator_plugins.aws.emulator.faults import Faults
from orchestrator_plugins.aws.emulator.front import Front
from orchestrator_plugins.aws.emulator.job import EmulatedJob
from orchestrator_plugins.aws.emulator.jobs_api import JobsApi
from orchestrator_plugins.aws.emulator.log_stream import Put
from orchestrator_plugins.aws.emulator.task import RECLAIMED, Surroundings, Task

KEY = {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}


@dataclass(frozen=True)
class Account:
    """What `furnish` has made."""

    region: str
    compute_environment_arn: str
    job_queue_arn: str
    role_arn: str
    bucket: str


def bridge_address() -> str:
    """Where containers of the engine's own bridge reach this machine, and other machines do not."""
    engine = docker.from_env()
    try:
        return str(engine.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"])
    finally:
        engine.close()


class Emulator:
    """One AWS account on a port of this machine; `url` is its endpoint for all services. Everything it makes is gone after `stop`."""

    def __init__(
        self,
        *,
        host: str | None = None,
        port: int = 0,
        account: str = "123456789012",
        region: str = "us-east-1",
        images: Mapping[str, str] | None = None,
        pull: bool = False,
        stop_grace: int = 2,
    ) -> None:
        """`images` are stand-ins for images that the engine lacks; with `pull` the engine may fetch what it lacks."""
        self.id, self.account, self.faults = uuid.uuid4().hex[:12], account, Faults()
        self._host, self._port, self._region = host or bridge_address(), port, region
        self._images, self._pull, self._stop_grace = dict(images or {}), pull, stop_grace
        self._lock = threading.Lock()
        self._jobs: dict[str, JobsApi] = {}
        moto = DomainDispatcherApplication(create_backend_app)
        self._front = Front(moto, account=account, faults=self.faults, jobs_of=self._jobs_of, default_region=region)
        self._server: BaseWSGIServer | None = None
        self._tasks: list[Task] = []

    # --- life

    def start(self) -> Emulator:
        """Listen; returns itself."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server(self._host, self._port, self._front, threaded=True, request_handler=MotoRequestHandler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="aws-emulator", daemon=True).start()
        return self

    def stop(self) -> None:
        """End all jobs, listen no more, and forget: what moto knows is one for the whole process, so one emulator runs in it at a time."""
        for job in self.jobs():
            job.stop("the emulator was stopped", terminated=True)
        for task in self._tasks:
            task.join(30)
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        moto_api_backend.reset()

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        assert self._server is not None, "it is not started"
        return f"http://{self._host}:{self._server.server_port}"

    # --- what a test may want

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client of this account."""
        return boto3.client(service, region_name=region or self._region, endpoint_url=self.url, **KEY)  # type: ignore[call-overload]

    def furnish(
        self, *, region: str | None = None, environment: str = "emulated", queue: str = "emulated", bucket: str = "emulated", kind: str = "FARGATE"
    ) -> Account:
        """Make a compute environment of a kind (FARGATE, FARGATE_SPOT, EC2, SPOT), a queue, a role and a bucket."""
        region = region or self._region
        batch, iam, ec2, s3 = (self.client(name, region) for name in ("batch", "iam", "ec2", "s3"))
        role = iam.create_role(RoleName=f"role-{uuid.uuid4().hex[:8]}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        resources: dict[str, Any] = {"type": kind, "maxvCpus": 64, "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]]}
        resources["securityGroupIds"] = [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]]
        if not kind.startswith("FARGATE"):
            profile = iam.create_instance_profile(InstanceProfileName=f"profile-{uuid.uuid4().hex[:8]}")["InstanceProfile"]["Arn"]
            resources.update(instanceRole=profile, minvCpus=0, instanceTypes=["optimal"], **({"spotIamFleetRole": role} if kind == "SPOT" else {}))
        made = batch.create_compute_environment(computeEnvironmentName=environment, type="MANAGED", serviceRole=role, computeResources=resources)
        arn = str(made["computeEnvironmentArn"])
        if not s3.list_buckets(Prefix=bucket)["Buckets"]:
            s3.create_bucket(Bucket=bucket, **({} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}))
        return Account(region=region, compute_environment_arn=arn, job_queue_arn=self.queue(queue, arn, region), role_arn=role, bucket=bucket)

    def queue(self, name: str, compute_environment_arn: str, region: str | None = None) -> str:
        """Make a queue; its ARN."""
        order = [{"order": 1, "computeEnvironment": compute_environment_arn}]
        made = self.client("batch", region).create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
        return str(made["jobQueueArn"])

    def jobs(self, name: str | None = None) -> Sequence[EmulatedJob]:
        """The jobs of all regions, those of a name alone when one is given, in the order in which they were submitted."""
        with self._lock:
            return [job for api in self._jobs.values() for job in list(api.jobs.values()) if name in (None, job.name)]

    def reclaim(self, name: str) -> None:
        """Take the spot capacity away from under the jobs of a name."""
        for job in self.jobs(name):
            job.reclaimed = True
            job.stop(RECLAIMED, terminated=False)

    def calls(self, action: str) -> int:
        """How often an action (`DescribeJobs` ...) was called."""
        return self._front.calls[action.lower()]

    # --- its parts

    def _jobs_of(self, region: str) -> JobsApi:
        with self._lock:
            if region not in self._jobs:

                def run(job: EmulatedJob) -> None:
                    task = Task(job, self._surroundings(region))
                    self._tasks.append(task)
                    task.start()

                self._jobs[region] = JobsApi(self.account, region, faults=self.faults, queue_arn=lambda name: self._queue_arn(region, name), run=run)
            return self._jobs[region]

    def _queue_arn(self, region: str, name: str) -> str | None:
        found = get_backend("batch")[self.account][region].get_job_queue(name)
        return None if found is None else str(found.arn)

    def _surroundings(self, region: str) -> Surroundings:
        return Surroundings(
            emulator=self.id,
            endpoint=self.url,
            region=region,
            faults=self.faults,
            images=self._images,
            pull=self._pull,
            stop_grace=self._stop_grace,
            stream=lambda group, stream: self._stream(region, group, stream),
            awaited=lambda job: self._jobs_of(region).ended(job),
        )

    def _stream(self, region: str, group: str, stream: str) -> Put:
        logs = get_backend("logs")[self.account][region]
        with self._lock:
            logs.ensure_log_group(group)
            logs.ensure_log_stream(group, stream)

        def put(events: Sequence[dict[str, Any]]) -> None:
            logs.put_log_events(group, stream, list(events))

        return put
