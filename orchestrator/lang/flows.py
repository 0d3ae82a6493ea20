"""From text to Flow and from stored document to Flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator import registry
from orchestrator.errors import FlowInvalid
from orchestrator.lang.check import check
from orchestrator.lang.diagnostics import Diagnostic, errors_of
from orchestrator.lang.specs import Resolve, TemplateProblem
from orchestrator.model.flow import Flow
from orchestrator.model.surroundings import NOTHING_KNOWN, Surroundings
from orchestrator.model.values import Json


def parse(
    source: str,
    revision: int = 1,
    *,
    resolve: Resolve = registry.load,
    template_problem: TemplateProblem | None = None,
    around: Surroundings = NOTHING_KNOWN,
) -> Flow:
    """The checked flow behind a source. Raises FlowInvalid with every problem: one `path: message` a line, and the diagnostics."""
    flow, found = check(source, revision=revision, resolve=resolve, template_problem=template_problem, around=around)
    if flow is None:
        raise FlowInvalid(message_of(found), found)
    return flow


def message_of(diagnostics: Sequence[Diagnostic]) -> str:
    """The errors among diagnostics as an API answer words them, one a line."""
    return "\n".join(d.summary for d in errors_of(diagnostics))


def of_document(document: Mapping[str, Json]) -> Flow:
    """The flow of a stored document (`Flow.model_dump(mode="json", by_alias=True)`), which was checked when it was saved."""
    return Flow.model_validate(document)
