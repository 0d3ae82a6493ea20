"""Downloading a file over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, RunContext, TaskFailed
from orchestrator_plugins.core.http import SHOWN, Call, headers_of
from orchestrator_plugins.core.rows import folder_of
from orchestrator_plugins.core.waiting import until_stopped

if TYPE_CHECKING:
    import httpx


class Download(Call):
    """Download a file to the internal storage; the outputs are its `uri` and `length`, and the answer's `code` and `headers`."""

    fail_on_empty_response: Dynamic[bool] = Field(True, description="Whether the task fails when nothing comes.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        with folder_of(ctx) as folder:
            answer = until_stopped(ctx, self._fetch(ctx, folder / "body"))
            length = (folder / "body").stat().st_size
            if not length and ctx.render(self.fail_on_empty_response):
                raise TaskFailed("No response from server")
            uri = ctx.files.put(folder / "body", _name(answer))
        return {"code": answer.status_code, "uri": uri, "length": length, "headers": headers_of(answer)}

    async def _fetch(self, ctx: RunContext, to: Path) -> httpx.Response:
        import httpx

        uri = ctx.render(self.uri)
        try:
            async with (
                httpx.AsyncClient(**self.client_options(ctx)) as client,
                client.stream(ctx.render(self.method).upper(), uri, **self.content(ctx)) as answer,
            ):
                if not self.allows(ctx, answer.status_code):
                    raise TaskFailed(await _refusal(answer))
                with to.open("wb") as out:
                    async for chunk in answer.aiter_bytes():
                        out.write(chunk)
                return answer
        except (httpx.HTTPError, httpx.InvalidURL) as err:
            raise TaskFailed(f"download of '{uri}' failed: {err or type(err).__name__}") from err


async def _refusal(answer: httpx.Response) -> str:
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) >= SHOWN:
            break
    shown = body[:SHOWN].decode(errors="replace")
    return f"Failed http request with response code '{answer.status_code}' ({answer.reason_phrase}) and body:\n{shown}"


def _name(answer: httpx.Response) -> str:
    """The name that the server gives the file, else the last word of the address; never a folder."""
    told = Message()
    told["content-disposition"] = answer.headers.get("content-disposition", "")
    name = told.get_filename() or unquote(urlsplit(str(answer.url)).path)
    return PurePosixPath(name.replace("\\", "/")).name or "download"
