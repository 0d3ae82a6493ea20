"""Declares worker groups and sets what namespaces say of places: requests, each answered once it is saved."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestrator.engine.wishes import Asked, holds_template
from orchestrator.errors import Conflict
from orchestrator.model.values import Json
from orchestrator.model.worker import WorkerInfo
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime import requests as asked
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.turn import Turn
from orchestrator.runtime.worker_groups import WorkerGroups, keys_in

MOST_NAMED = 5  # in one message


class Declaring:
    """One method per request of `requests`, JSON text in and out."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def declare_group(self, text: str) -> str:
        request = asked.DeclareGroup.model_validate_json(text)

        def declare(turn: Turn) -> WorkerGroup:
            before = self._groups.declared.get(request.group.key)
            if request.replace and before is None:
                raise self._groups.unknown(request.group.key)
            if not request.replace and before is not None and before.source != "queue":
                raise Conflict(f"worker group '{request.group.key}' is declared already")
            return self._groups.declare(turn, request.group)

        return (await self._executor.do(declare)).model_dump_json(by_alias=True, exclude_none=True)

    async def forget_group(self, text: str) -> str:
        request = asked.ForgetGroup.model_validate_json(text)

        def forget(turn: Turn) -> None:
            if not request.force and request.key in self._groups.declared:
                self._refuse_in_use(request)
            self._groups.forget(turn, request.key)

        await self._executor.do(forget)
        return "{}"

    def _refuse_in_use(self, request: asked.ForgetGroup) -> None:
        workers = [worker for worker in self._executor.places.workers() if worker.group == request.key]
        by_namespaces = (f"namespace {name}" for name in self._groups.namespaces_naming(request.key))
        users = [*(f"flow {flow}" for flow in request.named_by), *by_namespaces, *map(_named, workers)]
        if users:
            raise Conflict(f"worker group '{request.key}' is in use by {_listed(users)}; force deletes it all the same")

    async def namespace_defaults(self, text: str) -> str:
        request = asked.NamespaceDefaults.model_validate_json(text)
        if request.defaults is not None:
            given = request.defaults
            self._check_groups(given)
            await self._executor.do(lambda turn: self._groups.set_namespace(turn, request.namespace, given))
        return json.dumps(self._groups.namespace(request.namespace))

    def _check_groups(self, defaults: Mapping[str, Json]) -> None:
        """Refuse a key that is none, or of no group where groups are declared; what only a template yields is seen at run time."""
        for key in keys_in(Asked.of(defaults)):
            if not holds_template(key) and not self._groups.knows(key):
                raise self._groups.unknown(key)

    @property
    def _groups(self) -> WorkerGroups:
        return self._executor.groups


def _named(worker: WorkerInfo) -> str:
    return f"worker {worker.name}" + (f" on {worker.hostname}" if worker.hostname else "")


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
