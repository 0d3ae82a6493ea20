"""Tokens that are minted for others than the administrator: what they open, how they are written, how they are known again."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from enum import StrEnum

from pydantic import Field, model_validator

from orchestrator.model.values import Frozen, Instant

DOCUMENT = "token:"  # how the stored documents are named, followed by the uid
_TEXT = re.compile(r"(or[jv]_([0-9a-f]{12}))_[A-Za-z0-9_-]{43}")


class Role(StrEnum):
    """What a caller may do. The administrator is whoever has the server's own token, which is not minted."""

    ADMIN = "admin"
    JOIN = "join"  # join machines
    NODE = "node"  # a machine that has joined: look after its own worker
    VIEW = "view"  # look, at nothing secret


MINTED = (Role.JOIN, Role.VIEW)


class AccessToken(Frozen):
    """A minted token. Only a digest of its text is kept.

    `group` limits a join token to one worker group ("" is the default group, None any). A revoked or expired one opens
    nothing any more; a machine that has joined stays: shutting it out means rotating the cluster's own token too.
    """

    uid: str = Field(pattern=r"^[0-9a-f]{12}$")
    role: Role
    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    group: str | None = None
    prefix: str = Field("", alias="tokenPrefix")  # the beginning of the text, to tell tokens apart
    digest: str = Field("", repr=False)
    created: Instant = Field(alias="createdAt")
    expires: Instant | None = Field(None, alias="expiresAt")
    revoked: bool = False
    uses: int = Field(0, alias="useCount")  # machines joined with it; of a view token, requests
    used: Instant | None = Field(None, alias="lastUsedAt")

    @model_validator(mode="after")
    def _role(self) -> AccessToken:
        if self.role not in MINTED:
            raise ValueError("a token is minted for the role join or view; the administrator's is set on the server")
        if self.group is not None and self.role is not Role.JOIN:
            raise ValueError("only a join token is for a worker group")
        return self

    def refusal(self, now: datetime) -> str | None:
        """Why it opens nothing any more; None while it does."""
        if self.revoked:
            return f"this token ({self.name}) has been revoked"
        if self.expires is not None and self.expires <= now:
            return f"this token ({self.name}) has expired"
        return None

    def refusal_of(self, group: str) -> str | None:
        """Why no machine may join that group with it; None when one may."""
        if self.role is not Role.JOIN:
            return f"this token ({self.name}) is for looking: no machine joins with it"
        if self.group not in (None, group):
            return f"this token ({self.name}) joins machines to {_called(self.group or '')}, not to {_called(group)}"
        return None


def _called(group: str) -> str:
    return f"worker group '{group}'" if group else "the default worker group"


def written(role: Role, uid: str, secret: str) -> str:
    """The text of a token. `secret` are 43 characters of URL-safe base64: 256 random bits."""
    return f"{prefix_of(role, uid)}_{secret}"


def prefix_of(role: Role, uid: str) -> str:
    """The part of a token's text that is no secret."""
    return f"or{role.value[0]}_{uid}"


def uid_in(text: str) -> str | None:
    """The uid that a text names, None when it is not written like a minted token."""
    found = _TEXT.fullmatch(text)
    return found[2] if found is not None else None


def digest_of(text: str) -> str:
    """What is kept of a token's text. It holds 256 random bits: there is nothing to guess, and nothing to slow down."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_text_of(token: AccessToken, text: str) -> bool:
    """Whether a text is that token's; takes as long whatever the answer is."""
    return hmac.compare_digest(token.digest, digest_of(text)) and text.startswith(f"{token.prefix}_")
