"""Tokens that open one execution's files, keys and outputs over the API, until they expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

_MARK = "run"


class RunTokens:
    """Mints and checks run-scoped tokens: text that names an execution and an end, signed with the installation's secret.

    Nothing is kept: whoever has the same secret (the executor mints, the server checks) agrees on every token.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mint(self, execution_id: str, expires: datetime) -> str:
        """A token for this execution; `expires` is aware."""
        body = f"{_MARK}.{execution_id}.{int(expires.timestamp())}"
        return f"{body}.{self._signature(body)}"

    def execution_of(self, token: str, now: datetime | None = None) -> str | None:
        """The execution that a token opens, or None when it is not one of ours or has expired."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(body).encode()):
            return None
        mark, _, rest = body.partition(".")
        execution_id, _, expires = rest.rpartition(".")
        return execution_id if mark == _MARK and int(expires) > (now or datetime.now(UTC)).timestamp() else None

    def _signature(self, body: str) -> str:
        return base64.urlsafe_b64encode(hmac.new(self._secret, body.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
