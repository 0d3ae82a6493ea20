"""Executions: start, read, find, remove."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from fastapi import APIRouter, Request, Response

from orchestrator.errors import NotFound, Refused
from orchestrator.lang.expressions import Renderer
from orchestrator.lang.inputs import validate_each
from orchestrator.model.execution import Execution
from orchestrator.model.flow import Input
from orchestrator.model.new_ids import new_id
from orchestrator.model.values import Json, format_instant
from orchestrator.runtime.requests import CreateExecution, ExecutionAction, FileGiven
from orchestrator.server import answers, filters, segments, shapes
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_body
from orchestrator.server.forms import Form, Upload, read_form
from orchestrator.server.lookups import Lookups
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument, BadBody
from orchestrator.server.routes.flows import found_flow, names
from orchestrator.store.port import Condition, Page

router = APIRouter(prefix="/api/v1/executions")
segments.register()
words = APIRouter(prefix="/api/v1/executions")  # fixed words: routed before any id
busy = APIRouter(prefix="/api/v1/executions")  # what is asked most: routed first, by segments that leave fixed words alone


@words.get("/search", response_model=None)
async def search(request: Request) -> Response:
    asked = Asked(request)
    return await _page(parts_of(request), filters.conditions(asked, filters.EXECUTIONS), asked)


@words.get("", response_model=None)
async def of_flow(request: Request) -> Response:
    asked = Asked(request)
    exact = [Condition(name, "EQUALS", asked.required(name)) for name in ("namespace", "flowId")]
    return await _page(parts_of(request), exact, asked)


async def _page(parts: Parts, conditions: list[Condition] | tuple[Condition, ...], asked: Asked) -> Response:
    page = asked.page()
    found = await slowly(lambda: parts.reader.executions_json(conditions, page))
    return answers.page(found.rows, found.total)


@words.get("/namespaces", response_model=None)
async def namespaces(request: Request) -> Response:
    return answers.made(await slowly(parts_of(request).reader.namespaces))


@words.get("/namespaces/{namespace}/flows", response_model=None)
async def startable(request: Request, namespace: str) -> Response:
    found = await slowly(lambda: parts_of(request).reader.flows([Condition("namespace", "EQUALS", namespace)]))
    return answers.made([shapes.flow_for_execution(saved) for saved in found.rows if not saved.flow.disabled])


@words.get("/flows/{namespace}/{flow_id}", response_model=None)
async def flow_to_start(request: Request, namespace: str, flow_id: str) -> Response:
    return answers.made(shapes.flow_for_execution(found_flow(parts_of(request), namespace, flow_id, Asked(request).number("revision"))))


@words.post("/latest", response_model=None)
async def latest(request: Request) -> Response:
    """The newest execution of each flow named."""
    wanted = names(await json_body(request))
    return answers.made(await slowly(lambda: [last for name in wanted if (last := _latest(parts_of(request), *name))]))


def _latest(parts: Parts, namespace: str, flow_id: str) -> Json:
    found = parts.reader.executions([Condition("namespace", "EQUALS", namespace), Condition("flowId", "EQUALS", flow_id)], Page(1, 1)).rows
    return None if not found else _brief(found[0])


def _brief(execution: Execution) -> Json:
    return {
        "id": execution.id,
        "flowId": execution.flow_id,
        "namespace": execution.namespace,
        "startDate": format_instant(execution.state.start),
        "status": execution.current.value,
    }


@router.get("/{execution_id}/flow", response_model=None)
async def flow(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    execution = found_execution(parts, execution_id)
    return answers.made(shapes.flow_for_execution(found_flow(parts, execution.namespace, execution.flow_id, execution.flow_revision, deleted=True)))


@busy.get("/{execution_id:execution}", response_model=None)
async def get(request: Request, execution_id: str) -> Response:
    return shown(parts_of(request), execution_id)


@router.delete("/{execution_id}", response_model=None)
async def delete(request: Request, execution_id: str) -> Response:
    asked = Asked(request)
    await delete_one(parts_of(request), execution_id, what_goes(asked))
    return answers.empty(204)


def what_goes(asked: Asked) -> Mapping[str, Json]:
    """What is deleted along with an execution: all of it unless told otherwise."""
    return {name: asked.flag(f"delete{name.title()}", default=True) for name in ("logs", "metrics", "storage")}


async def delete_one(parts: Parts, execution_id: str, what: Mapping[str, Json]) -> None:
    """Delete an execution; the bytes of its files go after the commit."""
    files = parts.reader.files("execution", execution_id) if what["storage"] else ()
    await parts.executor.act(ExecutionAction(execution_id=execution_id, verb="delete", args=what))
    for file in files:
        if file.blob:
            parts.blobs.remove(file.blob)


@words.post("/trigger/{namespace}/{flow_id}", response_model=None)
@busy.post("/{namespace}/{flow_id:flow}", response_model=None)
async def create(request: Request, namespace: str, flow_id: str) -> Response:
    """Start a flow: the answer is its execution at its creation, or with `wait` at its end."""
    asked, parts = Asked(request), parts_of(request)
    wanted = await _wanted(request, asked, parts, namespace, flow_id)
    try:
        text = await parts.executor.create_execution(wanted)
    except Refused:  # nothing was made: nothing else knows of these bytes
        for file in wanted.files.values():
            parts.blobs.remove(file.blob)
        raise
    return answers.stored(with_url(parts, namespace, flow_id, text))


@words.post("/{namespace}/{flow_id:flow}/validate", response_model=None)
async def validate(request: Request, namespace: str, flow_id: str) -> Response:
    """What the inputs of a form would be, and what is wrong with each; nothing is started."""
    parts, revision = parts_of(request), Asked(request).number("revision")
    flow = found_flow(parts, namespace, flow_id, revision).flow
    inputs, files = await given(request, parts, lambda: flow.inputs)
    for file in files.values():
        parts.blobs.remove(file.blob)
    variables = {"flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision}, "vars": dict(flow.variables)}
    names = {name: file.name for name, file in files.items()}
    found = await slowly(lambda: validate_each(flow, inputs, names, renderer=Renderer(Lookups(parts)), variables=variables))
    return answers.made({"id": flow.id, "namespace": flow.namespace, "inputs": found})


async def _wanted(request: Request, asked: Asked, parts: Parts, namespace: str, flow_id: str) -> CreateExecution:
    labels = filters.labels_of(asked)
    for key, _ in labels:
        if key.startswith("system.") and key != "system.correlationId":
            raise BadArgument(f"System labels can only be set by the server itself: {key}")
    inputs, files = await given(request, parts, lambda: _inputs_of(parts, namespace, flow_id, asked.number("revision")))
    return CreateExecution(
        namespace=namespace,
        flow_id=flow_id,
        revision=asked.number("revision"),
        inputs=inputs,
        files=files,
        labels=labels,
        wait=asked.flag("wait", default=False),
        schedule_date=asked.instant("scheduleDate"),
        kind=asked.text("kind"),
        execution_id=new_id(),  # drawn here: a request repeated over a restart of the executor stays one execution
    )


def _inputs_of(parts: Parts, namespace: str, flow_id: str, revision: int | None) -> Sequence[Input]:
    saved = parts.reader.flow(namespace, flow_id, revision)
    return saved.flow.inputs if saved is not None else ()


async def given(request: Request, parts: Parts, declared: Callable[[], Sequence[Input]]) -> tuple[Mapping[str, Json], Mapping[str, FileGiven]]:
    """Inputs as sent: texts of a form, or the values of a JSON object; and the files among them, by what is `declared`."""
    if request.headers.get("content-type", "").startswith("application/json"):
        values = await json_body(request, default={})
        if not isinstance(values, dict):
            raise BadBody("inputs are a JSON object")
        return values, {}
    form = await read_form(request, parts.blobs)
    if not form.uploads:
        return form.texts, {}
    return sorted_out(parts, form, declared())


def sorted_out(parts: Parts, form: Form, declared: Sequence[Input]) -> tuple[Mapping[str, Json], Mapping[str, FileGiven]]:
    """Which upload is which input: by its part's name where that is declared, else by its file name.

    The text of an upload is the value of an input that is no file; what no input wants is dropped.
    """
    specs = {spec.id: spec for spec in declared}
    types = {name: spec.type.upper() for name, spec in specs.items()}
    texts: dict[str, Json] = dict(form.texts)
    files: dict[str, FileGiven] = {}
    for upload in form.uploads:
        name = upload.part if upload.part in types else upload.name
        if types.get(name) == "FILE":
            files[name] = FileGiven(name=_with_extension(upload.name, specs[name]), blob=upload.blob, size=upload.size)
        else:
            if name in types:
                texts[name] = _text(parts, upload)
            parts.blobs.remove(upload.blob)
    return texts, files


def _with_extension(name: str, spec: Input) -> str:
    """A file's name; one without an extension gets that of the input's declaration."""
    extension = spec.raw.get("extension")
    return f"{name}.{extension.lstrip('.')}" if isinstance(extension, str) and extension and not PurePath(name).suffix else name


def _text(parts: Parts, upload: Upload) -> str:
    if upload.size > 16 << 20:
        raise BadArgument(f"`{upload.part}` is no FILE input, and its content is too long for a value")
    with parts.blobs.open(upload.blob) as file:
        return file.read().decode("utf-8", "replace")


def with_url(parts: Parts, namespace: str, flow_id: str, text: str) -> str:
    """An execution's JSON text with the address people see it at."""
    execution_id = json.loads(text[: text.index(",")] + "}").get("id") if text.startswith('{"id":') else json.loads(text)["id"]
    return f'{text[:-1]},"url":"{parts.settings.url}/ui/executions/{namespace}/{flow_id}/{execution_id}"}}'


def found_execution(parts: Parts, execution_id: str) -> Execution:
    """An execution without its task runs. Raises NotFound."""
    found = parts.reader.execution(execution_id)
    if found is None:
        raise NotFound(f"no execution `{execution_id}`")
    return found


def shown(parts: Parts, execution_id: str, status: int = 200) -> Response:
    """An execution as stored. Raises NotFound."""
    text = parts.reader.execution_json(execution_id)
    if text is None:
        raise NotFound(f"no execution `{execution_id}`")
    return answers.stored(text, status)
