"""What running work asks of the server, with the token of its execution: outputs, secrets, keys, logs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.errors import BadSettings, NotFound
from orchestrator.lang.sealing import Sealer
from orchestrator.model import internal_paths
from orchestrator.model.values import Json
from orchestrator.runtime.requests import DeleteKeys, ExecutionAction, PutKey
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_object
from orchestrator.server.lookups import error_logs
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument
from orchestrator.server.routes.keys import above, checked, key_value, living
from orchestrator.server.run_grants import flow_of

router = APIRouter()


@router.get(internal_paths.OUTPUTS, response_model=None)
async def outputs(request: Request, execution_id: str, task_id: str) -> Response:
    return answers.made(await parts_of(request).executor.act(ExecutionAction(execution_id=execution_id, verb="outputs", args={"task_id": task_id})))


@router.post(internal_paths.OPEN, response_model=None)
async def open_sealed(request: Request, execution_id: str) -> Response:
    sealed = (await json_object(request)).get("sealed")
    if not isinstance(sealed, list):
        raise BadArgument("`sealed` is a list")
    sealer = sealer_of(parts_of(request))
    return answers.made({"values": [sealer.open_all(value) for value in sealed]})


@router.post(internal_paths.SEAL, response_model=None)
async def seal(request: Request, execution_id: str) -> Response:
    text = (await json_object(request)).get("text")
    if not isinstance(text, str):
        raise BadArgument("`text` is a text")
    return answers.made({"sealed": sealer_of(parts_of(request)).seal(text)})


@router.get(internal_paths.SECRET, response_model=None)
async def secret(request: Request, execution_id: str) -> Response:
    key = Asked(request).required("key")
    try:
        text = parts_of(request).settings.secret(key)
    except BadSettings as err:
        raise BadArgument(str(err)) from err
    if text is None:
        raise NotFound(f"Cannot find secret for key '{key}'.")
    return answers.made({"value": text})


@router.get(internal_paths.ERROR_LOGS, response_model=None)
async def logged_errors(request: Request, execution_id: str) -> Response:
    return answers.made(await slowly(lambda: error_logs(parts_of(request), execution_id)))


@router.get(internal_paths.KEYS, response_model=None)
async def keys(request: Request, execution_id: str, namespace: str) -> Response:
    return answers.made([entry.key for entry in await slowly(lambda: living(parts_of(request), namespace))])


@router.get(internal_paths.KEY, response_model=None)
async def key_get(request: Request, execution_id: str, namespace: str, key: str) -> Response:
    return answers.made({"value": key_value(parts_of(request), namespace, key).value})


@router.put(internal_paths.KEY, response_model=None)
async def key_put(request: Request, execution_id: str, namespace: str, key: str) -> Response:
    body = await json_object(request)
    ttl: Json = body.get("ttl")
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int | float) or ttl <= 0):
        raise BadArgument("`ttl` is a number of seconds")
    parts = parts_of(request)
    own, _ = flow_of(request, execution_id)
    await slowly(lambda: check_namespace(parts, own, namespace))
    more = {"description": body.get("description"), "overwrite": body.get("overwrite", True) is not False}
    await parts.executor.put_key(PutKey(namespace=namespace, key=checked(key), value=body.get("value"), ttl_seconds=ttl, **more))
    return answers.empty(204)


@router.delete(internal_paths.KEY, response_model=None)
async def key_delete(request: Request, execution_id: str, namespace: str, key: str) -> Response:
    return answers.made({"deleted": bool(await parts_of(request).executor.delete_keys(DeleteKeys(namespace=namespace, keys=(key,))))})


def check_namespace(parts: Parts, own: str, namespace: str) -> None:
    """Raises NotFound for a namespace that is neither the run's own, nor above it, nor one that holds a flow."""
    if namespace in above(own):
        return
    if not any(namespace in above(known) for known in parts.reader.namespaces()):
        raise NotFound(f"The namespace '{namespace}' does not exist")


def sealer_of(parts: Parts) -> Sealer:
    """The sealer of this server's key. Raises BadSettings when it has none."""
    key = parts.settings.encryption_key()
    if key is None:
        raise BadSettings("values cannot be encrypted: set ORCHESTRATOR_ENCRYPTION_SECRET_KEY to the base64 of 32 bytes")
    return Sealer(key)
