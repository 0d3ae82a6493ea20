"""A job queue of a run's own, where none is given: made before its job and removed after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.sdk import JobRejected, RunnerUnavailable, StartFailed

if TYPE_CHECKING:
    from orchestrator_plugins.aws.client import BatchClient

PAUSE = 0.5  # seconds between looks
READY, GONE = 120.0, 120.0  # seconds that a queue may take to become usable, and to go


def ensure_queue(client: BatchClient, name: str, compute_environment: str, tags: Mapping[str, str], cancelled: Callable[[], bool]) -> None:
    """Have the queue, ready to take jobs. Raises StartFailed when it does not become so."""
    if _state(client, name) is None:
        client.create_queue(name, compute_environment, tags)
    deadline = time.monotonic() + READY
    while not cancelled():
        known = _state(client, name) or {}
        if known.get("status") == "VALID" and known.get("state") == "ENABLED":
            return
        if known.get("status") == "INVALID" or time.monotonic() > deadline:
            raise StartFailed(f"the job queue {name} does not become usable: {known.get('statusReason') or known.get('status')}", "SERVICE")
        time.sleep(PAUSE)


def remove_queue(client: BatchClient, name: str) -> None:
    """Disable and delete the queue; one that is gone is success. Raises RunnerUnavailable when it will not go."""
    deadline = time.monotonic() + GONE
    while (known := _state(client, name)) is not None:
        try:
            if known.get("state") == "ENABLED":
                client.disable_queue(name)
            elif known.get("status") != "DELETING":
                client.delete_queue(name)
        except JobRejected as err:  # it is still changing
            if time.monotonic() > deadline:
                raise RunnerUnavailable(f"the job queue {name} cannot be removed: {err}") from err
        if time.monotonic() > deadline:
            raise RunnerUnavailable(f"the job queue {name} does not go: it is {known.get('status')}")
        if known.get("status") == "DELETING":
            time.sleep(PAUSE)


def _state(client: BatchClient, name: str) -> Mapping[str, Any] | None:
    """The queue as the service shows it; None when there is none, or it is deleted."""
    return next((found for found in client.queues((name,)) if found.get("status") != "DELETED"), None)
