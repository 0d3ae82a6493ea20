"""Which variables a template names."""

from __future__ import annotations

import pytest

from orchestrator.lang.expressions import is_template, problem_of, references, references_of


@pytest.mark.parametrize(
    ("template", "paths"),
    [
        ("plain", set()),
        ("{{ 1 }}", set()),
        ("{{ outputs.t1.value }}", {("outputs", "t1", "value")}),
        ("{{ outputs['t'][taskrun.value].x }}", {("outputs", "t"), ("taskrun", "value")}),
        ("{{ outputs.t.list[0].x }}", {("outputs", "t", "list", "0", "x")}),
        ("{{ inputs }}", {("inputs",)}),
        ("{{ (outputs.t).value | default(inputs.d) }}", {("outputs", "t"), ("inputs", "d")}),
        ("{{ a.b ?? c.d ? e : f }}", {("a", "b"), ("c", "d"), ("e",), ("f",)}),
        ('{{ "x#{vars.v}y" ~ [labels.l, {k: envs.e}] }}', {("vars", "v"), ("labels", "l"), ("k",), ("envs", "e")}),
        ("{% if inputs.a is defined %}{{ b }}{% elseif c %}{% else %}{{ d }}{% endif %}", {("inputs", "a"), ("b",), ("c",), ("d",)}),
        ("{% set x = outputs.a %}{{ x.b }}", {("outputs", "a"), ("x", "b")}),
        ("{{ printContext() }}", {("*",)}),
        ("{{ render(vars.v) }}", {("*",), ("vars", "v")}),
        ("{{ render('{{ inputs.x }}') }}", {("inputs", "x")}),
        ("{{ currentEachOutput(outputs.t).value }}", {("outputs", "t"), ("taskrun",), ("parents",), ("parent",)}),
        ("{{ secret('k') }}{{ kv(key=inputs.k) }}", {("flow", "namespace"), ("inputs", "k")}),
        ("{{ read('f') }}", {("flow",), ("execution",), ("trigger",)}),
        ("{% raw %}{{ a }}{% endraw %}{# {{ b }} #}", set()),
        ("{{ broken", set()),
    ],
)
def test_a_template_names(template: str, paths: set[tuple[str, ...]]) -> None:
    assert references(template) == paths


def test_all_text_in_a_value_is_looked_at() -> None:
    value = {"{{ a }}": ["{{ b.c }}", 1, None, {"k": "{{ d }}"}], "plain": "text"}
    assert references_of(value) == {("a",), ("b", "c"), ("d",)}


@pytest.mark.parametrize(("text", "is_one"), [("{{ x }}", True), ("a{% if %}", True), ("{# c #}", True), ("{ x }", False), ("", False)])
def test_a_template_is_told_by_its_braces(text: str, is_one: bool) -> None:
    assert is_template(text) is is_one


def test_a_template_can_be_checked_without_being_rendered() -> None:
    assert problem_of("{{ nope.x ?? secret('k') }}") is None
    assert "Filter [nosuch] does not exist." in str(problem_of("{{ 1 | nosuch }}"))
