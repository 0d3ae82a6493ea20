"""From an error to its HTTP answer: the only place that knows status codes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from orchestrator import errors
from orchestrator.model.values import Json
from orchestrator.server.answers import made

log = logging.getLogger(__name__)


class BadRequest(errors.Refused):
    """A query parameter that is needed is missing."""

    code = "bad-request"


class BadArgument(errors.Refused):
    """A parameter or property holds a value that cannot be used."""

    code = "bad-argument"


class BadBody(errors.Refused):
    """The body is missing or cannot be read."""

    code = "bad-body"


class Gone(errors.NotFound):
    """What was named was there, and has expired."""

    code = "gone"


class Ineligible(errors.Refused):
    """A bulk action was asked for things that do not allow it; nothing was done. `invalid` holds (id, why) of each."""

    code = "ineligible"

    def __init__(self, action: str, invalid: list[tuple[str, str]]) -> None:
        super().__init__(f"invalid bulk {action}")
        self.invalid = invalid


# The most special class comes first.
_STATUS: tuple[tuple[type[errors.OrchestratorError], int, str], ...] = (
    (BadRequest, 400, "Bad Request: "),
    (Ineligible, 400, ""),
    (BadBody, 422, "Invalid json: "),
    (BadArgument, 422, "Illegal argument: "),
    (Gone, 410, "Resource has expired: "),
    (errors.NotAllowed, 403, "Forbidden: "),
    (errors.NotFound, 404, "Not Found: "),
    (errors.Conflict, 409, "Illegal state: "),
    (errors.FlowInvalid, 422, "Invalid entity: "),
    (errors.InputInvalid, 422, "Invalid entity: "),
    (errors.ExpressionFailed, 422, "Illegal argument: "),
    (errors.Refused, 422, "Illegal argument: "),
    (errors.Unavailable, 503, "Unavailable: "),
    (errors.TaskFailed, 422, "Illegal argument: "),
)


def install(app: FastAPI) -> None:
    """Have the application answer every error in the API's own form."""
    app.add_exception_handler(errors.OrchestratorError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unread)
    app.add_exception_handler(Exception, _bug)


def answer(path: str, error: errors.OrchestratorError) -> Response:
    """The answer to an error raised on purpose."""
    status, prefix = next(((status, prefix) for kind, status, prefix in _STATUS if isinstance(error, kind)), (500, "Internal server error: "))
    said = str(error)
    body = problem(path, said if said.startswith(prefix.rstrip(": ")) else prefix + said)
    body["code"] = error.code
    if isinstance(error, errors.FlowInvalid):
        body |= _violations(error)
    elif isinstance(error, errors.InputInvalid):
        body["_embedded"] = {"errors": [_split(said)]}
    elif isinstance(error, Ineligible):
        body["invalids"] = [{"message": why, "invalidValue": name} for name, why in error.invalid]
    return made(body, status)


def problem(path: str, message: str) -> dict[str, Json]:
    """The API's error body."""
    return {"message": message, "_links": {"self": [{"href": path, "templated": False}]}}


def _violations(error: errors.FlowInvalid) -> dict[str, Json]:
    found = [_data(d) for d in error.diagnostics]
    return {
        "_embedded": {"errors": [{"message": d.get("message", ""), "path": d.get("path", "")} for d in found] or [_split(str(error))]},
        "diagnostics": found,
    }


def _data(diagnostic: object) -> Mapping[str, Any]:
    if isinstance(diagnostic, BaseModel):
        return diagnostic.model_dump(mode="json")
    return diagnostic if isinstance(diagnostic, Mapping) else {"message": str(diagnostic)}


def _split(message: str) -> dict[str, Json]:
    path, colon, rest = message.partition(": ")
    return {"message": rest, "path": path} if colon and " " not in path else {"message": message}


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.OrchestratorError)
    found = answer(request.url.path, error)
    if found.status_code >= 500:
        log.warning("request_failed path=%s error=%s", request.url.path, error)
    return found


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = "Not Found" if error.status_code == 404 else str(error.detail)
    found = made(problem(request.url.path, said), error.status_code)
    found.headers.update(error.headers or {})
    return found


async def _unread(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return made(problem(request.url.path, f"Illegal argument: {error.errors()[0]['msg']}"), 422)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("request_crashed path=%s", request.url.path, exc_info=error)
    return made(problem(request.url.path, f"Internal server error: {type(error).__name__}"), 500)
