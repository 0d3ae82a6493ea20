"""The minted tokens as the executor keeps them: documents of the store, changed in turns."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import NotAllowed, NotFound
from orchestrator.model.access_token import DOCUMENT, AccessToken
from orchestrator.model.values import Json
from orchestrator.runtime import requests as asked
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import Reader


class Tokens:
    """Every change is part of a turn and holds once that is saved. What a token opens is checked at the server's door."""

    def __init__(self, store: Reader) -> None:
        self._store = store

    def keep(self, turn: Turn, token: AccessToken) -> AccessToken:
        """Keep a token that was minted, or what has changed of one."""
        turn.settings[DOCUMENT + token.uid] = token.model_dump(mode="json", by_alias=True, exclude_none=True)
        return token

    def revoke(self, turn: Turn, uid: str) -> AccessToken:
        """Let a token open nothing any more. Raises NotFound."""
        return self.keep(turn, self._known(turn, uid).model_copy(update={"revoked": True}))

    def delete(self, turn: Turn, uid: str) -> None:
        """Forget a token. Raises NotFound."""
        self._known(turn, uid)
        turn.settings[DOCUMENT + uid] = None

    def join(self, turn: Turn, uid: str, group: str) -> AccessToken:
        """Count a machine that joins a group with it. Raises NotAllowed when the token does not open that group, or nothing any more."""
        token = self._of(turn, uid)
        if token is None:
            raise NotAllowed("this token has been deleted")
        why = token.refusal(turn.now) or token.refusal_of(group)
        if why is not None:
            raise NotAllowed(why)
        return self.keep(turn, token.model_copy(update={"uses": token.uses + 1, "used": turn.now}))

    def count(self, turn: Turn, uses: Mapping[str, int]) -> None:
        """Count requests; tokens that are gone meanwhile are passed over."""
        for uid, more in uses.items():
            token = self._of(turn, uid)
            if token is not None:
                self.keep(turn, token.model_copy(update={"uses": token.uses + more, "used": turn.now}))

    def _known(self, turn: Turn, uid: str) -> AccessToken:
        token = self._of(turn, uid)
        if token is None:
            raise NotFound(f"there is no token {uid}")
        return token

    def _of(self, turn: Turn, uid: str) -> AccessToken | None:
        """As this turn leaves it."""
        name = DOCUMENT + uid
        raw: Json = turn.settings[name] if name in turn.settings else self._store.setting(name)
        return AccessToken.model_validate(raw) if raw is not None else None


class TokenDesk:
    """One method per request of `requests`, JSON text in and out."""

    def __init__(self, executor: Executor) -> None:
        self._executor, self._tokens = executor, Tokens(executor.store)

    async def keep_token(self, text: str) -> str:
        token = asked.KeepToken.model_validate_json(text).token

        def keep(turn: Turn) -> None:
            if token.group and not self._executor.groups.knows(token.group):
                raise self._executor.groups.unknown(token.group)
            self._tokens.keep(turn, token)

        await self._executor.do(keep)
        return "{}"

    async def end_token(self, text: str) -> str:
        request = asked.EndToken.model_validate_json(text)
        if request.delete:
            await self._executor.do(lambda turn: self._tokens.delete(turn, request.uid))
            return "null"
        return (await self._executor.do(lambda turn: self._tokens.revoke(turn, request.uid))).model_dump_json(by_alias=True, exclude_none=True)

    async def count_uses(self, text: str) -> str:
        request = asked.CountUses.model_validate_json(text)
        await self._executor.do(lambda turn: self._tokens.count(turn, request.uses))
        return "{}"
