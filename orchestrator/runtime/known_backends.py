"""Where jobs have gone that no machine finds by itself: remembered, so that what a crash left there is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from orchestrator.model.dispatch import Dispatch
from orchestrator.model.execution import TaskRun
from orchestrator.model.flow import TaskSpec
from orchestrator.model.job import JobHandle
from orchestrator.model.run_token import RunTokens
from orchestrator.model.values import Frozen, Instant, Json
from orchestrator.runtime.turn import Turn
from orchestrator.settings import Settings
from orchestrator.store.port import StateStore

PREFIX = "backend:"  # of the documents in the store
TOKEN_LIFE = timedelta(minutes=10)
STALE = timedelta(days=1)  # a document is written again when its back end is used so long after
FORGOTTEN = timedelta(days=30)  # without a job


class KnownBackend(Frozen):
    """How a back end was reached last: the task's `taskRunner` as its author wrote it, nothing rendered, and whose it was."""

    backend: str
    runner: Mapping[str, Json]
    group: str
    execution_id: str
    namespace: str
    flow_id: str
    used: Instant


class KnownBackends:
    """The documents, and the requests made of them."""

    def __init__(self, store: StateStore, settings: Settings, tokens: RunTokens) -> None:
        self._settings, self._tokens = settings, tokens
        self._known = {name: KnownBackend.model_validate(told) for name, told in store.settings(PREFIX).items()}

    def note(self, turn: Turn, run: TaskRun, spec: TaskSpec, handle: JobHandle) -> None:
        """A job was prepared there."""
        written = spec.raw.get("taskRunner")
        if not isinstance(written, Mapping) or not written.keys() - {"type"}:
            return  # whoever asks that kind without telling it anything asks the same place
        name = PREFIX + hashlib.sha256(f"{handle.runner}\0{handle.backend}".encode()).hexdigest()[:16]
        known = self._known.get(name)
        if known is None or known.runner != written or turn.now - known.used > STALE:
            about: dict[str, Any] = {"execution_id": run.execution_id, "namespace": run.namespace, "flow_id": run.flow_id}
            group = run.placement.group if run.placement is not None else ""
            self._known[name] = KnownBackend(backend=handle.backend, runner=dict(written), group=group, used=turn.now, **about)
            turn.settings[name] = self._known[name].model_dump(mode="json")

    def forget_old(self, turn: Turn) -> None:
        """Let go of those that nobody has used for long."""
        for name, known in list(self._known.items()):
            if turn.now - known.used > FORGOTTEN:
                del self._known[name]
                turn.settings[name] = None

    def asks(self, groups: Sequence[str], now: datetime) -> Mapping[str, tuple[Dispatch, ...]]:
        """By group: what to tell a worker of it, where there is one; the first of `groups` takes those of groups without one."""
        asks: dict[str, tuple[Dispatch, ...]] = {}
        for name, known in self._known.items() if groups else ():
            group = known.group if known.group in groups else groups[0]
            asks[group] = (*asks.get(group, ()), self._ask(name, known, now))
        return asks

    def _ask(self, name: str, known: KnownBackend, now: datetime) -> Dispatch:
        flow = {"id": known.flow_id, "namespace": known.namespace}
        return Dispatch(
            task_run_id=name,
            execution_id=known.execution_id,
            namespace=known.namespace,
            flow_id=known.flow_id,
            flow_revision=0,
            task_id="",
            lease=0,
            generation=0,
            spec={"backend": known.backend, "taskRunner": dict(known.runner)},
            context={"flow": flow, "globals": dict(self._settings.globals), "envs": dict(self._settings.envs)},
            api_token=self._tokens.mint(known.execution_id, now + TOKEN_LIFE),
        )
