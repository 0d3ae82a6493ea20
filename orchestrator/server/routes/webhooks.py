"""Calls of triggers' addresses: whoever calls starts an execution."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping

from fastapi import APIRouter, Request, Response

from orchestrator.model.new_ids import new_id
from orchestrator.model.values import Json
from orchestrator.runtime.requests import CallWebhook
from orchestrator.server import answers
from orchestrator.server.forms import read_body
from orchestrator.server.parts import Parts, parts_of

router = APIRouter(prefix="/api/v1/executions/webhook")
UNKEPT = ("authorization", "proxy-authorization", "cookie")  # what opens doors is for conditions to look at, and never kept


@router.api_route("/{namespace}/{flow_id}/{key}", methods=["GET", "POST", "PUT"], response_model=None)
@router.api_route("/{namespace}/{flow_id}/{key}/{path:path}", methods=["GET", "POST", "PUT"], response_model=None)
async def call(request: Request, namespace: str, flow_id: str, key: str, path: str | None = None) -> Response:
    """The execution it started, or at its end its outputs; 204 when the trigger's conditions say no."""
    parts, body = parts_of(request), read_text(await read_body(request))
    headers = _lists(request.headers.items())
    kept = {name: values for name, values in headers.items() if name not in UNKEPT}
    variables: dict[str, Json] = {"headers": kept, "parameters": _lists(request.query_params.multi_items())}
    variables |= {name: value for name, value in (("body", body), ("path", path)) if value is not None}
    seen = {"headers": kept if parts.settings.api_token else headers}  # with a login, what opens doors is the login itself
    wanted = CallWebhook(namespace=namespace, flow_id=flow_id, key=key, execution_id=new_id(), variables=variables, seen=seen)
    return _answer(parts, await parts.executor.call_webhook(wanted))


def read_text(content: bytes) -> Json:
    """A body as templates see it: a JSON map or list as such, other text as text, what is no text in base64; None when it is empty."""
    if not content:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict | list) else text


def _lists(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _answer(parts: Parts, told: Json) -> Response:
    execution = told["execution"]
    if execution is None:
        return answers.empty(204)
    failed = told["wait"] and execution["state"]["current"] == "FAILED"
    status = told["code"] or (500 if failed else 200)
    if not told["outputs"]:
        url = f"{parts.settings.url}/ui/executions/{execution['namespace']}/{execution['flowId']}/{execution['id']}"
        return answers.made({**execution, "url": url}, status)
    outputs = execution.get("outputs") or {}
    if told["type"] == "text/plain":
        only = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        return Response(only if isinstance(only, str) else json.dumps(only), status, media_type="text/plain")
    return answers.made(outputs, status)
