"""Saving a flow whether it is there already or not."""

from __future__ import annotations

from orchestrator.lang.source import parse_yaml
from orchestrator.runtime.requests import SaveFlow
from orchestrator.server.parts import Parts
from orchestrator.store.port import SavedFlow


async def save_flow(parts: Parts, source: str) -> SavedFlow:
    """The flow as saved, made or replaced. Raises FlowInvalid."""
    return await parts.executor.save_flow(SaveFlow(source=source, update=_is_there(parts, source)))


def _is_there(parts: Parts, source: str) -> bool:
    try:
        value = parse_yaml(source)
    except ValueError:
        return False  # saving it says what is wrong
    if not isinstance(value, dict):
        return False
    return parts.reader.flow(str(value.get("namespace")), str(value.get("id"))) is not None
