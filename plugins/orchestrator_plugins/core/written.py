"""The several ways in which users may write one thing."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestrator.sdk import Json, TaskFailed, text_of

STORED = "kestra://"


def words(value: Json) -> list[str]:
    """Texts given as a list, as text holding a JSON list, or as one text; null is none of them. Raises TaskFailed."""
    value = parsed(value)
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [text_of(one) for one in value]
    raise TaskFailed(f"a list is needed here, not {text_of(value)[:100]}")


def parsed(value: Json) -> Json:
    """A map or list, also one given as text holding its JSON; other text as it is. Raises TaskFailed for broken JSON."""
    if not isinstance(value, str) or not value.strip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except ValueError as err:
        raise TaskFailed(f"`{value[:100]}` is not JSON: {err}") from err


def text_by_name(value: Json) -> dict[str, str]:
    """A map of texts. Raises TaskFailed for anything else."""
    value = parsed(value)
    if not isinstance(value, Mapping):
        raise TaskFailed(f"a map is needed here, not {text_of(value)[:100]}")
    return {str(key): text_of(one) for key, one in value.items()}
