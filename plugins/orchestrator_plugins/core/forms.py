"""What a form sends, in the two ways that HTTP knows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.sdk import Json, RunContext, text_of

STORED = "kestra://"


def encoded_form(form: Mapping[str, Json]) -> dict[str, Any]:
    """The arguments of a request for a url-encoded form."""
    return {"data": {name: text_of(value) for name, value in form.items()}}


def multipart_form(form: Mapping[str, Json], ctx: RunContext) -> dict[str, Any]:
    """The arguments of a request for a multipart form: a stored file's URI, or `{content, name}`, sends a file."""
    return {"files": [(name, _part(value, ctx)) for name, value in form.items()]}


def _part(value: Json, ctx: RunContext) -> tuple[Any, ...]:
    if isinstance(value, Mapping) and "content" in value:
        uri = text_of(value["content"])
        return (text_of(value.get("name") or Path(uri).name), _content(uri, ctx))
    text = text_of(value)
    return (Path(text).name, _content(text, ctx)) if text.startswith(STORED) else (None, text)


def _content(text: str, ctx: RunContext) -> bytes:
    if not text.startswith(STORED):
        return text.encode()
    with tempfile.TemporaryDirectory() as folder:
        ctx.files.fetch(text, Path(folder) / "part")
        return (Path(folder) / "part").read_bytes()
