"""Whatever a document holds, the checker answers with diagnostics, never with an error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.lang.check import check, check_plugin
from orchestrator.lang.diagnostics import errors_of, render
from orchestrator.model.surroundings import KnownGroups, Surroundings
from orchestrator.model.worker_group import WorkerGroup
from tests.unit.lang.toys import resolve

WORDS = st.sampled_from(
    """id type tasks task dependsOn Log Dag Sequential Switch cases message STRING ARRAY retry constant values interval INT defaults PT1S
    {{a}} {{ inputs errors x itemType condition min DATE 1 runIf env system.id key
    placement workerGroup workerSelector taskRunner wait tags match fallback resources queueTimeout cpu memory gpu Docker Poll gpuu ANY""".split()  # noqa: SIM905 - a list would take forty lines
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.just(1.5) | WORDS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=25)
PLACES = dict.fromkeys(["placement", "workerGroup", "workerSelector", "resources", "queueTimeout", "taskRunner"], VALUES)
SPECS = st.fixed_dictionaries(
    {},
    optional={"id": SCALARS, "type": WORDS, "tasks": VALUES, "cases": VALUES, "retry": VALUES, "message": VALUES, "env": VALUES, "dependsOn": VALUES, **PLACES},
)
AROUND = Surroundings(groups=KnownGroups(declared={"key": WorkerGroup(key="key", tags=("a",), allowed_namespaces=("x",))}))
SECTIONS = ["tasks", "errors", "finally", "afterExecution", "triggers", "inputs", "outputs", "pluginDefaults", "taskDefaults", "listeners"]
MAPS = ["labels", "variables", "retry", "concurrency", "workerGroup", "workerSelector", "placement", "sla", "id", "namespace", "disabled", "revision"]
DOCUMENTS = st.fixed_dictionaries({}, optional={**{name: st.lists(SPECS | VALUES, max_size=3) | VALUES for name in SECTIONS}, **dict.fromkeys(MAPS, VALUES)})


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
def test_any_document_is_answered_with_diagnostics(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    flow, found = check(text, resolve=resolve, around=AROUND)
    assert (flow is None) == bool(errors_of(found))
    render(found, text)


@settings(max_examples=100, deadline=None)
@given(SPECS | VALUES)
def test_any_task_is_answered_with_diagnostics(spec: Any) -> None:
    check_plugin(spec if isinstance(spec, dict) else {"x": spec}, resolve=resolve)
