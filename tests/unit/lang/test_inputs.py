"""Every type of input, good and bad, and how they depend on each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.errors import InputInvalid
from orchestrator.lang.expressions import Renderer
from orchestrator.lang.flows import parse
from orchestrator.lang.inputs import resolve, validate_each
from orchestrator.lang.sealing import Sealer
from orchestrator.model.flow import Flow
from tests.unit.lang.toys import resolve as toys

SEALER = Sealer(b"k" * 32)


def flow(*declared: str) -> Flow:
    listed = "\n".join(f"  - {one}" for one in declared)
    return parse(f"id: f\nnamespace: n\ntasks: [{{id: t, type: Log, message: x}}]\ninputs:\n{listed}\n", resolve=toys)


def resolved(made: Flow, given: Mapping[str, Any] | None = None, files: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    options = {"renderer": Renderer(), "variables": {"flow": {"id": "f"}}, "seal": SEALER.seal, **more}
    return resolve(made, given or {}, files or {}, **options)


@pytest.mark.parametrize(
    ("declared", "given", "kept"),
    [
        ("type: STRING", "a b", "a b"),
        ("type: STRING", "", ""),
        ("type: STRING", 7, "7"),
        ("type: INT", "42", 42),
        ("type: INT", 42, 42),
        ("type: FLOAT", "42.42", 42.42),
        ("type: FLOAT", 3, 3.0),
        ("type: BOOLEAN", "True", True),
        ("type: BOOL", "false", False),
        ("type: BOOLEAN", True, True),
        ("type: DATETIME", "2019-10-06T18:27:49Z", "2019-10-06T18:27:49Z"),
        ("type: DATETIME", "2019-10-06T20:27:49.5+02:00", "2019-10-06T18:27:49.500000Z"),
        ("type: DATE", "2019-10-06", "2019-10-06"),
        ("type: TIME", "18:27", "18:27:00"),
        ("type: DURATION", "PT5M6S", "PT5M6S"),
        ("type: DURATION", "PT90S", "PT1M30S"),
        ("type: JSON", '{"a": [1]}', {"a": [1]}),
        ("type: JSON", {"a": 1}, {"a": 1}),
        ("type: YAML", "a: [on, 010]\n", {"a": ["on", 10]}),
        ("type: URI", "https://www.google.com?a=b", "https://www.google.com?a=b"),
        ("type: EMAIL", "a.b@c.org", "a.b@c.org"),
        ("type: ENUM, values: [A, 1]", "1", "1"),
        ("type: SELECT, values: [A, B]", "B", "B"),
        ("type: SELECT, values: [A], allowCustomValue: true", "Z", "Z"),
        ("type: SELECT, expression: \"{{ ['x', 'y'] }}\"", "y", "y"),
        ("type: MULTISELECT, values: [A, B, C]", '["A", "C"]', ["A", "C"]),
        ("type: MULTISELECT, options: [A, B]", ["B"], ["B"]),
        ("type: ARRAY, itemType: INT", '["1", 2]', [1, 2]),
        ("type: ARRAY, itemType: DATE", '["2020-01-01"]', ["2020-01-01"]),
        ("type: FILE", "kestra:///n/f/x", "kestra:///n/f/x"),
        ("type: INT, min: 10, max: 20", "20", 20),
        ("type: STRING, validator: 'A\\d+'", "A123", "A123"),
    ],
)
def test_a_good_value_is_kept_as_its_type(declared: str, given: object, kept: object) -> None:
    value = resolved(flow(f"{{id: a, {declared}}}"), {"a": given})["a"]
    assert (value, type(value)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("declared", "given", "said"),
    [
        ("type: INT", "x", "it must be a whole number, but received `x`"),
        ("type: INT", "1.5", "it must be a whole number, but received `1.5`"),
        ("type: INT", True, "it must be a whole number, but received `true`"),
        ("type: FLOAT", "nan", "it must be a number, but received `nan`"),
        ("type: BOOLEAN", "maybe", "it must be true or false, but received `maybe`"),
        ("type: DATETIME", "2019-10-06T18:27:49", "it must be a date and time with a zone such as 2019-10-06T18:27:49Z, but received `2019-10-06T18:27:49`"),
        ("type: DATE", "2019-13-06", "it must be a date such as 2019-10-06, but received `2019-13-06`"),
        ("type: TIME", "25:00", "it must be a time such as 18:27:49, but received `25:00`"),
        ("type: DURATION", "5 min", "it must be an ISO-8601 duration such as PT30S, but received `5 min`"),
        ("type: JSON", "{a}", "it must be JSON, but received `{a}`"),
        ("type: JSON", "NaN", "it must be JSON, but received `NaN`"),
        ("type: YAML", "a: [", "it must be YAML (line 2, column 1: did not find expected node content), but received `a: [`"),
        ("type: URI", "not a uri", "it must be a URI, but received `not a uri`"),
        ("type: EMAIL", "nobody", "it must be a valid email address, but received `nobody`"),
        ("type: FILE", "/etc/passwd", "it must be a file, but received `/etc/passwd`"),
        ("type: ENUM, values: [ENUM_VALUE, OTHER_ONE]", "INVALID", "it must match the values `[ENUM_VALUE, OTHER_ONE]`, but received `INVALID`"),
        ("type: SELECT, values: [A]", "B", "it must match the values `[A]`, but received `B`"),
        ("type: MULTISELECT, values: [A]", '["A", "B"]', 'it must match the values `[A]`, but received `["A", "B"]`'),
        ("type: ARRAY, itemType: INT", '["s1", "s2"]', 'Unable to parse array element as `INT` on `s1`, but received `["s1", "s2"]`'),
        ("type: ARRAY, itemType: INT", "7", "it must be a list such as [1, 2], but received `7`"),
        ("type: STRING, validator: 'A\\d+'", "foo", "it must match the pattern `A\\d+`, but received `foo`"),
        ("type: INT, min: 10", "9", "it must be more than `10`, but received `9`"),
        ("type: INT, max: 20", "21", "it must be less than `20`, but received `21`"),
        ("type: FLOAT, min: 0.1", "0.01", "it must be more than `0.1`, but received `0.01`"),
        ("type: DATE, after: 2023-01-01", "2022-01-01", "it must be after `2023-01-01`, but received `2022-01-01`"),
        ("type: DATE, before: 2023-12-31", "2024-01-01", "it must be before `2023-12-31`, but received `2024-01-01`"),
        (
            "type: DATETIME, after: '2023-01-01T00:00:00Z'",
            "2022-01-01T00:00:00Z",
            "it must be after `2023-01-01T00:00:00Z`, but received `2022-01-01T00:00:00Z`",
        ),
        ("type: TIME, after: '01:00:00'", "00:00:01", "it must be after `01:00`, but received `00:00:01`"),
        ("type: TIME, before: '11:59:59'", "14:00:00", "it must be before `11:59:59`, but received `14:00:00`"),
        ("type: DURATION, min: PT10S", "PT1S", "It must be more than `PT10S`, but received `PT1S`"),
        ("type: DURATION, max: PT20S", "PT30S", "It must be less than `PT20S`, but received `PT30S`"),
        ("type: FILE, allowedFileExtensions: [.csv]", "kestra:///a.txt", "its name must end with one of `[.csv]`, but received `kestra:///a.txt`"),
    ],
)
def test_a_bad_value_is_refused_with_its_input_and_the_rule(declared: str, given: object, said: str) -> None:
    with pytest.raises(InputInvalid) as refused:
        resolved(flow(f"{{id: a, {declared}}}"), {"a": given})
    assert str(refused.value) == f"a: Invalid input for `a`, {said}"


def test_a_missing_required_input_is_refused() -> None:
    with pytest.raises(InputInvalid) as refused:
        resolved(flow("{id: string, type: STRING}"))
    assert str(refused.value) == "string: Invalid input for `string`, missing required input, but received `null`"


def test_all_bad_inputs_are_said_at_once() -> None:
    with pytest.raises(InputInvalid) as refused:
        resolved(flow("{id: a, type: INT}", "{id: b, type: INT}"), {"a": "x"})
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == ["a", "b"]


def test_an_optional_input_without_a_value_is_null() -> None:
    assert resolved(flow("{id: a, type: BOOLEAN, required: false}", "{id: b, type: STRING, required: false}")) == {"a": None, "b": None}


def test_an_input_that_is_not_declared_is_ignored() -> None:
    assert resolved(flow("{id: a, type: STRING}"), {"a": "x", "b": "y"}) == {"a": "x"}


def test_dotted_ids_become_nested_maps() -> None:
    made = flow("{id: n.string, type: STRING}", "{id: n.more.int, type: INT}")
    assert resolved(made, {"n.string": "s", "n.more.int": "1"}) == {"n": {"string": "s", "more": {"int": 1}}}
    assert resolved(made, {"n": {"string": "s", "more": {"int": 1}}}) == {"n": {"string": "s", "more": {"int": 1}}}


def test_a_default_is_rendered_and_typed() -> None:
    made = flow(
        "{id: a, type: STRING, defaults: '0', validator: '\\d'}",
        "{id: b, type: INT, defaults: '{{ 1 + 1 }}'}",
        "{id: c, type: STRING, defaults: '{{ flow.id }}'}",
        "{id: d, type: YAML, defaults: {list: ['{{ flow.id }}', 2]}}",
        "{id: e, type: STRING, defaults: ''}",
    )
    assert resolved(made) == {"a": "0", "b": 2, "c": "f", "d": {"list": ["f", 2]}, "e": ""}


def test_what_is_given_wins_over_the_default() -> None:
    assert resolved(flow("{id: a, type: INT, defaults: 1}"), {"a": "2"}) == {"a": 2}


def test_an_upload_gives_its_uri() -> None:
    assert resolved(flow("{id: a, type: FILE}"), {}, {"a": "kestra:///n/f/up.yml"}) == {"a": "kestra:///n/f/up.yml"}


def test_a_secret_is_kept_sealed() -> None:
    kept = resolved(flow("{id: a, type: SECRET}"), {"a": "hush"})["a"]
    assert "hush" not in str(kept)
    assert SEALER.open(kept) == "hush"


def test_a_secret_that_breaks_a_rule_is_not_told() -> None:
    with pytest.raises(InputInvalid) as refused:
        resolved(flow("{id: a, type: SECRET, validator: 'x+'}"), {"a": "hush"})
    assert "hush" not in str(refused.value)


def test_a_secret_without_a_key_is_refused_naming_the_setting() -> None:
    with pytest.raises(InputInvalid, match="ORCHESTRATOR_ENCRYPTION_SECRET_KEY"):
        resolved(flow("{id: a, type: SECRET}"), {"a": "hush"}, seal=None)


def test_a_pattern_that_would_take_for_ever_is_given_up() -> None:
    with pytest.raises(InputInvalid, match="pattern"):
        resolved(flow("{id: a, type: STRING, validator: '(a|a?)+b'}"), {"a": "a" * 64})


class TestDependencies:
    DECLARED = (
        "{id: two, type: STRING, dependsOn: {inputs: [one], condition: \"{{ inputs.one == 'v1' }}\"}}",
        "{id: three, type: STRING, dependsOn: {inputs: [two]}}",
        "{id: one, type: STRING}",
    )

    def test_an_input_whose_condition_holds_is_there(self) -> None:
        assert resolved(flow(*self.DECLARED), {"one": "v1", "two": "v2", "three": "v3"}) == {"one": "v1", "two": "v2", "three": "v3"}

    def test_one_whose_condition_fails_is_left_out_with_all_that_need_it(self) -> None:
        assert resolved(flow(*self.DECLARED), {"one": "other", "two": "v2", "three": "v3"}) == {"one": "other"}

    def test_a_condition_that_cannot_be_evaluated_is_refused(self) -> None:
        made = flow("{id: a, type: STRING}", '{id: b, type: STRING, dependsOn: {inputs: [a], condition: "{{ inputs.dummy }}"}}')
        with pytest.raises(InputInvalid, match=r"^b: its condition cannot be evaluated"):
            resolved(made, {"a": "x", "b": "y"})


def test_each_input_can_be_asked_about_without_an_error() -> None:
    made = flow("{id: a, type: INT}", "{id: b, type: SECRET}", "{id: c, type: STRING, dependsOn: {inputs: [a], condition: 'false'}}")
    states = validate_each(made, {"a": "x", "b": "hush"}, {}, renderer=Renderer(), variables={})
    assert [(s.input["id"], s.value, s.enabled, len(s.errors)) for s in states] == [("a", None, True, 1), ("b", None, True, 0), ("c", None, False, 0)]
    assert "hush" not in str(states)
