"""Makes tokens, and shows those that are kept."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import NotFound, Refused
from orchestrator.model.access_token import DOCUMENT, AccessToken, Role, digest_of, prefix_of, written
from orchestrator.model.values import Json
from orchestrator.runtime.requests import EndToken, KeepToken
from orchestrator.server import documents
from orchestrator.server.parts import Parts, slowly
from orchestrator.server.problems import BadArgument
from orchestrator.store.port import Reader


def minted(role: Role, body: dict[str, Json], *, group: str | None) -> tuple[str, AccessToken]:
    """A token's text, which is told once and never again, and what is kept of it. Raises BadArgument."""
    now, uid = datetime.now(UTC), secrets.token_hex(6)
    text = written(role, uid, secrets.token_urlsafe(32))
    told = {name: body[name] for name in ("name", "description", "expiresAt") if body.get(name) is not None}
    token = documents.read(AccessToken, told, uid=uid, role=role, group=group, tokenPrefix=prefix_of(role, uid), digest=digest_of(text), createdAt=now)
    if token.expires is not None and token.expires.tzinfo is None:
        raise BadArgument("`expiresAt` is an ISO-8601 date-time with a zone, such as 2030-01-31T12:00:00Z")
    if token.expires is not None and token.expires <= now:
        raise BadArgument("`expiresAt` has passed already")
    return text, token


async def mint(parts: Parts, role: Role, body: dict[str, Json], *, group: str | None) -> tuple[str, AccessToken]:
    """Make a token and keep it. Raises BadArgument, NotFound for an unknown group."""
    text, token = minted(role, body, group=group)
    await parts.executor.keep_token(KeepToken(token=token))
    return text, token


async def kept(parts: Parts) -> list[AccessToken]:
    """All of them, the oldest first."""
    found = await slowly(lambda: parts.reader.settings(DOCUMENT))
    return sorted(map(AccessToken.model_validate, found.values()), key=lambda token: token.created)


async def one(parts: Parts, named: str) -> AccessToken:
    """The token with that name, or whose uid or text begins so. Raises NotFound for none, Refused for several."""
    tokens = await kept(parts)
    found = [token for token in tokens if named in (token.uid, token.name)]
    found = found or [token for token in tokens if token.uid.startswith(named) or token.prefix.startswith(named)]
    if not found:
        raise NotFound(f"no token's id begins with `{named}`, and none has that name")
    if len(found) > 1:
        raise Refused(f"several tokens are meant by `{named}`: {', '.join(token.uid for token in found[:5])}{' ...' if len(found) > 5 else ''}")
    return found[0]


async def end(parts: Parts, named: str, *, delete: bool = False) -> AccessToken | None:
    """Revoke or delete a token; the token as it is then."""
    return await parts.executor.end_token(EndToken(uid=(await one(parts, named)).uid, delete=delete))


def shown(token: AccessToken, now: datetime | None = None) -> dict[str, Any]:
    """All that may be told of a token."""
    told = token.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"digest"})
    return {**told, "valid": token.refusal(now or datetime.now(UTC)) is None}


def reader_of(store: Reader) -> Callable[[str], AccessToken | None]:
    """A way to a token by its uid, as it was saved last."""

    def token(uid: str) -> AccessToken | None:
        raw = store.setting(DOCUMENT + uid)
        return AccessToken.model_validate(raw) if raw is not None else None

    return token
