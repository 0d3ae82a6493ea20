"""Answers as bytes: stored JSON is passed on unparsed, made JSON is written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from orchestrator.model.values import Json

JSON = "application/json"


def stored(text: str, status: int = 200) -> Response:
    """JSON text as it was stored."""
    return Response(text, status, media_type=JSON)


def made(value: Json, status: int = 200) -> Response:
    """A value as JSON; models in it are written by alias, absent instead of null. Nulls of plain maps are kept: see `present`."""
    return Response(to_json(value, by_alias=True, exclude_none=True, inf_nan_mode="null"), status, media_type=JSON)


def present(value: Json) -> Json:
    """A map without its absent values."""
    return {name: held for name, held in value.items() if held is not None}


def page(rows: Iterable[str], total: int, more: str = "") -> Response:
    """PagedResults of JSON texts."""
    return stored(f'{{"results":[{",".join(rows)}],"total":{total}{more}}}')


def texts(rows: Sequence[BaseModel]) -> list[str]:
    """Each row as its JSON text."""
    return [row.model_dump_json(by_alias=True, exclude_none=True) for row in rows]


def listing(rows: Iterable[str]) -> Response:
    """A bare list of JSON texts."""
    return stored(f"[{','.join(rows)}]")


def empty(status: int = 200) -> Response:
    """An answer without a body."""
    return Response(b"", status)
