"""Tokens that open to a joined machine what concerns its own node, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac

MARK = "node."


class NodeTokens:
    """Mints and checks node-scoped tokens: text that names a node by its mark, signed with the installation's secret.

    Nothing is kept, and they do not end: who has joined may look after its own worker for as long as there is one, also when
    the token that it joined with opens nothing any more.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mint(self, mark: str) -> str:
        return f"{MARK}{mark}.{self._signature(mark)}"

    def mark_of(self, token: str) -> str | None:
        """The mark of the node that a token opens, or None when it is not one of ours."""
        body, _, signature = token.rpartition(".")
        mark = body.removeprefix(MARK)
        is_ours = hmac.compare_digest(signature.encode(), self._signature(mark).encode())
        return mark if is_ours and body.startswith(MARK) else None

    def _signature(self, mark: str) -> str:
        return base64.urlsafe_b64encode(hmac.new(self._secret, f"{MARK}{mark}".encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
