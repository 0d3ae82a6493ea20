"""The back ends that a machine reaches: asked what is there of ours, and told to remove what nobody owns."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from orchestrator import registry
from orchestrator.errors import ExpressionFailed, OrchestratorError
from orchestrator.lang.expressions import Renderer
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.stock import Stock, StockAsk, Stocked, Trouble
from orchestrator.runtime.node import Node
from orchestrator.runtime.reaching import Known, RunExpressions
from orchestrator.runtime.runner_choice import built_runner
from orchestrator.runtime.services import ServicesFactory
from orchestrator.sdk import Reaper, TaskRunner


@runtime_checkable
class _Reaping(Reaper, Protocol):
    """A runner whose leftovers can be found."""

    type: str

    def backend(self) -> str: ...


class Backends:
    """Those that need not be told where they are, and those that a request names."""

    def __init__(self, installation: str, node: Node, services: ServicesFactory, *, own_folders: bool) -> None:
        """`own_folders`: the place's own working directories are of jobs alone. Those of workers and their triggers are their own affair."""
        self._installation, self._node, self._services, self._own_folders = installation, node, services, own_folders

    def stock(self, text: str) -> str:
        """Answer a StockAsk with a Stock. A back end that does not answer is told as a trouble."""
        ask = StockAsk.model_validate_json(text)
        troubles: list[Trouble] = []
        stocked: list[Stocked] = []
        removed: list[str] = []
        for runner, secrets in self._runners(ask.known, troubles):
            try:
                stocked += [Stocked(runner=runner.type, backend=runner.backend(), found=found) for found in runner.ls(self._installation)]
                removed += runner.reap(self._installation, _all_but(ask.doomed)) if ask.doomed else ()
            except Exception as err:  # whatever a library raises: the others are asked all the same
                troubles.append(Trouble(backend=runner.backend(), message=secrets.mask(str(err) or type(err).__name__)))
        folders = self._node.folders_of_jobs(own=self._own_folders)
        for key in folders.keys() & ask.doomed:
            for path in folders[key]:
                shutil.rmtree(path, ignore_errors=True)
            removed.append(key)
        return Stock(stocked=tuple(stocked), folders=tuple(folders), removed=tuple(dict.fromkeys(removed)), troubles=tuple(troubles)).model_dump_json()

    def _runners(self, known: Sequence[Dispatch], troubles: list[Trouble]) -> Iterator[tuple[_Reaping, Known]]:
        """One runner for each back end, with the secrets that it was told."""
        seen: set[tuple[type, str]] = set()
        of_machine = ((runner, Known()) for runner in _of_this_machine())
        for runner, secrets in (*of_machine, *self._told(known, troubles)):
            if isinstance(runner, _Reaping) and (type(runner), runner.backend()) not in seen:
                seen.add((type(runner), runner.backend()))
                yield runner, secrets

    def _told(self, known: Sequence[Dispatch], troubles: list[Trouble]) -> Iterator[tuple[TaskRunner, Known]]:
        for dispatch in known:
            secrets = Known()
            try:
                yield built_runner(self._rendered(dispatch, secrets)), secrets
            except OrchestratorError as err:
                troubles.append(Trouble(backend=str(dispatch.spec["backend"]), message=secrets.mask(str(err))))

    def _rendered(self, dispatch: Dispatch, secrets: Known) -> Mapping[str, Any]:
        """The properties as far as they can be rendered without their run: what hangs on its inputs or outputs is left out."""
        renderer = Renderer(RunExpressions(self._services(dispatch), secrets))
        rendered: dict[str, Any] = {}
        for name, value in dict(dispatch.spec["taskRunner"]).items():
            with suppress(ExpressionFailed):
                rendered[name] = renderer.render_any(value, dispatch.context)
        return rendered


def _all_but(doomed: Sequence[str]) -> Callable[[str], bool]:
    """Everything else counts as live, whatever has come since it was looked at."""
    keys = frozenset(doomed)
    return lambda key: key not in keys


def _of_this_machine() -> list[TaskRunner]:
    """One runner of every installed kind that knows its place without being told where."""
    kinds: dict[type[TaskRunner], str] = {}
    for name in registry.types("task_runner"):
        try:
            kind = registry.load("task_runner", name)
        except ImportError:
            continue  # an extra that is not installed has left nothing
        if hasattr(kind, "reap") and not kind.backend_fields:
            kinds.setdefault(kind, name)
    return [kind.model_validate({"type": name}) for kind, name in kinds.items() if _is_enough(kind, name)]


def _is_enough(kind: type[TaskRunner], name: str) -> bool:
    try:
        kind.model_validate({"type": name})
    except ValueError:
        return False  # it must be told where: an account, a region
    return True
