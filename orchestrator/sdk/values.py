"""How rendered text is read by tasks that decide on it."""

from __future__ import annotations

from orchestrator.model.values import Json


def truthy(value: Json) -> bool:
    """Whether a rendered condition holds: text is false when blank, `false`, or a zero in any writing (`0`, `-0`, `0.0`).

    Source: the conformance facts of `If`.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if text in {"", "false", "null"}:
            return False
        try:
            return float(text) != 0
        except ValueError:
            return True
    return bool(value)
