"""The executor's counter for machines: who is there, who may join, who is drained, and the cluster's own token."""

from __future__ import annotations

import json

from orchestrator.errors import Conflict, NotFound, Refused
from orchestrator.model.values import Json
from orchestrator.model.worker import WorkerInfo
from orchestrator.runtime import requests as asked
from orchestrator.runtime.data_folder import ask_rotation, is_held
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.overview import Overview
from orchestrator.runtime.tokens import Tokens
from orchestrator.runtime.turn import Turn


class Fleet:
    """One method per request of `requests`, JSON text in and out."""

    def __init__(self, executor: Executor, overview: Overview) -> None:
        self._executor, self._overview = executor, overview
        self._tokens = Tokens(executor.store)

    # --- looking

    async def fleet(self, text: str) -> str:
        """{"cluster": as that request answers, "declared": [WorkerGroup], "lost", "drains", "since": as the roster shows}."""
        self._look()
        declared = [group.model_dump(mode="json", by_alias=True, exclude_none=True) for group in self._executor.groups.declared.values()]
        return json.dumps({"cluster": json.loads(await self._overview.cluster("{}")), "declared": declared, **self._executor.roster.shown()})

    async def worker(self, text: str) -> str:
        request = asked.WorkerNamed.model_validate_json(text)
        self._look()
        return self._shown(self._executor.roster.one(request.worker, lost=True))

    async def joined(self, text: str) -> str:
        request = asked.JoinedNode.model_validate_json(text)
        return self._shown(self._executor.roster.of_mark(request.mark), ask_again=self._executor.roster.ask_again)

    def _look(self) -> None:
        """A worker that went since the last look at the cluster is lost, not unknown."""
        self._executor.roster.look(self._executor.clock())

    def _shown(self, worker: WorkerInfo | None, **more: Json) -> str:
        told: Json = worker.model_dump(mode="json", by_alias=True, exclude_none=True) if worker is not None else None
        return json.dumps({"worker": told, "drain": worker and self._executor.roster.draining.shown(worker.node_id), **more})

    # --- joining and draining

    async def join(self, text: str) -> str:
        request = asked.Join.model_validate_json(text)

        def join(turn: Turn) -> None:
            if request.token is not None:
                self._tokens.join(turn, request.token, request.group)
            groups = self._executor.groups
            if not groups.knows(request.group) and not request.create:
                told = str(groups.unknown(request.group))
                way = f"Declare it with `orchestrator worker-group create {request.group}`, or join with --create"
                raise NotFound(f"{told} {way}" if told.endswith("?") else f"{told}. {way}")
            if request.create and request.group and request.group not in groups.declared:
                groups.declare(turn, groups.group(request.group))

        await self._executor.do(join)
        return "{}"

    async def drain(self, text: str) -> str:
        request = asked.DrainWorker.model_validate_json(text)
        roster = self._executor.roster

        def drain(turn: Turn) -> WorkerInfo:
            worker = roster.of_mark(request.mark) if request.mark is not None else roster.one(request.worker)
            if worker is None:
                raise NotFound("no worker of this cluster is on that node")
            roster.draining.begin(turn, worker, request.grace)
            return worker

        worker = await self._executor.do(drain)
        return self._shown(roster.one(worker.name))

    # --- the cluster's own token

    async def rotate_token(self, text: str) -> str:
        """Have the launcher make a new token for the cluster, and the cluster anew with it."""
        settings = self._executor.settings
        if settings.ray_address:
            raise Refused(
                f"this server runs on a Ray cluster that it did not start ({settings.ray_address}): give that cluster another token where it is started"
                " (RAY_AUTH_TOKEN_PATH), start it again, and then this server and its workers"
            )
        if not is_held(settings.data_dir):
            raise Conflict("nobody watches this cluster: start `orchestrator server local` on its data folder again, then rotate the token")
        ask_rotation(settings.data_dir)
        return "{}"
