"""The connections to one region of one account, and the one poller there."""

from __future__ import annotations

import threading
from functools import lru_cache
from weakref import WeakValueDictionary

from orchestrator.sdk import BadSettings, JobRejected
from orchestrator_plugins.aws.access import Access
from orchestrator_plugins.aws.poller import Poller

MOST = 64  # ways to regions that are kept open
_making = threading.Lock()


class Backend:
    """Clients of one way to a region; they are safe in threads."""

    def __init__(self, access: Access) -> None:
        try:
            from orchestrator_plugins.aws.client import BatchClient, LogsClient, StorageClient, connected
        except ModuleNotFoundError as err:
            raise BadSettings("the AWS Batch runner needs a package that is not installed: pip install 'orchestrator[aws]'") from err
        session = connected(access)
        self.batch, self.logs, self.storage = BatchClient(session, access), LogsClient(session, access), StorageClient(session, access)
        self.poller = Poller(self.batch.describe)
        self._kinds: dict[str, str] = {}
        self._starts: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def start_of(self, job_key: str) -> threading.Lock:
        """Held while a job is looked for and made: of two in this process that start it the second finds it."""
        with _making:
            return self._starts.setdefault(job_key, threading.Lock())

    def kind_of(self, compute_environment: str) -> str:
        """FARGATE, FARGATE_SPOT, EC2 or SPOT. Raises JobRejected when there is no such environment, or it cannot run our jobs."""
        if compute_environment not in self._kinds:
            found = self.batch.compute_environment(compute_environment)
            if found is None:
                raise JobRejected(f"there is no compute environment `{compute_environment}`: make it, or correct `computeEnvironmentArn` and `region`")
            if found.get("containerOrchestrationType") == "EKS":
                raise JobRejected("EKS compute environments are not supported: name one of ECS, on Fargate or on EC2")
            self._kinds[compute_environment] = str(found.get("computeResources", {}).get("type", "EC2"))
        return self._kinds[compute_environment]


def backend_of(access: Access) -> Backend:
    """The one of an access in this process. Raises BadSettings when boto3 is not installed."""
    with _making:  # two would look twice
        return _backend_of(access)


@lru_cache(maxsize=MOST)
def _backend_of(access: Access) -> Backend:
    return Backend(access)
