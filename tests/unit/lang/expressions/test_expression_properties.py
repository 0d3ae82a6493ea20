"""What holds for any template: it renders or fails cleanly, and values survive being printed and read."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer, problem_of, references, to_json

RENDERER = Renderer()
CONTEXT: dict[str, Any] = {"a": {"b": [1, "x", None]}, "n": 3, "s": "text", "f": 1.5, "flow": {"namespace": "x"}}
# fmt: off
PIECES = st.sampled_from([
    "{{", "}}", "{%", "%}", "{#", "#}", "-", "a", ".b", "[0]", "n", "s", "'x'", '"#{n}"', "1", "2.5", "..", "~", "|", "upper", "first", "(", ")", "[",
    "]", "{", "}", ":", ",", "?", "??", "???", "==", "is", "not", "defined", "contains", "and", "or", "if", "endif", "for", "in", "endfor", "else",
    "set", "=", "macro", "endmacro", "m", "block", "endblock", "filter", "endfilter", "raw", "endraw", "verbatim", "endverbatim", "render", "range",
    "*", "/", "%", "+", "\\", '"', " ", "\n",
])
# fmt: on
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
NUMBER = st.integers(0, 50).map(str)
OPERATION = st.sampled_from(["+", "-", "*"])


def rendered_or_refused(template: str) -> None:
    with contextlib.suppress(ExpressionFailed):
        RENDERER.render(template, CONTEXT)


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=400, deadline=None)
def test_any_mix_of_the_languages_pieces_renders_or_is_refused(template: str) -> None:
    rendered_or_refused(template)
    references(template)
    problem_of(template)


@given(st.lists(PIECES, max_size=12).map(" ".join))
@settings(max_examples=400, deadline=None)
def test_any_mix_inside_a_print_renders_or_is_refused(inside: str) -> None:
    rendered_or_refused("{{ " + inside + " }}")


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_renders_or_is_refused(text: str) -> None:
    rendered_or_refused("{{" + text + "}}")
    rendered_or_refused(text)


@given(st.text().filter(lambda text: "{" not in text))
def test_text_without_braces_is_itself(text: str) -> None:
    assert RENDERER.render(text, {}) == text


@given(JSON)
def test_json_survives_being_printed_and_read(value: Any) -> None:
    assert json.loads(to_json(value)) == value
    assert RENDERER.render_typed("{{ fromJson(x) == y }}", {"x": to_json(value), "y": value}) is True


@given(JSON)
def test_yaml_survives_being_written_and_read(value: Any) -> None:
    assert RENDERER.render_typed("{{ yaml(x | yaml) }}", {"x": value}) == value


@given(JSON)
def test_ion_survives_being_written_and_read(value: Any) -> None:
    assert RENDERER.render_typed("{{ fromIon(x | toIon) }}", {"x": value}) == value


@given(st.text().filter(lambda text: "\\" not in text))
def test_a_string_literal_gives_its_text(text: str) -> None:
    assert RENDERER.render_typed("{{ '" + text.replace("'", "\\'") + "' }}", {}) == text


@given(st.lists(st.tuples(NUMBER, OPERATION), min_size=1, max_size=8), NUMBER)
def test_arithmetic_binds_as_everywhere(steps: list[tuple[str, str]], last: str) -> None:
    expression = "".join(f"{number} {operation} " for number, operation in steps) + last
    assert RENDERER.render_typed("{{ " + expression + " }}", {}) == eval(expression)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - given their zone below
def test_a_date_survives_a_pattern_both_ways(local: datetime) -> None:
    at = local.replace(tzinfo=UTC)
    pattern = "EEE, d MMMM yyyy hh:mm:ss.SSSSSS a Z"
    template = "{{ d | date(p, timeZone='UTC') | date('iso', existingFormat=p, timeZone='UTC') == (d | date(timeZone='UTC')) }}"
    assert RENDERER.render(template, {"d": at, "p": pattern}) == "true"
