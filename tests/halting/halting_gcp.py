"""Google Batch with points after the calls of its services too."""

from __future__ import annotations

from halting import Halting, halting_after

from orchestrator_plugins.gcp.client import BatchClient, BucketClient
from orchestrator_plugins.gcp.runner import Batch
from orchestrator_plugins.gcp.staging import Stage


class HaltingGoogleBatch(Halting, Batch):
    """Google Batch that halts."""

    type: str = "test.HaltingGoogleBatch"


halting_after(BatchClient, "get", "create", "delete")
halting_after(BucketClient, "put", "has", "delete_below")
halting_after(Stage, "bring_back")
