"""JSON Schema (draft 7) of flows, made of everything installed, for editors and for checking elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from orchestrator import registry
from orchestrator.lang import input_types
from orchestrator.lang.check import ACCEPTED, SECTIONS
from orchestrator.lang.declarations import OUTPUT_PROPERTIES
from orchestrator.lang.holders import PLACE_PROPERTIES
from orchestrator.lang.names import FLOW_ID_PATTERN, ID_PATTERN, INPUT_ID_PATTERN, MAX_FLOW_ID, MAX_NAMESPACE, NAMESPACE_PATTERN
from orchestrator.lang.specs import Resolve
from orchestrator.model.flow import Flow
from orchestrator.model.values import Json
from orchestrator.sdk import AnyTask

DRAFT = "http://json-schema.org/draft-07/schema#"
_KINDS = {"task": "task", "trigger": "trigger", "task_runner": "taskRunner", "condition": "condition"}
_ELSEWHERE = frozenset({"TaskSpec", "TriggerSpec", "Input", "FlowOutput"})  # have a general schema of their own
Definitions = dict[str, Json]


def flow_schema(*, resolve: Resolve = registry.load) -> dict[str, Json]:
    """The schema of a flow with every installed type in it. Raises what loading a type raises."""
    definitions: Definitions = {}
    for kind in _KINDS:
        definitions[_KINDS[kind]] = _any_of_kind(kind, definitions, resolve)
    definitions["input"] = _input()
    properties = {**_plain_properties(definitions), **_sections(definitions)}
    return {
        "$schema": DRAFT,
        "title": "Flow",
        "type": "object",
        "required": ["id", "namespace", "tasks"],
        "additionalProperties": False,
        "properties": properties,
        "definitions": definitions,
    }


def type_schema(kind: str, name: str, *, resolve: Resolve = registry.load) -> dict[str, Json]:
    """The schema of one task, trigger, task_runner or condition type. Raises NotFound when it is not installed."""
    definitions: Definitions = {}
    made = _model(resolve(kind, name), definitions)
    definitions["task"] = {"type": "object", "required": ["id", "type"], "properties": {"id": {"type": "string"}, "type": {"type": "string"}}}
    definitions["taskRunner"] = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
    return {"$schema": DRAFT, **made, "definitions": definitions}


def _any_of_kind(kind: str, definitions: Definitions, resolve: Resolve) -> dict[str, Json]:
    """Which type it is decides which schema holds: one mistake gives one error, and editors complete the type's properties."""
    by_class: dict[type[BaseModel], list[str]] = {}
    for name in registry.types(kind):
        by_class.setdefault(resolve(kind, name), []).append(name)
    rules = []
    for cls, names in by_class.items():
        key = f"{cls.__module__}.{cls.__qualname__}"
        definitions[key] = _model(cls, definitions)
        rules.append({"if": {"properties": {"type": {"enum": _with_short(names)}}, "required": ["type"]}, "then": {"$ref": f"#/definitions/{key}"}})
    needed = ["id", "type"] if kind in ("task", "trigger") else ["type"]
    names = _with_short([name for listed in by_class.values() for name in listed])
    made: dict[str, Json] = {"type": "object", "required": needed, "properties": {"type": {"type": "string", **({"enum": sorted(names)} if names else {})}}}
    return {**made, "allOf": rules} if rules else made


def _with_short(names: list[str]) -> list[str]:
    return [*names, *(name.removeprefix(registry.SHORT) for name in names if name.startswith(registry.SHORT))]


