"""The expressions of a template: an operator-precedence parser that builds Jinja nodes.

Every operator becomes a call of an `environment` function (see `operators`): Jinja's own operators, names and attributes never occur.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions.lexer import Kind, Token, broken, tokens_of
from orchestrator.lang.functions.catalogue import Entry, Table
from orchestrator.lang.functions.javatext import LONG_MAX
from orchestrator.lang.functions.limits import NESTING
from orchestrator.lang.functions.tables import FILTERS, FUNCTIONS, TESTS

_LONGEST_PATH = 32
ANYTHING = ("*",)
"""The path of an expression that may read every variable."""

_BINARY = {
    "or": 10, "and": 15, "is": 20, "is not": 20, "contains": 20, "==": 30, "equals": 30, "!=": 30, "<": 30, "<=": 30, ">": 30, ">=": 30,
    "+": 40, "-": 40, "*": 60, "/": 60, "%": 60, "|": 100, "~": 110, "..": 120, "??": 120, "???": 120,
}  # fmt: skip
_UNARY = {"not": "op_not", "+": "op_plus", "-": "op_minus"}
_UNARY_PRECEDENCE = 500
_OPERATIONS = {
    "contains": "op_contains", "==": "op_equal", "equals": "op_equal", "!=": "op_unequal",
    "<": "op_less", "<=": "op_at_most", ">": "op_more", ">=": "op_at_least", "..": "op_range",
    "+": "op_add", "-": "op_subtract", "*": "op_multiply", "/": "op_divide", "%": "op_remainder",
}  # fmt: skip
_LITERALS: dict[str, Any] = {"true": True, "TRUE": True, "false": False, "FALSE": False, "none": None, "NONE": None, "null": None, "NULL": None}
_RESERVED = frozenset({"true", "false", "null", "none"})
_READS: dict[str, tuple[tuple[str, ...], ...]] = {
    "printContext": (ANYTHING,),
    "fetchContext": (ANYTHING,),
    "currentEachOutput": (("taskrun",), ("parents",), ("parent",)),
    "secret": (("flow", "namespace"),),
    "kv": (("flow", "namespace"),),
    "fileURI": (("flow", "namespace"),),
    "read": (("flow",), ("execution",), ("trigger",)),
    "fileSize": (("flow",), ("execution",), ("trigger",)),
    "fileExists": (("flow",), ("execution",), ("trigger",)),
    "isFileEmpty": (("flow",), ("execution",), ("trigger",)),
    "fileEmpty": (("flow",), ("execution",), ("trigger",)),
    "tasksWithState": (("tasks",),),
    "iterationOutput": (("task",), ("taskrun",), ("parents",), ("outputs",)),
    "iterationOutputs": (("task",), ("taskrun",), ("parents",), ("outputs",)),
    "errorLogs": (("execution",), ("flow",)),
}


def call(operation: str, *arguments: nodes.Expr, line: int) -> nodes.Expr:
    """A call of one of the environment's own functions."""
    return nodes.Call(nodes.EnvironmentAttribute(operation), list(arguments), [], None, None, lineno=line)


def const(value: Any) -> nodes.Expr:
    """A literal."""
    return nodes.Const(value)


def scope() -> nodes.Expr:
    """The running rendering."""
    return nodes.ContextReference()


@dataclass
class Arguments:
    """What stands between a call's brackets: values, and values with a name."""

    positional: list[nodes.Expr] = field(default_factory=list)
    named: dict[str, nodes.Expr] = field(default_factory=dict)

    @property
    def first(self) -> nodes.Expr | None:
        return self.positional[0] if self.positional else next(iter(self.named.values()), None)


