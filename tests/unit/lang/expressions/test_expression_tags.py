"""Tags, whitespace, raw and verbatim text."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer

RENDERER = Renderer()
CONTEXT: dict[str, Any] = {"l": ["a", "b", "c"], "m": {"x": 1, "y": 2}, "n": 2, "none": None}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% if n == 1 %}one{% elseif n == 2 %}two{% else %}many{% endif %}", "two"),
        ("{% if n == 9 %}nine{% endif %}", ""),
        ("{% if n %}y{% endif %}{% if '' %}z{% else %}n{% endif %}", "yn"),
        ("{% for x in l %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "0a,1b,2c"),
        ("{% for x in l %}{{ loop.length }}{{ loop.revindex }}{{ loop.first }} {% endfor %}", "32true 31false 30false "),
        ("{% for x in [] %}x{% else %}empty{% endfor %}", "empty"),
        ("{% for x in none %}x{% else %}empty{% endfor %}", ""),
        ("{% for e in m %}{{ e.key }}{{ e.value }}{% endfor %}", "x1y2"),
        ("{% for x in 1..2 %}{% for y in l %}{{ x }}{{ y }}{{ loop.index }} {% endfor %}{{ loop.index }};{% endfor %}", "1a0 1b1 1c2 0;2a0 2b1 2c2 1;"),
        ("{% set s = 0 %}{% for x in [1, 2, 3] %}{% set s = s + x %}{% endfor %}{{ s }}", "6"),
        ("{% for x in l %}{% set inner = x %}{% endfor %}{{ inner ?? 'gone' }}", "gone"),
        ("{% set n = n + 1 %}{{ n }}", "3"),
        ("{% macro tag(name, kind='p') %}<{{ kind }}>{{ name }}{% endmacro %}{{ tag('a') }}{{ tag('b', kind='i') }}{{ tag(name='c') }}", "<p>a<i>b<p>c"),
        ("{{ later(1) }}{% macro later(x) %}[{{ x }}]{% endmacro %}", "[1]"),
        ("{% macro m() %}{{ n }}{% endmacro %}{{ m() ?? 'sees nothing outside' }}", "sees nothing outside"),
        ("{% macro a(x) %}{{ b(x) }}{% endmacro %}{% macro b(x) %}<{{ x }}>{% endmacro %}{{ a(1) }}", "<1>"),
        ('{% block "post" %} content {% endblock %}{{ block("post") }}', " content  content "),
        ("{% block a %}{{ n }}{% endblock a %}", "2"),
        ("{% filter upper %}a{{ n }}b{% endfilter %}", "A2B"),
        ("{% filter upper | replace({'A': 'z'}) %}ab{% endfilter %}", "zB"),
        ("a{# comment {{ nope }} #}b", "ab"),
        ("a {{- 1 -}} b", "a1b"),
        ("a {%- if true -%} b {%- endif -%} c", "abc"),
        ("a {#- x -#} b", "ab"),
        ("{{ -1 }}{{-1}}", "-1-1"),
        ("{% if true %}\nx\n{% endif %}\n", "\nx\n\n"),
        ("a\r\n{{ n }}\r\nb", "a\r\n2\r\nb"),
        ("{% raw %}{{ n }} {% if %}{% endraw %}{{ n }}", "{{ n }} {% if %}2"),
        ("{% verbatim %}{{ n }} {% if %}{% endverbatim %}", "{{ n }} {% if %}"),
        ("{ n } {a} }} %}", "{ n } {a} }} %}"),
    ],
)
def test_a_template_renders(template: str, text: str) -> None:
    assert RENDERER.render(template, CONTEXT) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% if n %}", 'expected "endif"'),
        ("{% if %}x{% endif %}", "Unexpected token"),
        ("{% endif %}", 'Unexpected tag name "endif"'),
        ("{% for x of l %}{% endfor %}", "expected"),
        ("{% for true in l %}{% endfor %}", "Can not assign a value to true"),
        ("{% for x in 5 %}{% endfor %}", "Not an iterable object"),
        ("{% if none %}{% endif %}", "null value given to if"),
        ("{% set null = 1 %}", "Can not assign"),
        ("{% include 'x' %}", "Unexpected tag name"),
        ("{% import 'x' %}", "Unexpected tag name"),
        ("{% extends 'x' %}", "Unexpected tag name"),
        ("{% raw %}\n{{ x }}{% endraw %}", "on one line"),
        ("{% block a %}{% endblock %}{% block a %}{% endblock %}", "defined twice"),
        ("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "at most 1"),
        ("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "does not exist for 'm'"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "Too many calls"),
        ("{# open", "Unclosed comment"),
        ("{{ open", "Unclosed"),
        ("{% verbatim %}open", "Unclosed verbatim"),
        ("{% filter upper", "Unclosed"),
        ("{% loop %}", "Unexpected tag name"),
    ],
)
def test_a_template_is_refused(template: str, problem: str) -> None:
    with pytest.raises(ExpressionFailed) as raised:
        RENDERER.render(template, CONTEXT)
    assert problem in str(raised.value)


def test_raw_text_outlives_every_round_of_rendering() -> None:
    context = {"a": "{{ b }}", "b": "{% raw %}{{ kept }}{% endraw %} {{ c }}", "c": "end"}
    assert RENDERER.render("{{ render(a) }}", context) == "{{ kept }} end"


def test_a_failure_inside_a_body_leaves_the_variables_as_they_were() -> None:
    template = "{% macro m(n) %}{% for x in [1] %}{{ nope }}{% endfor %}{% endmacro %}{{ m(5) ?? 'd' }}{{ n }}{{ x ?? 'out' }}"
    assert RENDERER.render(template, CONTEXT) == "d2out"
