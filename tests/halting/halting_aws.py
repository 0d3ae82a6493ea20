"""AWS Batch with points after the calls of its services too."""

from __future__ import annotations

from halting import Halting, halting_after

from orchestrator_plugins.aws.batch import Batch
from orchestrator_plugins.aws.client import BatchClient, LogsClient, StorageClient


class HaltingBatch(Halting, Batch):
    """AWS Batch that halts."""

    type: str = "test.HaltingBatch"


halting_after(BatchClient, "named", "register", "submit")
halting_after(LogsClient, "ensure_group")
halting_after(StorageClient, "put")
