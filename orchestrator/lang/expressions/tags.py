"""The statements of a template: if, for, set, macro, block, filter. Builds the Jinja nodes of a whole template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import nodes

from orchestrator.lang.expressions.grammar import Arguments, ExpressionParser, call, const, scope
from orchestrator.lang.expressions.lexer import Kind, broken
from orchestrator.lang.functions.limits import NESTING
from orchestrator.lang.functions.tables import FUNCTIONS

SILENT = "hidden_"
"""How the names of bodies begin that print only when called."""


@dataclass(frozen=True)
class Parsed:
    """A template's nodes; its macros by name, each with the id of its body and its parameters; its blocks by name; and the variables it names."""

    tree: nodes.Template
    macros: Mapping[str, tuple[str, tuple[str, ...]]]
    blocks: Mapping[str, str]
    references: frozenset[tuple[str, ...]]
    rendered_texts: frozenset[str]


def parse(source: str) -> Parsed:
    """Read a template. Raises ExpressionFailed with the line where it cannot be understood."""
    return TemplateParser(source).template()


class TemplateParser(ExpressionParser):
    """Reads the statements of one template."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.macros: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.blocks: dict[str, str] = {}
        self.bodies = 0
        self.tag_depth = 0
        self.hidden: list[nodes.Node] = []

    def template(self) -> Parsed:
        body = self._body(())
        for name, line in self.called_macros:
            if name not in self.macros:
                raise broken(f"Function or Macro [{name}] does not exist.", self.source, line)
        tree = nodes.Template([*self.hidden, *body], lineno=1)
        return Parsed(tree, self.macros, self.blocks, frozenset(self.references), frozenset(self.rendered_texts))

    def _body(self, ends: tuple[str, ...]) -> list[nodes.Node]:
        """Statements up to one of the tags in `ends`, whose name is then the current token."""
        self.tag_depth += 1
        if self.tag_depth > NESTING:
            raise self.fail("The tags are nested too deeply")
        found: list[nodes.Node] = []
        while not self.at(Kind.EOF):
            token = self.next()
            if token.kind is Kind.TEXT:
                found.append(nodes.Output([const(token.value)], lineno=token.line))
            elif token.kind is Kind.RAW:
                found.append(nodes.Output([call("op_raw", scope(), const(token.value), line=token.line)], lineno=token.line))
            elif token.kind is Kind.PRINT_START:
                found.append(nodes.Output([self.expression()], lineno=token.line))
                self.expect(Kind.PRINT_END)
            elif self.at(Kind.NAME) and self.current.value in ends:
                self.tag_depth -= 1
                return found
            else:
                found.extend(self._tag())
        if ends:
            raise self.fail(f'Unexpected end of template, expected "{ends[-1]}"')
        return found

    def _tag(self) -> list[nodes.Node]:
        name = self.expect(Kind.NAME)
        reader = {"if": self._if, "for": self._for, "set": self._set, "macro": self._macro, "block": self._block, "filter": self._filter_tag}.get(name.value)
        if reader is None:
            hint = ": a raw block begins and ends on one line" if name.value == "raw" else ""
            raise broken(f'Unexpected tag name "{name.value}"{hint}', self.source, name.line)
        return reader(name.line)

    def _end(self) -> None:
        self.expect(Kind.EXECUTE_END)

    def _if(self, line: int) -> list[nodes.Node]:
        branches: list[tuple[nodes.Expr, list[nodes.Node]]] = []
        otherwise: list[nodes.Node] = []
        word = "if"
        while word != "endif":
            if word == "else":
                self._end()
                otherwise = self._body(("endif",))
            else:
                test = call("op_condition", self.expression(), line=line)
                self._end()
                branches.append((test, self._body(("elseif", "else", "endif"))))
            word = self.next().value
        self._end()
        others = [nodes.If(test, body, [], [], lineno=line) for test, body in branches[1:]]
        return [nodes.If(branches[0][0], branches[0][1], others, otherwise, lineno=line)]

    def _for(self, line: int) -> list[nodes.Node]:
        name = self.new_name()
        self.expect(Kind.NAME, "in")
        items = self.expression()
        self._end()
        body, otherwise = self._body(("else", "endfor")), []
        if self.next().value == "else":
            self._end()
            otherwise = self._body(("endfor",))
            self.next()
        self._end()
        loop = call("op_loop", scope(), const(name), items, line=line)
        return [nodes.For(nodes.Const(None), loop, body, otherwise, None, False, lineno=line)]

    def _set(self, line: int) -> list[nodes.Node]:
        name = self.new_name()
        self.expect(Kind.PUNCTUATION, "=")
        value = self.expression()
        self._end()
        return [nodes.ExprStmt(call("op_set", scope(), const(name), value, line=line), lineno=line)]

    def _macro(self, line: int) -> list[nodes.Node]:
        name = self.new_name()
        if name in self.macros or name in FUNCTIONS:
            raise broken(f"More than one macro or function can not share the same name: {name}", self.source, line)
        parameters = self._parameters()
        self._end()
        defaults = [nodes.ExprStmt(call("lazy_parameter", scope(), const(key), value, line=line), lineno=line) for key, value in parameters.named.items()]
        self.macros[name] = ("", tuple(parameters.named))
        body = self._named_end("endmacro", name)
        self.macros[name] = (self._hide([*defaults, *body], line), tuple(parameters.named))
        return []

    def _parameters(self) -> Arguments:
        """A macro's parameters with their defaults, null where there is none."""
        found = Arguments()
        self.expect(Kind.PUNCTUATION, "(")
        while not self.accept(Kind.PUNCTUATION, ")"):
            if found.named:
                self.expect(Kind.PUNCTUATION, ",")
            name = self.new_name()
            found.named[name] = self.expression() if self.accept(Kind.PUNCTUATION, "=") else const(None)
        return found

    def _block(self, line: int) -> list[nodes.Node]:
        name = self.next().value if self.at(Kind.STRING) else self.new_name()
        if name in self.blocks:
            raise broken(f"Block [{name}] is defined twice", self.source, line)
        self._end()
        self.blocks[name] = ""
        self.blocks[name] = self._hide(self._named_end("endblock", name), line)
        return [nodes.Output([call("op_block", scope(), const(name), line=line)], lineno=line)]

    def _filter_tag(self, line: int) -> list[nodes.Node]:
        place = self.index
        while not self.accept(Kind.EXECUTE_END):  # the filters are read below, on what the body printed
            if self.at(Kind.EOF):
                raise self.fail('Unclosed "filter"')
            self.next()
        body = self._hide(self._body(("endfilter",)), line)
        self.next()
        self._end()
        after, self.index = self.index, place
        value = call("op_capture", scope(), const(body), line=line)
        value = self.filter_call(value)
        while self.accept(Kind.OPERATOR, "|"):
            value = self.filter_call(value)
        self._end()
        self.index = after
        return [nodes.Output([value], lineno=line)]

    def _named_end(self, end: str, name: str) -> list[nodes.Node]:
        body = self._body((end,))
        self.next()
        if self.at(Kind.NAME, name) or self.at(Kind.STRING, name):
            self.next()
        self._end()
        return body

    def _hide(self, body: list[nodes.Node], line: int) -> str:
        """Set statements aside under an id, to be printed when called for."""
        self.bodies += 1
        name = f"{SILENT}{self.bodies}"
        self.hidden.append(nodes.Block(name, body, False, False, lineno=line))
        return name
