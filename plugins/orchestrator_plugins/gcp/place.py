"""Which project and region a job is for, and how its services are reached."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta

from orchestrator.sdk import JobRejected
from orchestrator_plugins.gcp.properties import BatchProperties

PLAIN = "http://"


@dataclass(frozen=True)
class Endpoints:
    """Other addresses of the services; None is Google's own. One that begins with `http://` is spoken to in plaintext, without credentials."""

    batch: str | None = None
    logging: str | None = None
    storage: str | None = None


@dataclass(frozen=True)
class Place:
    """A project and region with the credentials that reach it. `key` is a service account's JSON key."""

    project: str
    region: str
    endpoints: Endpoints = Endpoints()
    key: str | None = field(default=None, repr=False)
    impersonated: str | None = None
    scopes: tuple[str, ...] = ()

    @property
    def parent(self) -> str:
        """The region's resource name."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def backend(self) -> str:
        """The place as supervisors are told apart by: an account's own key has none of it."""
        return f"gcp-batch:{self.project}:{self.region}" + (f":{self.endpoints.batch}" if self.endpoints.batch else "")


def place_of(properties: BatchProperties) -> Place:
    """The place that properties name. Raises JobRejected when they name no project and the credentials know none."""
    return Place(
        project=properties.project_id or _project_of_key(properties.service_account) or _default_project(properties),
        region=properties.region,
        endpoints=Endpoints(
            batch=properties.endpoint_override,
            logging=properties.logging_endpoint_override or properties.endpoint_override,
            storage=properties.storage_endpoint_override or properties.endpoint_override,
        ),
        key=properties.service_account,
        impersonated=properties.impersonated_service_account,
        scopes=tuple(properties.scopes),
    )


def _project_of_key(key: str | None) -> str | None:
    return str(json.loads(key).get("project_id") or "") or None if key else None


def _default_project(properties: BatchProperties) -> str:
    if properties.endpoint_override is None:
        from orchestrator_plugins.gcp.client import default_project

        if (found := default_project()) is not None:
            return found
    raise JobRejected("the Google Batch runner does not know the project: set `projectId`, or use credentials that belong to one")


def owner_of(installation: str) -> str:
    """An installation's own mark in labels: what a label may hold is less than what an installation may be called."""
    return hashlib.sha256(installation.encode()).hexdigest()[:32]


def seconds(length: timedelta) -> str:
    """A length as Google's JSON writes it."""
    return f"{length.total_seconds():.3f}".rstrip("0").rstrip(".") + "s"