def _model(cls: type[BaseModel], definitions: Definitions) -> dict[str, Json]:
    """A class's schema; what it refers to is put into `definitions`, tasks and runners stand as the general ones."""
    made: dict[str, Json] = cls.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    parts = {name: part for name, part in made.pop("$defs", {}).items() if name not in _ELSEWHERE}
    renamed = {"#/definitions/TaskSpec": "#/definitions/task", "#/definitions/Input": "#/definitions/input"}
    for name, part in parts.items():
        if definitions.get(name, part) != part:  # another plugin's part has the same name
            renamed[f"#/definitions/{name}"] = f"#/definitions/{cls.__module__}.{cls.__qualname__}.{name}"
    if "PlacementStep" in parts:
        parts["PlacementStep"] = {**parts["PlacementStep"], "properties": _with_runner(parts["PlacementStep"]["properties"])}
    for name, part in parts.items():
        key = renamed.get(f"#/definitions/{name}", f"#/definitions/{name}").removeprefix("#/definitions/")
        definitions[key] = _referring(part, renamed)
    made = _referring(made, renamed)
    properties = made.get("properties", {})
    if "id" in properties:
        properties["id"] = {**properties["id"], "pattern": ID_PATTERN + "$"}
    return {**made, **({"properties": _with_runner(properties)} if properties else {})}


def _with_runner(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Properties whose `taskRunner`, if they have one, is any of those installed."""
    return {name: {"$ref": "#/definitions/taskRunner"} if name == "taskRunner" else part for name, part in properties.items()}


def _referring(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: renamed.get(item, item) if key == "$ref" else _referring(item, renamed) for key, item in value.items()}
    return [_referring(item, renamed) for item in value] if isinstance(value, list) else value


def _plain_properties(definitions: Definitions) -> dict[str, Json]:
    """The flow's own properties that hold neither tasks nor triggers nor declarations."""
    properties: dict[str, Json] = _model(Flow, definitions)["properties"]
    for name in ACCEPTED:
        properties.setdefault(name, {})
    properties["id"] = {"type": "string", "pattern": FLOW_ID_PATTERN + "$", "maxLength": MAX_FLOW_ID, "description": "Names the flow within its namespace."}
    properties["namespace"] = {
        "type": "string",
        "pattern": NAMESPACE_PATTERN + "$",
        "maxLength": MAX_NAMESPACE,
        "description": "Where the flow belongs: `team.project`.",
    }
    properties["labels"] = {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object", "required": ["key", "value"]}}]}
    properties["variables"] = {"type": ["object", "null"]}
    return properties


def _sections(definitions: Definitions) -> dict[str, Json]:
    tasks = {"type": ["array", "null"], "items": {"$ref": "#/definitions/task"}}
    places = {name: part for name, part in _model(AnyTask, definitions)["properties"].items() if name in PLACE_PROPERTIES}
    default = {
        "type": "object",
        "required": ["type", "values"],
        "additionalProperties": False,
        "properties": {"type": {"type": "string"}, "forced": {"type": "boolean"}, "values": {"type": "object", "properties": places}},
    }
    output = {"type": "object", "required": ["id", "value"], "additionalProperties": False, "properties": {name: {} for name in OUTPUT_PROPERTIES}}
    output["properties"] = {**output["properties"], "type": {"enum": list(input_types.READERS)}}  # type: ignore[dict-item]
    return {
        **{name: tasks for name in SECTIONS},
        "tasks": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/task"}},
        "triggers": {"type": ["array", "null"], "items": {"$ref": "#/definitions/trigger"}},
        "inputs": {"type": ["array", "null"], "items": {"$ref": "#/definitions/input"}},
        "outputs": {"type": ["array", "null"], "items": output},
        "pluginDefaults": {"type": ["array", "null"], "items": default},
        "taskDefaults": {"type": ["array", "null"], "items": default},
    }


def _input() -> dict[str, Json]:
    rules = [
        {
            "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": {"additionalProperties": False, "properties": {name: {} for name in input_types.properties(kind)}},
        }
        for kind in input_types.READERS
    ]
    common: dict[str, Json] = {
        "id": {"type": "string", "pattern": INPUT_ID_PATTERN + "$"},
        "type": {"enum": list(input_types.READERS)},
        "required": {"type": "boolean"},
        "description": {"type": "string"},
        "displayName": {"type": "string"},
        "dependsOn": {"type": "object", "properties": {"inputs": {"type": "array", "items": {"type": "string"}}, "condition": {}}},
    }
    return {"type": "object", "required": ["type"], "properties": common, "allOf": rules}