class ExpressionParser:
    """Reads expressions from the tokens of one template, and notes which variables they name."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens_of(source)
        self.index = 0
        self.depth = 0
        self.references: set[tuple[str, ...]] = set()
        self.rendered_texts: set[str] = set()
        self.called_macros: list[tuple[str, int]] = []

    # ---- the stream --------------------------------------------------------------------

    @property
    def current(self) -> Token:
        return self.tokens[self.index]

    def next(self) -> Token:
        token = self.tokens[self.index]
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def at(self, kind: Kind, value: str | None = None) -> bool:
        token = self.current
        return token.kind is kind and (value is None or token.value == value)

    def accept(self, kind: Kind, value: str | None = None) -> bool:
        if not self.at(kind, value):
            return False
        self.next()
        return True

    def expect(self, kind: Kind, value: str | None = None) -> Token:
        if not self.at(kind, value):
            token = self.current
            wanted = f'"{value}"' if value else kind.name
            raise self.fail(f'Unexpected token of value "{token.value}" and type {token.kind.name}, expected {wanted}')
        return self.next()

    def fail(self, problem: str) -> ExpressionFailed:
        return broken(problem, self.source, self.current.line)

    # ---- operators ---------------------------------------------------------------------

    def expression(self, minimum: int = 0) -> nodes.Expr:
        """An expression whose operators all bind at least as tightly as `minimum`; the ternary is the loosest of all."""
        self.depth += 1
        if self.depth > NESTING:
            raise self.fail("The expression is nested too deeply")
        found = self._operand()
        while self.current.kind is Kind.OPERATOR and _BINARY.get(self.current.value, -1) >= minimum:
            found = self._binary(found)
        if minimum == 0 and self.at(Kind.PUNCTUATION, "?"):
            found = self._ternary(found)
        self.depth -= 1
        return found

    def _operand(self) -> nodes.Expr:
        token = self.current
        if token.kind is Kind.OPERATOR and token.value in _UNARY:
            self.next()
            return call(_UNARY[token.value], self.expression(_UNARY_PRECEDENCE), line=token.line)
        if self.accept(Kind.PUNCTUATION, "("):
            inner = self.expression()
            self.expect(Kind.PUNCTUATION, ")")
            return self._postfix(inner, None)
        if self.at(Kind.PUNCTUATION, "["):
            return self._list()
        if self.at(Kind.PUNCTUATION, "{"):
            return self._map()
        return self._simple()

    def _binary(self, left: nodes.Expr) -> nodes.Expr:
        token = self.next()
        line, operator = token.line, token.value
        if operator == "|":
            return self._filter(left)
        if operator in ("is", "is not"):
            return self._test(left, negated=operator == "is not")
        right = self.expression(_BINARY[operator] + 1)
        if operator in ("and", "or"):
            sides = (call("op_truth", side, const(operator), line=line) for side in (left, right))
            return (nodes.And if operator == "and" else nodes.Or)(*sides, lineno=line)
        if operator in ("??", "???"):
            return call("lazy_coalesce" if operator == "??" else "lazy_if_undefined", scope(), left, right, line=line)
        if operator == "~":
            chained = isinstance(left, nodes.Call) and isinstance(left.node, nodes.EnvironmentAttribute) and left.node.name == "op_concat"
            earlier = left.args if isinstance(left, nodes.Call) and chained else [left]
            return call("op_concat", *earlier, right, line=line)
        return call(_OPERATIONS[operator], left, right, line=line)

    def _ternary(self, condition: nodes.Expr) -> nodes.Expr:
        line = self.next().line
        chosen = self.expression()
        self.expect(Kind.PUNCTUATION, ":")
        otherwise = self.expression()
        return nodes.CondExpr(call("op_choose", condition, line=line), chosen, otherwise, lineno=line)

    def filter_call(self, value: nodes.Expr) -> nodes.Expr:
        """The filter named at this place, put on `value`."""
        return self._filter(value)

    def _filter(self, value: nodes.Expr) -> nodes.Expr:
        name = self.expect(Kind.NAME)
        arguments = self.arguments() if self.at(Kind.PUNCTUATION, "(") else Arguments()
        entry = self._entry(FILTERS, name, "Filter")
        bound = self._bind(entry, arguments, name)
        if name.value == "default":
            return call("lazy_default", scope(), value, *bound, line=name.line)
        lead = [scope(), value] if entry.scoped else [value]
        return call("filter:" + name.value, *lead, *bound, line=name.line)

    def _test(self, value: nodes.Expr, *, negated: bool) -> nodes.Expr:
        name = self.expect(Kind.NAME)
        if self.at(Kind.PUNCTUATION, "("):
            self.arguments()
        if name.value not in TESTS:
            raise broken(f"Test [{name.value}] does not exist.", self.source, name.line)
        defined = name.value == "defined"
        found = call("lazy_defined", scope(), value, line=name.line) if defined else call("test:" + name.value, value, line=name.line)
        return call("op_negate", found, line=name.line) if negated else found

    # ---- operands ----------------------------------------------------------------------

    def _simple(self) -> nodes.Expr:
        token = self.current
        if token.kind is Kind.NAME:
            return self._name(self.next())
        if token.kind is Kind.INTEGER:
            return self._postfix(const(self._integer(self.next())), None)
        if token.kind is Kind.DECIMAL:
            return self._postfix(const(self._decimal(self.next())), None)
        if token.kind is Kind.STRING:
            return self._postfix(const(self.next().value), None)
        if self.accept(Kind.QUOTE_START):
            return self._interpolated(token.line)
        raise self.fail(f'Unexpected token "{token.kind.name}" of value "{token.value}"')

    def _integer(self, token: Token) -> int:
        if len(token.value) > 19 or int(token.value) > LONG_MAX:
            raise broken(f"The number {token.value[:40]} is too large", self.source, token.line)
        return int(token.value)

    def _decimal(self, token: Token) -> float:
        number = float(token.value)
        if math.isinf(number):
            raise broken("The number is too large", self.source, token.line)
        return number

    def _interpolated(self, line: int) -> nodes.Expr:
        parts: list[nodes.Expr] = []
        while not self.accept(Kind.QUOTE_END):
            if self.accept(Kind.INTERPOLATION_START):
                parts.append(self.expression())
                self.expect(Kind.INTERPOLATION_END)
            else:
                parts.append(const(self.expect(Kind.STRING).value))
        return self._postfix(call("op_concat", *parts, line=line), None)

    def _name(self, token: Token) -> nodes.Expr:
        if token.value in _LITERALS and not self.at(Kind.PUNCTUATION, "("):
            return self._postfix(const(_LITERALS[token.value]), None)
        if self.at(Kind.PUNCTUATION, "("):
            return self._postfix(self._call(token), None)
        return self._postfix(call("op_name", scope(), const(token.value), const(token.line), line=token.line), (token.value,))

    def _postfix(self, node: nodes.Expr, path: tuple[str, ...] | None) -> nodes.Expr:
        """What follows an operand: attributes and subscripts. `path` is the variable's path as long as it is known."""
        root, known = (path[0] if path else None), path is not None
        while True:
            line = self.current.line
            if self.accept(Kind.PUNCTUATION, "."):
                key: nodes.Expr = const(self.expect(Kind.NAME).value)
            elif self.accept(Kind.PUNCTUATION, "["):
                key = self.expression()
                self.expect(Kind.PUNCTUATION, "]")
            elif self.at(Kind.PUNCTUATION, "("):
                raise self.fail("Only functions can be called")
            else:
                break
            node = call("op_attribute", scope(), node, key, const(root), const(line), line=line)
            root = None
            known = known and isinstance(key, nodes.Const) and isinstance(key.value, str | int)
            if known and path and len(path) < _LONGEST_PATH and isinstance(key, nodes.Const):
                path = (*path, str(key.value))
        if path:
            self.references.add(path)
        return node

    def _list(self) -> nodes.Expr:
        line = self.next().line
        return nodes.List(self._separated("]", self.expression), lineno=line)

    def _map(self) -> nodes.Expr:
        line = self.next().line
        pairs = self._separated("}", self._pair)
        keys, values = [key for key, _ in pairs], [value for _, value in pairs]
        return call("op_map", nodes.List(keys, lineno=line), nodes.List(values, lineno=line), line=line)

    def _pair(self) -> tuple[nodes.Expr, nodes.Expr]:
        key = self.expression()
        self.expect(Kind.PUNCTUATION, ":")
        return key, self.expression()

    def _separated(self, close: str, item: Callable[[], Any]) -> list[Any]:
        found: list[Any] = []
        while not self.accept(Kind.PUNCTUATION, close):
            if found:
                self.expect(Kind.PUNCTUATION, ",")
            found.append(item())
        return found

    # ---- calls -------------------------------------------------------------------------

    def _call(self, name: Token) -> nodes.Expr:
        arguments = self.arguments()
        if name.value == "block":
            return call("op_block", scope(), arguments.first or const(""), line=name.line)
        if name.value in FUNCTIONS:
            entry = FUNCTIONS[name.value]
            bound = self._bind(entry, arguments, name)
            self._note_reads(name.value, arguments)
            return call("function:" + name.value, *([scope()] if entry.scoped else []), *bound, line=name.line)
        self.called_macros.append((name.value, name.line))
        named = call("op_map", nodes.List([const(key) for key in arguments.named]), nodes.List(list(arguments.named.values())), line=name.line)
        return call("op_macro", scope(), const(name.value), nodes.List(arguments.positional), named, line=name.line)

    def _note_reads(self, function: str, arguments: Arguments) -> None:
        self.references.update(_READS.get(function, ()))
        if function in ("render", "renderOnce"):
            argument = arguments.first
            if isinstance(argument, nodes.Const) and isinstance(argument.value, str):
                self.rendered_texts.add(argument.value)
            else:
                self.references.add(ANYTHING)

    def arguments(self) -> Arguments:
        """The arguments of a call, brackets included."""
        found = Arguments()
        self.expect(Kind.PUNCTUATION, "(")
        self._separated(")", lambda: self._argument(found))
        return found

    def _argument(self, into: Arguments) -> bool:
        following = self.tokens[min(self.index + 1, len(self.tokens) - 1)]
        if self.at(Kind.NAME) and following.kind is Kind.PUNCTUATION and following.value == "=":
            name = self.new_name()
            self.next()
            into.named[name] = self.expression()
        elif into.named:
            raise self.fail("Positional arguments must be declared before any named arguments.")
        else:
            into.positional.append(self.expression())
        return True

    def new_name(self) -> str:
        """A name that a tag or argument gives."""
        token = self.expect(Kind.NAME)
        if token.value in _RESERVED:
            raise broken(f"Can not assign a value to {token.value}", self.source, token.line)
        return token.value

    def _entry(self, table: Table, name: Token, kind: str) -> Entry:
        if name.value not in table:
            raise broken(f"{kind} [{name.value}] does not exist.", self.source, name.line)
        return table[name.value]

    def _bind(self, entry: Entry, given: Arguments, name: Token) -> list[nodes.Expr]:
        """The arguments in the order of the entry's parameters, null for those in between that are not given."""
        if entry.parameters is None:
            if given.named:
                raise self._no_argument(entry, next(iter(given.named)), name)
            return given.positional
        if len(given.positional) > len(entry.parameters):
            raise broken(f"'{entry.name}' takes at most {len(entry.parameters)} arguments", self.source, name.line)
        bound = dict(zip(entry.parameters, given.positional, strict=False))
        for key, value in given.named.items():
            if key not in entry.parameters or key in bound:
                raise self._no_argument(entry, key, name)
            bound[key] = value
        for parameter in entry.parameters[: entry.required]:
            if parameter not in bound:
                raise broken(f"The '{entry.name}' function expects an argument '{parameter}'.", self.source, name.line)
        last = max((entry.parameters.index(key) for key in bound), default=-1)
        return [bound.get(parameter, const(None)) for parameter in entry.parameters[: last + 1]]

    def _no_argument(self, entry: Entry, key: str, name: Token) -> ExpressionFailed:
        return broken(f"The following named argument does not exist for '{entry.name}': {key}", self.source, name.line)
