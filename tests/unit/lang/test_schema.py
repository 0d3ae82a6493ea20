"""The JSON Schema of everything installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from orchestrator import registry
from orchestrator.errors import NotFound
from orchestrator.lang.schema import flow_schema, type_schema
from orchestrator.lang.source import parse_yaml

FLOW = "id: f\nnamespace: n\ninputs: [{id: a, type: INT, min: 1}]\ntasks:\n  - {id: t, type: core.log.Log, message: hi}\n"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return flow_schema()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def problems(schema: dict[str, Any], text: str) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(parse_yaml(text))]


def test_it_is_a_schema_of_draft_7_that_refers_to_nothing_outside(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    assert {r.removeprefix("#/definitions/") for r in references(schema)} <= set(schema["definitions"])
    json.dumps(schema, allow_nan=False)


def test_a_good_flow_fits(schema: dict[str, Any]) -> None:
    assert problems(schema, FLOW) == []


@pytest.mark.parametrize(
    ("good", "bad"), [("message: hi", "mesage: hi"), ("min: 1", "after: 1"), ("core.log.Log", "core.log.Lug"), ("id: t,", ""), ("namespace: n", "namespace: N")]
)
def test_a_mistake_does_not_fit(schema: dict[str, Any], good: str, bad: str) -> None:
    assert problems(schema, FLOW.replace(good, bad)) != []


PLACED = FLOW.replace("message: hi", "message: hi, {}")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("workerGroup: {key: gpu, fallback: FAIL}", "workerGroup: {key: gpu, fallback: NEVER}"),
        ("workerGroup: {key: '{{ inputs.pool }}'}", "workerGroup: {ky: gpu}"),
        ("workerSelector: {tags: [gpu], match: ANY, fallback: IGNORE}", "workerSelector: {tags: [gpu], match: SOME}"),
        ("placement: [{workerGroup: gpu, wait: PT5S}, {workerGroup: {tags: [big]}}]", "placement: [{workerGroup: gpu, wit: PT5S}]"),
        ("placement: [{workerGroup: {key: gpu}}]", "placement: [{workerGroup: {key: gpu, fallback: FAIL}}]"),
        ("placement: [{workerGroup: {tags: [a]}}]", "placement: [{workerGroup: {tags: []}}]"),
        ("placement: [{taskRunner: {type: scripts.runner.docker.Docker}}]", "placement: [{taskRunner: {type: scripts.runner.docker.Dcker}}]"),
        ("placement: [{workerGroup: ''}]", "placement: [{wait: PT5S}]"),
        ("resources: {cpu: 2, memory: 4GiB, gpu: 0.25}", "resources: {cpus: 2}"),
        ("resources: {cpu: '{{ inputs.n }}'}", "resources: {cpu: many}"),
        ("queueTimeout: PT10M", "queueTimeout: [PT10M]"),
    ],
)
def test_where_a_task_goes_fits_or_not(schema: dict[str, Any], good: str, bad: str) -> None:
    assert problems(schema, PLACED.replace("{}", good)) == []
    assert problems(schema, PLACED.replace("{}", bad)) != []


@pytest.mark.parametrize("name", ["placement", "workerGroup", "workerSelector"])
def test_a_place_is_offered_on_the_flow_tasks_triggers_and_defaults(schema: dict[str, Any], name: str) -> None:
    definitions = schema["definitions"]
    default = schema["properties"]["pluginDefaults"]["items"]["properties"]["values"]["properties"]
    on = [definitions[f"orchestrator_plugins.core.{one}"]["properties"] for one in ("log.Log", "flow.Sequential", "schedule.Schedule")]
    assert all(name in properties for properties in [schema["properties"], default, *on])


def test_every_property_of_a_place_says_what_it_is(schema: dict[str, Any]) -> None:
    parts = [schema["definitions"][name]["properties"] for name in ("PlacementStep", "Tags", "WorkerGroupRef", "WorkerSelector")]
    log = schema["definitions"]["orchestrator_plugins.core.log.Log"]["properties"]
    parts += [log["resources"]["anyOf"][0]["properties"], {name: log[name] for name in ("placement", "queueTimeout")}]
    for properties in parts:
        assert [name for name, part in properties.items() if not part.get("description") and "$ref" not in part] == []
    assert schema["definitions"]["Fallback"]["enum"] == ["WAIT", "FAIL", "CANCEL", "IGNORE"]


def test_every_installed_type_is_offered_in_full_and_short(schema: dict[str, Any]) -> None:
    offered = set(schema["definitions"]["task"]["properties"]["type"]["enum"])
    assert offered >= set(registry.types("task")) | {"core.log.Log"}


def test_one_type_has_a_schema_of_its_own() -> None:
    made = type_schema("task", "io.kestra.plugin.core.log.Log")
    assert "message" in made["properties"]
    assert {r.removeprefix("#/definitions/") for r in references(made)} <= set(made["definitions"])
    with pytest.raises(NotFound):
        type_schema("task", "nope.Nope")
