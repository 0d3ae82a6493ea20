"""JSON's `true`, `false` and `null` for Python scripts, so that a rendered value can stand in one as it is."""

from __future__ import annotations

import ast
import re

DEFINED = "true, false, null = True, False, None; "
_MENTIONED = re.compile(r"\b(?:true|false|null)\b")
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Assert, ast.Delete, ast.Pass, ast.Raise, ast.Global)
_WRAPPER = "import sys, builtins; builtins.true, builtins.false, builtins.null = True, False, None; exec(compile({source!r}, {name!r}, 'exec'), globals())"


def with_literals(source: str, name: str) -> str:
    """The script with the three names defined where it uses them; every line keeps its number.

    `name` is the file's, for tracebacks. A script with a mistake in its syntax is left as it is: Python itself says best where.
    """
    if not _MENTIONED.search(source):
        return source
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    if not any(isinstance(node, ast.Name) and node.id in {"true", "false", "null"} for node in ast.walk(tree)):
        return source
    return _defined(source, tree.body, name)


def _defined(source: str, body: list[ast.stmt], name: str) -> str:
    first = next((statement for at, statement in enumerate(body) if not _must_lead(statement, at)), body[-1])
    if not isinstance(first, _SIMPLE):
        return _WRAPPER.format(source=source, name=name)  # nothing can stand before `def` or `if` on its line
    lines = source.split("\n")
    line = lines[first.lineno - 1].encode()
    lines[first.lineno - 1] = (line[: first.col_offset] + DEFINED.encode() + line[first.col_offset :]).decode()
    return "\n".join(lines)


def _must_lead(statement: ast.stmt, at: int) -> bool:
    is_docstring = at == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    return is_docstring or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__")
