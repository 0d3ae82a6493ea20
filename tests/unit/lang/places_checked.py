"""Flows that say where their work goes, checked among some known groups."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent

from orchestrator.lang.check import check
from orchestrator.lang.diagnostics import Diagnostic, errors_of
from orchestrator.model.surroundings import KnownGroups, Surroundings
from orchestrator.model.worker_group import WorkerGroup
from tests.unit.lang.toys import resolve

HEAD = "id: f\nnamespace: prod.etl\n"
TASK = "tasks: [{id: t, type: Return}]\n"
GROUPS = KnownGroups(
    declared={
        "gpu": WorkerGroup(key="gpu", labels={"zone": "eu"}, tags=("big",)),
        "secret": WorkerGroup(key="secret", tags=("quiet",), allowed_namespaces=("ops", "ops.*")),
    },
    worker_labels={"gpu": ({"rack": "r7"},)},
)
NONE_DECLARED = KnownGroups()


def found(body: str, groups: KnownGroups = GROUPS) -> Sequence[Diagnostic]:
    return check(HEAD + dedent(body), "f.yaml", resolve=resolve, around=Surroundings(groups=groups))[1]


def errors(body: str, groups: KnownGroups = GROUPS) -> list[str]:
    return [d.summary for d in errors_of(found(body, groups))]


def warnings(body: str, groups: KnownGroups = GROUPS) -> list[str]:
    diagnostics = found(body, groups)
    assert errors_of(diagnostics) == ()
    return [d.summary for d in diagnostics if d.severity == "warning"]
