"""Renders templates: text, values that keep their type, and whole maps and lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestrator.errors import ExpressionFailed, OrchestratorError
from orchestrator.lang.expressions.compiler import compile_template
from orchestrator.lang.expressions.scope import Scope, Usage, join
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.faults import NeedsServices, Undefined, shortened
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.printing import is_list, weigh
from orchestrator.lang.functions.services import ExpressionServices

_RAW = re.compile(r"\{%-*\s*raw\s*-*%\}(.*?)\{%-*\s*endraw\s*-*%\}")


class Renderer:
    """Renders templates on given variables. Built once for a process or per set of services; safe in threads, templates are compiled once.

    `services` None: an expression that does I/O raises NeedsServices.
    """

    def __init__(self, services: ExpressionServices | None = None) -> None:
        self.services = services

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """The template's text. Raises ExpressionFailed."""
        if "{{" not in template and "{%" not in template and "{#" not in template:
            return template
        return self._finish(self._text(template, context, Usage()))

    def render_typed(self, template: str, context: Mapping[str, Any]) -> Any:
        """As `render`, but a lone `{{ x }}` gives x itself; several parts are added up: texts joined, numbers summed.

        Raises ExpressionFailed, also when the parts do not add up.
        """
        if "{{" not in template and "{%" not in template and "{#" not in template:
            return template
        value = self._value(template, context)
        return self._finish(value) if isinstance(value, str) else value

    def render_any(self, value: Any, context: Mapping[str, Any]) -> Any:
        """A value with all text in it rendered, map keys too; of two keys that become the same the first stays. Raises ExpressionFailed."""
        if isinstance(value, str):
            return self.render(value, context)
        if isinstance(value, Mapping):
            rendered: dict[Any, Any] = {}
            for key, held in value.items():
                rendered.setdefault(self.render_any(key, context), self.render_any(held, context))
            return rendered
        return [self.render_any(item, context) for item in value] if is_list(value) else value

    def render_inside(self, value: Any, context: Mapping[str, Any], usage: Usage, *, recursive: bool) -> Any:
        """`render(value)` in an expression: a value rendered once more, or until it no longer changes."""
        if isinstance(value, str):
            if "{" not in value:
                return value
            return self._finish(self._rounds(value, context, usage) if recursive else self._text(value, context, usage))
        weigh(value)
        if isinstance(value, Mapping):
            rendered: dict[Any, Any] = {}
            for key, held in value.items():
                rendered.setdefault(self.render_any(key, context), self.render_inside(held, context, usage, recursive=recursive))
            return rendered
        return [self.render_inside(item, context, usage, recursive=recursive) for item in value] if is_list(value) else value

    # ---- one round ---------------------------------------------------------------------

    def _rounds(self, text: str, context: Mapping[str, Any], usage: Usage) -> str:
        for _ in range(limits.RENDER_ROUNDS + 1):
            rendered = self._text(text, context, usage)
            if rendered == text:
                return rendered
            text = rendered
        raise ExpressionFailed("Too many rendering attempts")

    def _text(self, template: str, context: Mapping[str, Any], usage: Usage) -> str:
        """One round: raw blocks stay as they are."""
        usage.nesting += 1
        if usage.nesting > limits.RENDER_NESTING:
            raise ExpressionFailed("Too many rendering attempts")
        try:
            compiled = compile_template(template)
            text = join(compiled.root(Scope(self, compiled, context, usage, keep_raw=True)))
        except (Undefined, NeedsServices):
            raise
        except Exception as problem:
            raise _explained(problem, template) from problem
        usage.nesting -= 1
        return text

    def _value(self, template: str, context: Mapping[str, Any]) -> Any:
        total: Any = None
        try:
            compiled = compile_template(template)
            for part in compiled.root(Scope(self, compiled, context, Usage(), keep_raw=True)):
                total = part if total is None else total if part is None else _added(total, part)
            weigh(total, lazy=True)
        except (Undefined, NeedsServices):
            raise
        except Exception as problem:
            raise _explained(problem, template) from problem
        return total

    @staticmethod
    def _finish(text: str) -> str:
        return _RAW.sub(r"\1", text) if "endraw" in text else text


def _added(total: Any, part: Any) -> Any:
    """Two printed parts as one typed value. Raises ExpressionFailed when they do not add up."""
    if isinstance(total, str) and isinstance(part, str):
        limits.text_within(len(total) + len(part))
        return total + part
    numbers = int | float | Decimal
    if isinstance(total, numbers) and isinstance(part, numbers) and not isinstance(total, bool) and not isinstance(part, bool):
        return total + part  # type: ignore[operator]  # Decimal and float do not mix: a TypeError, explained below
    raise ExpressionFailed(f"Tried to add {class_name(part)} to {class_name(total)}")


def _explained(problem: Exception, template: str) -> OrchestratorError:
    """The failure as the flow's author reads it: what was wrong, and in which expression."""
    if isinstance(problem, OrchestratorError) and not isinstance(problem, ExpressionFailed):
        return problem
    text, shown = str(problem) if isinstance(problem, ExpressionFailed) else _words(problem), shortened(template)
    return ExpressionFailed(text if shown in text else f"{text} (in `{shown}`)")


def _words(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return "The value is nested too deeply"
    return f"{type(problem).__name__}: {problem}"
