"""Whether a rendered condition holds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from orchestrator.lang.functions.printing import is_list


def truthy(value: Any) -> bool:
    """The truth of an `If`, `runIf` or condition, mostly a rendered text: false are null, empty, `false` and zero in any form (`0`, `-0`, `0.0`)."""
    if isinstance(value, str):
        text = value.strip()
        return text not in ("", "false", "0", "-0") and not _is_zero(text)
    if isinstance(value, Mapping) or is_list(value):
        return bool(value)
    return value is not None and bool(value)


def _is_zero(text: str) -> bool:
    if text[0] not in "+-.0" or len(text) > 50:
        return False
    try:
        return Decimal(text) == 0
    except InvalidOperation:
        return False
