"""How expressions find variables, and what they say when there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer, Undefined

RENDERER = Renderer()
CONTEXT: dict[str, Any] = {
    "inputs": {"name": "you", "list": [10, 20, 30], "nothing": None, "map": {"7": "seven"}, "zero": 0, "empty": ""},
    "outputs": {"1_return": {"value": "v"}, "a b": {"value": "spaced"}, "each": {"x": {"value": 1}}},
    "taskrun": {"value": "x"},
}


class Lazy(Mapping[str, Any]):
    """A map that is no dict and counts what was asked of it."""

    def __init__(self, held: dict[str, Any]) -> None:
        self.held = held
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> Any:
        self.asked.append(key)
        return self.held[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no braces # here %", "no braces # here %"),
        ("Hello {{ inputs.name }}!", "Hello you!"),
        ("{{ outputs.1_return.value }}", "v"),
        ("{{ outputs['a b'].value }}", "spaced"),
        ('{{ outputs["a b"]["value"] }}', "spaced"),
        ("{{ outputs.each[taskrun.value].value }}", "1"),
        ("{{ inputs.list[1] }}", "20"),
        ("{{ inputs.list.2 }}", "30"),
        ("{{ inputs.map[7] }}", "seven"),
        ("{{ inputs.nothing }}", ""),
        ("{{ (inputs).name }}", "you"),
        ("{{ inputs.nothing ?? 'd' }}", "d"),
        ("{{ inputs.nothing ??? 'd' }}", ""),
        ("{{ inputs.missing ??? 'd' }}", "d"),
        ("{{ inputs.empty ?? 'd' }}|{{ inputs.zero ?? 'd' }}", "|0"),
        ("{{ nope.a.b[inputs.also].c ?? inputs.missing ?? 'last' }}", "last"),
        ("{{ inputs.missing is defined }}{{ inputs.nothing is defined }}{{ inputs.name is defined }}", "falsefalsetrue"),
        ("{{ nope is not defined ? 'none' : nope }}", "none"),
        ("{{ true ? 'a' : nope }}", "a"),
        ("{{ nope | default('d') }}{{ inputs.empty | default('e') }}{{ inputs.zero | default('f') }}", "de0"),
    ],
)
def test_a_variable_renders(template: str, text: str) -> None:
    assert RENDERER.render(template, CONTEXT) == text


@pytest.mark.parametrize(
    ("template", "name", "line"),
    [
        ("{{ nope }}", "nope", 1),
        ("\n\n{{ inputs.missing }}", "missing", 3),
        ("{{ nope.child.grandchild }}", "nope", 1),
        ("{{ inputs.nothing.child }}", "child", 1),
        ("{{ inputs.list[3] }}", "3", 1),
        ("{{ inputs.list[0 - 1] }}", "-1", 1),
        ("{{ inputs.name.length }}", "length", 1),
        ("{{ inputs.missing ?? nope }}", "nope", 1),
    ],
)
def test_what_is_undefined_is_named_with_its_expression_and_line(template: str, name: str, line: int) -> None:
    with pytest.raises(Undefined) as raised:
        RENDERER.render(template, CONTEXT)
    assert str(raised.value) == f"Unable to find `{name}` used in the expression `{template}` at line {line}"


def test_a_null_variable_with_an_attribute_is_named_itself() -> None:
    with pytest.raises(Undefined, match="Unable to find `gone` used"):
        RENDERER.render("{{ gone.child }}", {"gone": None})


def test_maps_of_any_kind_are_read_key_by_key() -> None:
    lazy = Lazy({"a": Lazy({"b": "deep"}), "unused": 1})
    context = Lazy({"outputs": lazy, "other": 2})
    assert RENDERER.render("{{ outputs.a.b }}", context) == "deep"
    assert (context.asked, lazy.asked) == (["outputs"], ["a"])
    assert RENDERER.render("{{ outputs }}{{ outputs | keys }}", context) == '{"a":{"b":"deep"},"unused":1}["a","unused"]'
    assert RENDERER.render("{% for e in outputs.a %}{{ e.key }}={{ e.value }}{% endfor %}", context) == "b=deep"


def test_a_variable_named_like_a_function_hides_nothing() -> None:
    assert RENDERER.render("{{ range(1, 2) }}{{ range }}{{ max }}", {"range": "r", "max": "m"}) == "[1,2]rm"


def test_rendering_is_not_recursive() -> None:
    context = {"a": "{{ b }}", "b": "deep", "m": {"{{ b }}": ["{{ b }}"]}}
    assert RENDERER.render("{{ a }}", context) == "{{ b }}"
    assert RENDERER.render("{{ render(a) }}{{ render(m) }}", context) == 'deep{"deep":["deep"]}'


def test_render_goes_on_until_nothing_changes_and_render_once_does_not() -> None:
    context = {"a": "{{ b }}", "b": "{{ c }}", "c": 1, "n": 42, "none": None}
    assert RENDERER.render("{{ render(a) }} {{ renderOnce(a) }} {{ render(a, recursive=false) }}", context) == "1 {{ c }} {{ c }}"
    assert RENDERER.render_typed("{{ render(n) }}", context) == 42
    assert RENDERER.render("{{ render(none) }}", context) == ""


@pytest.mark.parametrize("context", [{"a": "{{ b }}", "b": "{{ a }}"}, {"a": "{{ render(a) }}"}, {"a": "x{{ a }}"}])
def test_endless_rendering_ends(context: dict[str, Any]) -> None:
    with pytest.raises(ExpressionFailed, match=r"Too many rendering attempts|more than"):
        RENDERER.render("{{ render(a) }}", context)


def test_maps_and_lists_are_rendered_through_with_their_keys_in_order() -> None:
    value = {"{{ a }}": ["{{ b }}", 1, {"x": "{{ a }}{{ b }}"}], "k": "second", "n": None, "t": True}
    rendered = RENDERER.render_any(value, {"a": "k", "b": 2})
    assert rendered == {"k": ["2", 1, {"x": "k2"}], "n": None, "t": True}
    assert list(rendered) == ["k", "n", "t"]


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ 1 }}", 1),
        ("{{ l }}", [1, 2]),
        ("{{ null }}", None),
        ("{{ 1 }}{{ 2 }}", 3),
        ("{{ 1 }}{{ 2.5 }}", 3.5),
        ("a{{ 'b' }}", "ab"),
        ("{{ null }}{{ 5 }}", 5),
        ("{{ l[0] == 1 }}", True),
        ("text", "text"),
    ],
)
def test_a_typed_rendering_keeps_and_adds_values(template: str, value: Any) -> None:
    rendered = RENDERER.render_typed(template, {"l": [1, 2]})
    assert rendered == value
    assert type(rendered) is type(value)


@pytest.mark.parametrize("template", ["{{ 1 }}{{ 'a' }}", " {{ 1 }}", "{{ true }}{{ 1 }}", "{{ [1] }}{{ [2] }}"])
def test_a_typed_rendering_refuses_to_add_what_does_not_fit(template: str) -> None:
    with pytest.raises(ExpressionFailed, match="Tried to add"):
        RENDERER.render_typed(template, {})


def test_the_context_can_be_printed() -> None:
    assert RENDERER.render("{{ printContext() }}", {"a": [1], "b": {}}) == '{"a":[1],"b":{}}'
    assert RENDERER.render("{{ fetchContext().a[0] }}", {"a": [1]}) == "1"


def test_current_each_output_is_indexed_by_the_parents_values_then_by_its_own() -> None:
    context = {
        "outputs": {"t": {"outer": {"inner": {"mine": {"value": "found"}}}}},
        "taskrun": {"value": "mine"},
        "parents": [{"taskrun": {"value": "inner"}}, {"taskrun": {"value": "outer"}}],
    }
    assert RENDERER.render("{{ currentEachOutput(outputs.t).value }}", context) == "found"
    assert RENDERER.render("{{ currentEachOutput(outputs.t).value }}", {"outputs": {"t": {"3": {"value": "v"}}}, "taskrun": {"value": 3}}) == "v"
    with pytest.raises(ExpressionFailed, match="No execution outputs"):
        RENDERER.render("{{ currentEachOutput(outputs.t) }}", {**context, "parents": [{"taskrun": {"value": "other"}}]})
