"""Multipart bodies, read as they come: texts are kept in memory with a bound, files go to blobs."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from orchestrator.server.problems import BadBody
from orchestrator.store.blobs import Blobs, Draft

MAX_TEXT = 16 << 20  # bytes of all text parts together
MAX_PARTS = 5000


@dataclass(frozen=True)
class Upload:
    """A part with a file name, already kept as a blob."""

    part: str
    name: str
    blob: str
    size: int


@dataclass
class Form:
    """What a form held."""

    texts: dict[str, str] = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)


async def read_form(request: Request, blobs: Blobs) -> Form:
    """The request's form; empty when there is no body or one of another type. Raises BadBody when it is broken."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"application/x-www-form-urlencoded":
        return Form(texts=dict(parse_qsl((await read_body(request)).decode("utf-8", "replace"), keep_blank_values=True)))
    if kind != b"multipart/form-data":
        return Form()
    if not (boundary := options.get(b"boundary")):
        raise BadBody("the form names no boundary")
    with ExitStack() as drafts:
        return await _Reading(blobs, drafts).read(request, boundary)


async def read_body(request: Request, limit: int = MAX_TEXT) -> bytes:
    """The whole body. Raises BadBody when it is longer than `limit` bytes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BadBody(f"the body is longer than {limit >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


class _Reading:
    """One form on its way in: the parser calls back for every stretch of it."""

    def __init__(self, blobs: Blobs, drafts: ExitStack) -> None:
        self._blobs = blobs
        self._drafts = drafts
        self._form = Form()
        self._parts = self._held = 0
        self._finished = False
        self._header_name = self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._text = bytearray()
        self._draft: Draft | None = None
        self._part = self._file_name = ""
        self._ended: list[tuple[str, str, Draft]] = []

    async def read(self, request: Request, boundary: bytes) -> Form:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._name,
                "on_header_value": self._value,
                "on_header_end": self._header,
                "on_headers_finished": self._opened,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._all,
            },
        )
        try:
            async for chunk in request.stream():
                parser.write(chunk)
            parser.finalize()
        except FormParserError as err:
            raise BadBody(f"the form is broken: {err}") from err
        if self._parts and not self._finished:
            raise BadBody("the form ends before its last boundary")
        for part, name, draft in self._ended:
            self._form.uploads.append(Upload(part, name, *await asyncio.to_thread(draft.keep)))
        return self._form

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadBody(f"the form has more than {MAX_PARTS} parts")
        self._headers, self._text, self._draft = {}, bytearray(), None
        self._header_name = self._header_value = b""

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _opened(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise BadBody("a part of the form has no name")
        self._part = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            self._file_name = options[b"filename"].decode("utf-8", "replace")
            self._draft = self._drafts.enter_context(self._blobs.draft())

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._draft is not None:
            return self._draft.write(data[start:end])
        self._held += end - start
        if self._held > MAX_TEXT:
            raise BadBody(f"the form's texts are longer than {MAX_TEXT >> 20} MiB; send a file with a file name")
        self._text += data[start:end]

    def _end(self) -> None:
        if self._draft is not None:
            self._ended.append((self._part, self._file_name, self._draft))
        else:
            self._form.texts[self._part] = self._text.decode("utf-8", "replace")

    def _all(self) -> None:
        self._finished = True
