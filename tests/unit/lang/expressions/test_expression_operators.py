"""Operators, their binding, literals and tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer

RENDERER = Renderer()
CONTEXT: dict[str, Any] = {"n": 3, "f": 1.5, "s": "3", "l": [1, 2, 3], "m": {"k": 1}, "none": None, "day": datetime(2024, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'a' ~ 'b' | upper", "AB"),
        ("none ?? 'B' == 'B'", "true"),
        ("not true == false", "true"),
        ("-n | abs", "3"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 2 - 3", "5"),
        ("1 + 2 ~ 'x' | length", "3"),
        ("1 < 2 and 2 < 1 or true", "true"),
        ("true or nope", "true"),
        ("false and nope", "false"),
        ("n == 3 ? 'a' : n == 4 ? 'b' : 'c'", "a"),
        ("false ? 1 : false ? 2 : 3", "3"),
        ("n == 3 and s == '3'", "true"),
        ("1..3", "[1,2,3]"),
        ("'a'..'c'", '["a","b","c"]'),
        ("(1..3) | length", "3"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7 / 2.0", "3.5"),
        ("-7 % 3", "-1"),
        ("7 % 2.5", "2.0"),
        ("1 / 0.0", "Infinity"),
        ("l + 4", "[1,2,3,4]"),
        ("l + [4, 5]", "[1,2,3,4,5]"),
        ("l - 2", "[1,3]"),
        ("l - [1, 3]", "[2]"),
        ("+n", "3"),
        ("3 == 3.0", "true"),
        ("s == n", "false"),
        ("true == 1", "false"),
        ("none == null", "true"),
        ("none == 1", "false"),
        ("none < 1", "false"),
        ("1 != 2", "true"),
        ("n equals 3", "true"),
        ("[1, [2]] == [1.0, [2]]", "true"),
        ("day == day", "true"),
        ("l contains 2", "true"),
        ("l contains [1, 3]", "true"),
        ("l contains [1, 9]", "false"),
        ("m contains 'k'", "true"),
        ("'abc' contains 'b'", "true"),
        ("none contains 1", "false"),
        ("not (l contains 9)", "true"),
        ("n is odd", "true"),
        ("n is not even", "true"),
        ("none is null", "true"),
        ("'' is empty and [] is empty and {} is empty and none is empty", "true"),
        ("l is iterable", "true"),
        ("m is map", "true"),
        ("m is iterable", "false"),
        ("'{}' is json", "true"),
        ("'{' is json", "false"),
        ("[1, 'a', null, true, {'k': [1.5]}]", '[1,"a",null,true,{"k":[1.5]}]'),
        ("{s: n}", '{"3":3}'),
        ("TRUE", "true"),
        ("5L", "5"),
        ('"n is #{n}, twice #{n * 2}."', "n is 3, twice 6."),
        ('"a \\"quoted\\" # text"', 'a "quoted" # text'),
        ("'it\\'s'", "it's"),
        ("'(\\d)'", "(\\d)"),
        ("{'a': {'b': 1}}", '{"a":{"b":1}}'),
        ("'}}' ~ '%}'", "}}%}"),
        ("max(1, 2.5, 2)", "2.5"),
        ("min(3, 2)", "2"),
        ("range(1, 6, 2)", "[1,3,5]"),
        ("range(3, 1, -1)", "[3,2,1]"),
        ("range(3, 1)", "[]"),
    ],
)
def test_an_expression_gives(expression: str, text: str) -> None:
    assert RENDERER.render("{{ " + expression + " }}", CONTEXT) == text
    assert RENDERER.render("{{" + expression + "}}", CONTEXT) == text


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "Unexpected token"),
        ("get missing", "Unexpected token"),
        ("| upper", "Unexpected token"),
        ("1 +", "Unexpected token"),
        ("{not: json}", "Unexpected token"),
        ("(1", "Unclosed"),
        ("1)", "Unexpected"),
        ("[1}", "Unclosed"),
        ("'open", "Unexpected character"),
        ('"open', "Unclosed"),
        ("a && b", "Unexpected character"),
        ("2 ** 3", "Unexpected token"),
        ("7 // 2", "Unexpected token"),
        ("'a' + 'b'", "invalid operands for mathematical operation"),
        ("true + 1", "invalid operands"),
        ("'a' < 'b'", "invalid operands for mathematical comparison"),
        ("1 / 0", "/ by zero"),
        ("none and true", "null value used in and operator"),
        ("not none", "null value given to not"),
        ("l and true", "Unsupported value type"),
        ("5 contains 1", "Contains operator"),
        ("range(1, 5, 0)", "different than 0"),
        ("range('ab', 'c')", "length of 1"),
        ("'a' is odd", "whole numbers"),
        ("nosuch(1)", "does not exist"),
        ("1 | nosuch", "does not exist"),
        ("1 is nosuch", "does not exist"),
        ("'a' | upper(1)", "takes at most 0"),
        ("now(form='x')", "does not exist for 'now'"),
        ("now('iso', format='x')", "does not exist for 'now'"),
        ("now(format='x', 'UTC')", "Positional arguments"),
        ("fromJson()", "expects an argument 'json'"),
        ("m.keys()", "Only functions can be called"),
        ("99999999999999999999", "too large"),
    ],
)
def test_an_expression_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(ExpressionFailed) as raised:
        RENDERER.render("{{ " + expression + " }}", CONTEXT)
    assert problem in str(raised.value)


def test_an_error_tells_its_expression_and_line() -> None:
    with pytest.raises(ExpressionFailed, match=r"\(line 1\n\{\{ 1 \| nosuch \}\}:2\)"):
        RENDERER.render("line 1\n{{ 1 | nosuch }}", {})
