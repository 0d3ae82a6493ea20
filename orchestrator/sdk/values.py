"""How written and rendered values are read by tasks, where that differs from plain YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, TypeAlias, TypeVar

from pydantic import BeforeValidator

from orchestrator.model.values import Json

T = TypeVar("T")


def truthy(value: Json) -> bool:
    """Whether a rendered condition holds: text is false when blank, `false`, or a zero in any writing (`0`, `-0`, `0.0`).

    Source: the conformance facts of `If`.
    """
    if isinstance(value, str):
        text = value.strip()
        return text not in ("", "false") and not _is_zero(text)
    return value is not None and bool(value)


def _is_zero(text: str) -> bool:
    if text[0] not in "+-.0" or len(text) > 50:
        return False
    try:
        return float(text) == 0
    except ValueError:
        return False


def text_of(value: Json) -> str:
    """A value as text: text itself, everything else as compact JSON (`true`, `1`, `{"key":"value"}`)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _scalar_as_text(value: object) -> object:
    return text_of(value) if isinstance(value, bool | int | float) else value


def _json_inside(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as err:
        raise ValueError(f"`{value[:80]}` is not JSON: {err}") from err


Text: TypeAlias = Annotated[str, BeforeValidator(_scalar_as_text)]
"""Text; a number or boolean is written out (`1` may stand where `"1"` is meant)."""

Parsed: TypeAlias = Annotated[T, BeforeValidator(_json_inside)]
"""`Parsed[Mapping[str, Text]]`: a map, or text that holds it as JSON (what a template of a whole map renders to)."""


def text_map(value: Mapping[str, Json]) -> Mapping[str, str]:
    """Every value as text; null gives empty text."""
    return {key: "" if one is None else text_of(one) for key, one in value.items()}
