"""Whose account a runner uses, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from orchestrator_plugins.aws.properties import BatchProperties


@dataclass(frozen=True)
class Role:
    """A role to assume: its session is renewed by itself."""

    arn: str
    external_id: str | None
    session_name: str
    duration: timedelta
    endpoint: str | None


@dataclass(frozen=True)
class Access:
    """One way to one region. Equal ones share their connections and their poller; the keys stay in memory."""

    region: str
    endpoint: str | None
    access_key_id: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    role: Role | None = None


def access_of(properties: BatchProperties) -> Access:
    """From rendered properties; without keys of their own, the machine's own chain of credentials is used."""
    role = None
    if properties.sts_role_arn:
        role = Role(
            arn=properties.sts_role_arn,
            external_id=properties.sts_role_external_id,
            session_name=properties.sts_role_session_name or "orchestrator",
            duration=properties.sts_role_session_duration,
            endpoint=properties.sts_endpoint_override or properties.endpoint_override,
        )
    return Access(
        region=properties.region,
        endpoint=properties.endpoint_override,
        access_key_id=properties.access_key_id,
        secret_key=properties.secret_key_id,
        session_token=properties.session_token,
        role=role,
    )
