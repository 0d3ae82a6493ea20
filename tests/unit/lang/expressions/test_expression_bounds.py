"""What a template cannot reach, and how much it cannot use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer, Undefined
from orchestrator.lang.functions import limits

RENDERER = Renderer()


class Holder:
    """An object with something to steal."""

    secret = "stolen"

    def method(self) -> str:
        return self.secret


CONTEXT: dict[str, Any] = {"o": Holder(), "f": print, "s": "text", "l": [1], "m": {"k": 1}, "n": 1}


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__.__mro__[1].__subclasses__()",
        "s.__class__",
        "s['__class__']",
        "s.format",
        "m.__class__",
        "m.items",
        "m['__init__'].__globals__",
        "l.append",
        "n.real",
        "o.secret",
        "o['secret']",
        "o.method",
        "f.__globals__",
        "self.__init__.__globals__",
        "lipsum.__globals__",
        "cycler.__init__.__globals__.os",
        "namespace.__init__",
        "joiner",
        "dict",
        "context",
        "context.environment",
        "environment",
        "missing",
        "resolve",
        "config",
        "request",
        "loop.scope",
        "__builtins__",
        "range.__name__",
    ],
)
def test_nothing_but_data_can_be_reached(expression: str) -> None:
    with pytest.raises(ExpressionFailed) as raised:
        RENDERER.render("{{ " + expression + " }}", CONTEXT)
    assert isinstance(raised.value, Undefined) or "Only functions can be called" in str(raised.value)


@pytest.mark.parametrize(
    "expression",
    [
        "f('x')",
        "o.method()",
        "(f)('x')",
        "dict()",
        "open('/etc/passwd')",
        "eval('1')",
        "s | attr('__class__')",
        "s | map('upper')",
        "l | list",
        "s is callable",
        "s.upper()",
        "super()",
        "caller()",
    ],
)
def test_nothing_but_the_languages_own_functions_can_be_called(expression: str) -> None:
    with pytest.raises(ExpressionFailed, match=r"does not exist|Only functions can be called|Unexpected token"):
        RENDERER.render("{{ " + expression + " }}", CONTEXT)


def test_an_object_of_an_unknown_kind_is_not_printed() -> None:
    with pytest.raises(ExpressionFailed, match="type Holder cannot be printed"):
        RENDERER.render("{{ o }}", CONTEXT)


def test_text_that_looks_like_code_stays_text() -> None:
    hostile = '"; import os; x = \'\\\n{{ 1 }}"""'
    assert RENDERER.render("{{ s ~ '\"); import os #' }}" + '"""', {"s": hostile}) == hostile + '"); import os #"""'
    assert RENDERER.render("{% for __import__ in [1] %}{{ __import__ }}{% endfor %}{% set print = 2 %}{{ print }}", {}) == "12"


def bomb(levels: int) -> str:
    return "{% set a = [1,1,1,1,1,1,1,1,1,1] %}" + "{% set a = [a,a,a,a,a,a,a,a,a,a] %}" * levels


def doubling(rounds: int) -> str:
    return "{% set s = 'xxxxxxxxxx' %}{% for i in range(1, " + str(rounds) + ") %}{% set s = s ~ s %}{% endfor %}{{ s | length }}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ range(1, 1000000000) }}",
        "{{ 1..1000000000 }}",
        "{{ 'x' | indent(1000000000) }}",
        doubling(40),
        bomb(9) + "{{ a }}",
        bomb(9) + "{{ a | yaml }}",
        bomb(9) + "{{ a | toIon }}",
        bomb(9) + "{{ a | replace({'a': 'b'}) }}",
        bomb(9) + "{{ a | jq('.') }}",
        bomb(9) + "{% set b = [a, 1] %}{{ b == [a, 2] }}",
        bomb(9) + "{{ render(a) }}",
        "{% set n = 9999999999 %}{% for i in 1..40 %}{% set n = n * n %}{% endfor %}{{ n }}",
        "{% set l = [1] %}{% for i in 1..40 %}{% set l = l + l %}{% endfor %}{{ l }}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ " + "not " * 5000 + "true }}",
        "{{ " + "[" * 500 + "]" * 500 + " }}",
        "{{ 1" + " + 1" * 5000 + " }}",
        "{{ a" + ".b" * 20000 + " }}",
        "{% if true %}" * 500 + "{% endif %}" * 500,
        "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
        "x" * (limits.TEMPLATE_CHARS + 1) + "{{ 1 }}",
    ],
    ids=lambda template: template[:40] + str(len(template)),
)
def test_a_template_that_wants_too_much_fails_soon(template: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ExpressionFailed):
        RENDERER.render(template, {})
    assert time.monotonic() - begun < 10


def test_a_typed_rendering_hands_out_no_value_that_is_larger_than_it_looks() -> None:
    with pytest.raises(ExpressionFailed, match="more than"):
        RENDERER.render_typed(bomb(9) + "{{ a }}", {})


@pytest.mark.parametrize(
    ("name", "bound", "template"),
    [
        ("REGEX_SECONDS", 0.05, "{{ s | replace({'(x+x+)+(x+x+)+y': ''}, regexp=true) }}"),
        ("JQ_SECONDS", 0.5, "{{ [1] | jq('def f: f; f') }}"),
        ("RENDER_SECONDS", 0.1, "{% for a in 1..1000 %}{% for b in 1..1000 %}{{ s | replace({'a': 'b'}) | length }}{% endfor %}{% endfor %}"),
        ("LOOP_TURNS", 1000, "{% for a in 1..100 %}{% for b in 1..100 %}{% endfor %}{% endfor %}"),
        ("OUTPUT_CHARS", 1000, "{{ s }}"),
    ],
)
def test_what_runs_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, name: str, bound: float, template: str) -> None:
    monkeypatch.setattr(limits, name, bound)
    begun = time.monotonic()
    with pytest.raises(ExpressionFailed, match=r"takes? more than|more than"):
        RENDERER.render(template, {"s": "x" * 5000})
    assert time.monotonic() - begun < 5


def test_jq_works_again_after_a_program_was_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as shorter:
        shorter.setattr(limits, "JQ_SECONDS", 0.5)
        with pytest.raises(ExpressionFailed):
            RENDERER.render("{{ [1] | jq('def f: f; f') }}", {})
    assert RENDERER.render("{{ [1] | jq('map(. + 1)') }}", {}) == "[[2]]"


def seconds_of(run: Callable[[], object], times: int) -> float:
    """The best of five rounds, per run."""
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(times):
            run()
        best = min(best, (time.perf_counter() - begun) / times)
    return best


@pytest.mark.alone
def test_a_typical_property_renders_in_less_than_fifty_microseconds_once_compiled() -> None:
    context = {"inputs": {"name": "n"}, "outputs": {"t": {"value": {"deep": [1, 2]}}}, "flow": {"id": "f", "namespace": "a.b"}}
    template = "s3://{{ flow.namespace }}/{{ outputs.t.value.deep[1] }}/{{ inputs.missing ?? inputs.name | upper }}.csv"
    assert RENDERER.render(template, context) == "s3://a.b/2/N.csv"
    assert seconds_of(lambda: RENDERER.render(template, context), 500) < 50e-6
    assert seconds_of(lambda: RENDERER.render("no template at all", context), 500) < 2e-6
