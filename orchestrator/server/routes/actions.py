"""What can be done to one execution."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, ExpressionFailed, Refused
from orchestrator.lang.expressions import Renderer
from orchestrator.lang.inputs import validate_declared
from orchestrator.model.flow import Input
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.runtime.requests import ExecutionAction
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_object
from orchestrator.server.forms import read_body, read_form
from orchestrator.server.labels import labels_body
from orchestrator.server.lookups import Lookups
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.paths import ACTIONS
from orchestrator.server.problems import BadArgument, BadRequest
from orchestrator.server.routes.executions import found_execution, given, shown

router = APIRouter(prefix="/api/v1/executions/{execution_id}")


@router.delete("/kill", response_model=None)
async def kill(request: Request, execution_id: str) -> Response:
    args = {"cascade": Asked(request).flag("isOnKillCascade", default=True)}
    return await _acted(request, execution_id, "kill", args, status=202)


@router.post("/resume", response_model=None)
async def resume(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    declared = await asked_on_resume(parts, execution_id)
    values, files = await given(request, parts, lambda: declared)
    args = {"inputs": values, "files": {name: file.model_dump() for name, file in files.items()}}
    try:
        answer = await _acted(request, execution_id, "resume", args)
    except (Refused, Conflict):  # it was not taken: nothing else knows of these bytes
        for file in files.values():
            parts.blobs.remove(file.blob)
        raise
    return answer if request.scope.get(ACTIONS) else answers.empty(204)


@router.post("/resume/validate", response_model=None)
async def validate_resume(request: Request, execution_id: str) -> Response:
    """What the values of a form would be on resume, and what is wrong with each; nothing goes on."""
    parts = parts_of(request)
    declared = await asked_on_resume(parts, execution_id)
    values, files = await given(request, parts, lambda: declared)
    for file in files.values():
        parts.blobs.remove(file.blob)
    execution = found_execution(parts, execution_id)
    variables = {"flow": {"id": execution.flow_id, "namespace": execution.namespace}, "execution": {"id": execution_id}, "inputs": dict(execution.inputs)}
    names = {name: file.name for name, file in files.items()}
    found = await slowly(lambda: validate_declared(declared, values, names, renderer=Renderer(Lookups(parts)), variables=variables))
    return answers.made({"id": execution.flow_id, "namespace": execution.namespace, "inputs": found})


async def asked_on_resume(parts: Parts, execution_id: str) -> tuple[Input, ...]:
    """The inputs that a paused execution asks for. Raises NotFound, Conflict when it is not paused."""
    found_execution(parts, execution_id)
    told = await parts.executor.act(ExecutionAction(execution_id=execution_id, verb="resume-inputs"))
    return tuple(Input.model_validate(raw) for raw in told["inputs"])


@router.post("/pause", response_model=None)
async def pause(request: Request, execution_id: str) -> Response:
    return await _acted(request, execution_id, "pause")


@router.post("/restart", response_model=None)
async def restart(request: Request, execution_id: str) -> Response:
    return await _acted(request, execution_id, "restart", {"revision": Asked(request).number("revision")})


@router.post("/replay", response_model=None)
async def replay(request: Request, execution_id: str) -> Response:
    return await _acted(request, execution_id, "replay", replay_args(Asked(request)))


@router.post("/replay-with-inputs", response_model=None)
async def replay_with_inputs(request: Request, execution_id: str) -> Response:
    args = replay_args(Asked(request)) | dict(await _form_args(request, execution_id))
    return await _acted(request, execution_id, "replay", args)


@router.post("/state", response_model=None)
async def state(request: Request, execution_id: str) -> Response:
    body = await json_object(request)
    run, wanted = body.get("taskRunId"), str(body.get("state", "")).upper()
    if not isinstance(run, str) or wanted not in State.__members__:
        raise BadArgument("`taskRunId` and a `state` are needed")
    return await _acted(request, execution_id, "state", {"task_run_id": run, "state": wanted})


@router.post("/change-status", response_model=None)
async def change_status(request: Request, execution_id: str) -> Response:
    return await _acted(request, execution_id, "change-status", {"status": ended_state(Asked(request), "status")})


@router.post("/labels", response_model=None)
async def labels(request: Request, execution_id: str) -> Response:
    if not found_execution(parts_of(request), execution_id).current.ended:
        raise BadRequest("The execution is not terminated")
    return await _acted(request, execution_id, "labels", {"labels": await labels_body(request)})


@router.post("/eval", response_model=None)
@router.post("/eval/{task_run_id}", response_model=None)
async def evaluate(request: Request, execution_id: str, task_run_id: str | None = None) -> Response:
    """A template rendered as the execution, or one of its task runs, would; a bad one is an answer too."""
    expression = (await read_body(request)).decode("utf-8", "replace")
    found_execution(parts_of(request), execution_id)
    try:
        args = {"expression": expression, "task_run_id": task_run_id}
        return answers.made(await parts_of(request).executor.act(ExecutionAction(execution_id=execution_id, verb="eval", args=args)))
    except ExpressionFailed as err:
        return answers.made({"error": str(err), "stackTrace": str(err)})


@router.post("/force-run", response_model=None)
async def force_run(request: Request, execution_id: str) -> Response:
    return await _acted(request, execution_id, "force-run")


@router.post("/unqueue", response_model=None)
async def unqueue(request: Request, execution_id: str) -> Response:
    return await _acted(request, execution_id, "unqueue", {"state": Asked(request).text("state")})


def replay_args(asked: Asked) -> dict[str, Json]:
    """From which task run, and at which revision of the flow."""
    return {"task_run_id": asked.text("taskRunId"), "revision": asked.number("revision"), "latest": asked.flag("latestRevision", default=False)}


def ended_state(asked: Asked, name: str) -> str:
    """The state asked for. Raises BadArgument for one in which an execution goes on."""
    found = asked.word(name, State)
    if found is None or not found.ended:
        raise BadArgument(f"`{name}` is a state in which an execution has ended")
    return found.value


async def _form_args(request: Request, execution_id: str) -> Mapping[str, Json]:
    """Inputs and files of a form, for the executor to read by its own declarations."""
    parts = parts_of(request)
    found_execution(parts, execution_id)
    form = await read_form(request, parts.blobs)
    files = {
        (upload.part if upload.part != "files" else upload.name): {"name": upload.name, "blob": upload.blob, "size": upload.size} for upload in form.uploads
    }
    return {"inputs": dict(form.texts), "files": files}


async def _acted(request: Request, execution_id: str, verb: str, args: Mapping[str, Json] | None = None, *, status: int = 200) -> Response:
    """Do it, and show the execution: as the action left it where it says so, else as it is now."""
    parts = parts_of(request)
    found_execution(parts, execution_id)
    answer = await parts.executor.act(ExecutionAction(execution_id=execution_id, verb=verb, args=args or {}))
    if isinstance(answer, dict) and "state" in answer:
        return answers.made(answer, status)  # it may have gone on since
    named = answer.get("id") if isinstance(answer, dict) else None
    return shown(parts, named if isinstance(named, str) else execution_id, status)
