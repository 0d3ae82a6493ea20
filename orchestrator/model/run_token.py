"""Tokens that open one execution's files, keys and outputs over the API, or what a trigger's evaluation may reach, until they expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

_RUN, _EVALUATION = "run", "evaluation"


@dataclass(frozen=True)
class Grant:
    """What a token opens: the execution of that id; of an evaluation, whose execution is not there yet, also its flow.

    An evaluation may reach its own files and what belongs to its namespace, nothing else.
    """

    run: str
    namespace: str | None = None
    flow_id: str | None = None


class RunTokens:
    """Mints and checks run-scoped tokens: text that names an execution and an end, signed with the installation's secret.

    Nothing is kept: whoever has the same secret (the executor mints, the server checks) agrees on every token.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mint(self, execution_id: str, expires: datetime) -> str:
        """A token for this execution; `expires` is aware."""
        return self._signed(f"{_RUN}.{execution_id}.{int(expires.timestamp())}")

    def mint_evaluation(self, evaluation_id: str, namespace: str, flow_id: str, expires: datetime) -> str:
        """A token for an evaluation of a trigger of this flow."""
        about = base64.urlsafe_b64encode(f"{namespace}/{flow_id}".encode()).rstrip(b"=").decode()
        return self._signed(f"{_EVALUATION}.{evaluation_id}.{about}.{int(expires.timestamp())}")

    def grant_of(self, token: str, now: datetime | None = None) -> Grant | None:
        """What a token opens, or None when it is not one of ours or has expired."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(body).encode()):
            return None
        mark, _, rest = body.partition(".")
        if mark not in (_RUN, _EVALUATION):  # another kind of token with the same signature
            return None
        name, _, expires = rest.rpartition(".")
        if int(expires) <= (now or datetime.now(UTC)).timestamp():
            return None
        return Grant(name) if mark == _RUN else _of_evaluation(name)

    def execution_of(self, token: str, now: datetime | None = None) -> str | None:
        """The execution that a token opens, or None."""
        grant = self.grant_of(token, now)
        return grant.run if grant is not None and grant.namespace is None else None

    def _signed(self, body: str) -> str:
        return f"{body}.{self._signature(body)}"

    def _signature(self, body: str) -> str:
        return base64.urlsafe_b64encode(hmac.new(self._secret, body.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()


def _of_evaluation(name: str) -> Grant:
    run, _, about = name.rpartition(".")
    namespace, _, flow_id = base64.urlsafe_b64decode(about + "=" * (-len(about) % 4)).decode().partition("/")
    return Grant(run, namespace, flow_id)
