"""Turns a template into Python code with Jinja's compiler, once for every text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions.access import ACCESS_OPERATIONS
from orchestrator.lang.expressions.bodies import BODY_OPERATIONS
from orchestrator.lang.expressions.operators import OPERATORS
from orchestrator.lang.expressions.scope import Scope
from orchestrator.lang.expressions.tags import SILENT, Parsed, parse
from orchestrator.lang.functions.tables import FILTERS, FUNCTIONS, TESTS

Body = Callable[[Scope], Iterator[Any]]
_TABLES = {"filter": "filters", "function": "functions", "test": "tests"}


@dataclass(frozen=True)
class Compiled:
    """A template ready to run. `root` and the hidden `bodies` yield what they print, unprinted, so that one value can keep its type."""

    source: str
    root: Body
    bodies: Mapping[str, Body]
    macros: Mapping[str, tuple[str, tuple[str, ...]]]
    blocks: Mapping[str, str]


class _Generator(CodeGenerator):
    """Writes calls of the environment's own functions and nothing that reaches an object or Jinja's context."""

    def write_commons(self) -> None:
        self.writeline("if 0: yield None")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:
        table, _, name = node.node.name.rpartition(":")  # type: ignore[attr-defined]  # the parser makes no other calls
        self.write(f"environment.{_TABLES[table]}[{name!r}](" if table else f"environment.{name}(")
        lazy = name.startswith("lazy_")
        for index, argument in enumerate(node.args):
            self.write("(lambda: " if lazy and index else "")
            self.visit(argument, frame)
            self.write(")" if lazy and index else "")
            self.write(", ")
        self.write(")")

    def visit_ContextReference(self, node: nodes.ContextReference, frame: Frame) -> None:
        self.write("context")

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        for part in node.nodes:
            self.writeline("yield ", node)
            self.visit(part, frame)

    def visit_Block(self, node: nodes.Block, frame: Frame) -> None:
        """Bodies are printed where they are called for, not where they stand."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        loop = self.temporary_identifier()
        self.writeline(f"{loop} = ", node)
        self.visit(node.iter, frame)
        self.writeline(f"for _ in {loop}:")
        self._indented(node.body, frame)
        if node.else_:
            self.writeline(f"if {loop}.empty:")
            self._indented(node.else_, frame)

    def _indented(self, body: list[nodes.Node], frame: Frame) -> None:
        self.indent()
        self.blockvisit(body, frame.soft())
        self.outdent()


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with this language's parser and functions. Its namespace holds no Jinja global, filter or test."""

    code_generator_class = _Generator

    def __init__(self) -> None:
        super().__init__(optimized=False, cache_size=0)
        self.globals.clear()
        self.filters = {name: entry.run for name, entry in FILTERS.items()}
        self.functions = {name: entry.run for name, entry in FUNCTIONS.items()}
        self.tests = dict(TESTS)
        for operations in (OPERATORS, ACCESS_OPERATIONS, BODY_OPERATIONS):
            vars(self).update(operations)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return parse(source).tree

    def code(self, parsed: Parsed) -> CodeType:
        parsed.tree.set_environment(self)
        return self._compile(self._generate(parsed.tree, None, None), "<expression>")


_ENVIRONMENT = _Environment()


@lru_cache(maxsize=2048)
def parsed(source: str) -> Parsed:
    """A template's syntax tree. Raises ExpressionFailed when it cannot be read."""
    try:
        return parse(source)
    except RecursionError:
        raise ExpressionFailed("The template is nested too deeply") from None


@lru_cache(maxsize=2048)
def compile_template(source: str) -> Compiled:
    """A template's code. Raises ExpressionFailed when it cannot be read or is nested too deeply."""
    found = parsed(source)
    try:
        code = _ENVIRONMENT.code(found)
    except (SyntaxError, RecursionError, MemoryError):  # Python's own bounds on nesting
        raise ExpressionFailed("The template is nested too deeply") from None
    namespace: dict[str, Any] = {"environment": _ENVIRONMENT}
    exec(code, namespace)  # noqa: S102 - made above from a tree that only calls the functions of the environment
    bodies = {name: namespace[f"block_{name}"] for name in namespace["blocks"] if name.startswith(SILENT)}
    return Compiled(source, namespace["root"], bodies, found.macros, found.blocks)
