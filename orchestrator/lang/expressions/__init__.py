"""The expression language: renders `{{ }}` templates on variables, and says what a template reads.

Renderer(services).render("Hello {{ inputs.name }}", {"inputs": {"name": "you"}})
"""

from orchestrator.lang.expressions.masking import Masker, mask
from orchestrator.lang.expressions.references import is_template, problem_of, references, references_of
from orchestrator.lang.expressions.renderer import Renderer
from orchestrator.lang.expressions.typed import with_types
from orchestrator.lang.functions.faults import NeedsServices, Undefined
from orchestrator.lang.functions.printing import plain, to_json, to_text
from orchestrator.lang.functions.services import MISSING, ExpressionServices, Missing, NoServices

__all__ = [
    "MISSING",
    "ExpressionServices",
    "Masker",
    "Missing",
    "NeedsServices",
    "NoServices",
    "Renderer",
    "Undefined",
    "is_template",
    "mask",
    "plain",
    "problem_of",
    "references",
    "references_of",
    "to_json",
    "to_text",
    "with_types",
]
