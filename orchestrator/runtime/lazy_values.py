"""Variables that are completed when they are read: outputs fetched on a miss, sealed texts opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.errors import ExpressionFailed, NotFound, OrchestratorError
from orchestrator.lang.sealing import is_sealed
from orchestrator.model.values import Json
from orchestrator.runtime.reaching import Known
from orchestrator.runtime.services import Services


class Whole:
    """The whole outputs of one task, fetched at most once."""

    def __init__(self, fetch: Callable[[], Mapping[str, Json]]) -> None:
        self._fetch, self._lock = fetch, threading.Lock()
        self._tree: Mapping[str, Json] | None = None

    def tree(self) -> Mapping[str, Json]:
        with self._lock:
            if self._tree is None:
                try:
                    self._tree = self._fetch()
                except NotFound:
                    self._tree = {}
                except OrchestratorError as err:
                    raise ExpressionFailed(f"outputs cannot be read: {err}") from err
            return self._tree

    def at(self, path: tuple[str, ...]) -> Mapping[str, Json]:
        """The part under a path of keys; empty when there is none."""
        part: Json = self.tree()
        for key in path:
            part = part.get(key) if isinstance(part, Mapping) else None
        return part if isinstance(part, Mapping) else {}


class PartialOutputs(Mapping[str, Any]):
    """Outputs of which only those near are here; a missing key, or going through all, fetches the whole tree."""

    def __init__(self, near: Mapping[str, Json], whole: Whole, path: tuple[str, ...] = ()) -> None:
        self._near, self._whole, self._path = near, whole, path

    def __getitem__(self, key: str) -> Any:
        if key not in self._near:
            return self._whole.at(self._path)[key]
        value = self._near[key]
        return PartialOutputs(value, self._whole, (*self._path, key)) if isinstance(value, Mapping) and not is_sealed(value) else value

    def _all(self) -> Mapping[str, Json]:
        return self._whole.at(self._path) or self._near

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class Opened(Mapping[str, Any]):
    """A map whose sealed texts are opened when they are read, and known from then on as secrets."""

    def __init__(self, inner: Mapping[str, Any], opener: Opener) -> None:
        self._inner, self._opener = inner, opener

    def __getitem__(self, key: str) -> Any:
        return self._opener.value(self._inner[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)


class Opener:
    """Opens sealed texts of one run, each once."""

    def __init__(self, services: Services, known: Known) -> None:
        self._services, self._known = services, known
        self._texts: dict[str, str] = {}

    def value(self, value: Any) -> Any:
        if isinstance(value, PartialOutputs):
            return Opened(value, self)  # to ask it whether it is sealed would fetch it whole
        if is_sealed(value):
            return self._open(value)
        if isinstance(value, Mapping):
            return Opened(value, self)
        return [self.value(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value

    def _open(self, sealed: Mapping[str, Json]) -> str:
        cipher = str(sealed["value"])
        if cipher not in self._texts:
            try:
                (self._texts[cipher],) = self._services.open_sealed([dict(sealed)])
            except OrchestratorError as err:
                raise ExpressionFailed(f"an encrypted value cannot be read: {err}") from err
            self._known.add(self._texts[cipher])
        return self._texts[cipher]


def completed(context: Mapping[str, Json], partial: Sequence[str], services: Services, known: Known, *, sealed: bool) -> Mapping[str, Any]:
    """A dispatch's context as templates see it; `sealed` when something in it may be. Costs nothing where nothing is partial or sealed."""
    variables: Mapping[str, Any] = context
    if partial:
        near = context.get("outputs")
        outputs = dict(near) if isinstance(near, Mapping) else {}
        for task_id in partial:
            outputs[task_id] = PartialOutputs(outputs.get(task_id) or {}, Whole(lambda task_id=task_id: services.outputs(task_id)))  # type: ignore[misc]
        variables = {**context, "outputs": outputs}
    if partial or sealed:
        return Opened(variables, Opener(services, known))
    return variables
