"""Filters on text, lists, numbers and formats."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer, to_json, to_text, with_types

RENDERER = Renderer()
CONTEXT: dict[str, Any] = {
    "text": "hello World",
    "list": [3, 1, 2],
    "map": {"a": 1, "b": [1, {"c": "d"}]},
    "none": None,
    "when": datetime(2013, 9, 8, 16, 19, tzinfo=timezone(timedelta(hours=2))),
    "quoted": {"k": ["it's", '"x"']},
    "lines": "a\r\nb",
}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("text | upper", "HELLO WORLD"),
        ("text | lower", "hello world"),
        ("text | capitalize", "Hello World"),
        ("'hELLO wORLD' | title", "HELLO WORLD"),
        ("' a ' | trim", "a"),
        ("none | upper", ""),
        ("'abcdef' | abbreviate(5)", "ab..."),
        ("'abc' | abbreviate(5)", "abc"),
        ("'ab' | base64encode", "YWI="),
        ("'YWI=' | base64decode", "ab"),
        ("'a b&c~' | urlencode", "a+b%26c%7E"),
        ("'a+b%26c' | urldecode", "a b&c"),
        ("text | startsWith('hell')", "true"),
        ("text | endsWith('x')", "false"),
        ("quoted | escapeChar('single')", '{"k":["it\\\\\'s","\\"x\\""]}'),
        ("'a\"b' | escapeChar('DOUBLE')", 'a\\"b'),
        ("\"it's\" | escapeChar('shell')", "it'\\''s"),
        ("lines | indent(2)", "a\r\n  b"),
        ("lines | nindent(1, '>')", "\r\n>a\r\n>b"),
        ("'x' | nindent(2)", "\n  x"),
        ("'a.b.c' | substringBefore('.')", "a"),
        ("'a.b.c' | substringAfter('.')", "b.c"),
        ("'a.b.c' | substringBeforeLast('.')", "a.b"),
        ("'a.b.c' | substringAfterLast('.')", "c"),
        ("'abc' | substringBefore('x') ~ '|' ~ ('abc' | substringAfter('x')) ~ ('abc' | substringAfterLast('x'))", "abc|"),
        ("'Été à la_mer  !' | slugify", "ete-a-la-mer"),
        ("'a1b22' | replace({'a': 'x', '1': 'y'})", "xyb22"),
        ("'a1b22' | replace({'([0-9]+)': '<$1>'}, regexp=true)", "a<1>b<22>"),
        ("['a1', {'a': 'a'}] | replace({'a': 'z'})", '["z1",{"z":"z"}]'),
        ("'a, b,,' | split(',\\s*')", '["a","b"]'),
        ("'a,b,c' | split(',', 2)", '["a","b,c"]'),
        ("'a,b,' | split(',', -1)", '["a","b",""]'),
        ("'hello' | md5", "5d41402abc4b2a76b9719d911017c592"),
        ("'hello' | sha1", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        ("'hello' | sha256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ("('hello' | sha512) | length", "128"),
        ("list | sort", "[1,2,3]"),
        ("list | rsort", "[3,2,1]"),
        ("list | reverse", "[2,1,3]"),
        ("list | first ~ (list | last)", "32"),
        ("'abc' | first ~ ('abc' | last)", "ac"),
        ("[] | first", ""),
        ("list | join('-')", "3-1-2"),
        ("list | chunk(2)", "[[3,1],[2]]"),
        ("[[1], 2, [[3]]] | flatten", "[1,2,[3]]"),
        ("list | length ~ ('ab' | length) ~ (none | length)", "320"),
        ("map | keys", '["a","b"]'),
        ("list | keys", "[0,1,2]"),
        ("map | values | length", "2"),
        ("list | merge([4])", "[3,1,2,4]"),
        ("map | merge({'a': 2})", '{"a":2,"b":[1,{"c":"d"}]}'),
        ("list | slice(1)", "[1,2]"),
        ("'abcd' | slice(1, 3)", "bc"),
        ("-3 | abs", "3"),
        ("'42' | number + 1", "43"),
        ("'1.5' | number", "1.5"),
        ("'0x1F' | number('INT')", "31"),
        ("'1.10' | number('BIGDECIMAL')", "1.10"),
        ("1.232654 | numberFormat('#.##')", "1.23"),
        ("2 | numberFormat('0.00')", "2.00"),
        ("1234567.891 | numberFormat('#,##0.0')", "1,234,567.9"),
        ("0.125 | numberFormat('0.00')", "0.12"),
        ("0.5 | numberFormat('#%')", "50%"),
        ("-5 | numberFormat(\"0 'units'\")", "-5 units"),
        ("'x' | className", "java.lang.String"),
        ("1.5 | className", "java.lang.Double"),
        ("map | toJson", '{"a":1,"b":[1,{"c":"d"}]}'),
        ("'a\"é' | json", '"a\\"é"'),
        ("none | toJson", "null"),
        ("when | toJson", '"2013-09-08T16:19:00+02:00"'),
        ("when", "2013-09-08T16:19+02:00"),
        ('fromJson(\'{"a":[1,{"b":2}]}\').a[1].b', "2"),
        ("json('[1]')[0]", "1"),
        ("fromJson(null)", ""),
        ("yaml('a: [1, x]').a[1]", "x"),
        ("map | yaml", "a: 1\nb:\n - 1\n - c: d\n"),
        ("{'a b': 'true', 'c': '', 'd': 'x: y', 'e': []} | yaml", 'a b: "true"\nc: ""\nd: "x: y"\ne: []\n'),
        ("map | toIon", '{a:1,b:[1,{c:"d"}]}'),
        ("1.0 | toIon", "1.0e0"),
        ("when | toIon", 'ZonedDateTime::"2013-09-08T16:19:00+02:00"'),
        ("fromIon('{a: [1, 2.5, x, \"y\", null.int, true], \\'b c\\': note::{d: 1}}')", '{"a":[1,2.5,"x","y",null,true],"b c":{"d":1}}'),
        ("fromIon('{date:2024-04-21T23:00:00.000Z}').date | date('yyyy', timeZone='UTC')", "2024"),
        ("map | jq('.b[1].c')", '["d"]'),
        ("map | jq('.missing') | first", ""),
        ("none | jq('.a')", ""),
        ("'[1,2]' | jq('.[1]') | first", "2"),
        ("list | jq('map(. * 2) | add')", "[12]"),
        ("list | jq('.[] | select(. > 1)')", "[3,2]"),
    ],
)
def test_a_filter_gives(expression: str, text: str) -> None:
    assert RENDERER.render("{{ " + expression + " }}", CONTEXT) == text


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("1 | chunk(2)", "'chunk' filter can only be applied to List. Actual type was: java.lang.Integer"),
        ("[1] | chunk(0)", "greater than 0"),
        ("1 | keys", "'keys' filter can only be applied to"),
        ("list | values", "'values' filter can only be applied to Map"),
        ("1 | flatten", "'flatten' filter"),
        ("1 | md5", "'md5' filter can only be applied to String"),
        ("1 | number", "'number' filter can only be applied to String"),
        ("'abc' | number", "is not a valid number"),
        ("'1' | number('HUGE')", "must be one of"),
        ("'x' | escapeChar('foo')", "either 'single', 'double', or 'shell'"),
        ("'abc' | slice(2, 9)", "smaller than input size: 3"),
        ("list | slice(2, 1)", "greater than fromIndex"),
        ("'x' | base64decode", "not base64"),
        ("'a' | replace({'(': 'x'}, regexp=true)", "is not a regular expression"),
        ("'a' | replace({'a': '$1'}, regexp=true)", "no group"),
        ("[1, 'a'] | sort", "cannot compare"),
        ("none | merge(null)", "arguments to be merged are null"),
        ("fromJson('{a}')", "Unable to parse the value as JSON"),
        ("fromJson(1)", "expects an argument 'json'"),
        ("fromIon('{not: ion')", "Unable to parse the value as Ion"),
        ("yaml('a: &x 1\nb: *x')", "Anchors are not resolved"),
        ("list | jq('nosuch')", "Unable to run the jq program"),
        ("list | jq('import \"x\" as $x; 1')", "may not load modules"),
        ("'{' | jq('.')", "Unable to parse the value as JSON"),
        ("encrypt('c2hvcnQ=', 'x')", "must be 16, 24 or 32 bytes"),
        ("randomInt(10, 1)", "upper is less than lower"),
        ("randomInt('1', '10')", "Integer"),
    ],
)
def test_a_filter_refuses(expression: str, problem: str) -> None:
    with pytest.raises(ExpressionFailed) as raised:
        RENDERER.render("{{ " + expression + " }}", CONTEXT)
    assert problem in str(raised.value)


def test_jq_sees_nothing_of_the_servers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SERVER_SECRET", "hidden")
    assert "hidden" not in RENDERER.render("{{ [1] | jq('env') }}{{ [1] | jq('$ENV') }}", {})


def test_what_was_encrypted_can_be_decrypted_and_only_with_its_key() -> None:
    context = {"k": "I6EGNzRESu3X3pKZidrqCGOHQFUFC0yK", "other": "I6EGNzRESu3X3pKZidrqCGOHQFUFC0yL"}
    assert RENDERER.render("{{ decrypt(k, encrypt(k, 'toto')) }}", context) == "toto"
    assert RENDERER.render("{{ encrypt(k, 'toto') }}", context) != RENDERER.render("{{ encrypt(k, 'toto') }}", context)
    with pytest.raises(ExpressionFailed, match="not encrypted with this key"):
        RENDERER.render("{{ decrypt(other, encrypt(k, 'toto')) }}", context)


def test_ids_are_short_unique_and_of_letters_and_digits() -> None:
    ids = {RENDERER.render("{{ id() }}", {}) for _ in range(50)}
    assert len(ids) == 50
    assert all(made.isalnum() and len(made) <= 22 for made in ids)


def test_a_random_number_lies_between_its_bounds() -> None:
    assert {RENDERER.render("{{ randomInt(1, 4) }}", {}) for _ in range(200)} == {"1", "2", "3"}
    assert RENDERER.render("{{ randomInt(7, 7) }}", {}) == "7"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (1.0, "1.0"),
        (12345678.9, "1.23456789E7"),
        (0.00012, "1.2E-4"),
        (Decimal("1.50"), "1.50"),
        (datetime(2024, 5, 6, 7, 8, tzinfo=UTC), "2024-05-06T07:08:00Z"),
        (datetime(2024, 5, 6, 7, 8, 9, 123000), "2024-05-06T07:08:09.123"),  # noqa: DTZ001 - a local date
        (date(2024, 5, 6), "2024-05-06"),
        (timedelta(seconds=5), "PT5S"),
        ({"a": [None, 1.5, datetime(2024, 5, 6, 7, 8, tzinfo=UTC)]}, '{"a":[null,1.5,"2024-05-06T07:08:00Z"]}'),
        ([timedelta(minutes=1), "é\n"], '["PT1M","é\\n"]'),
        ((), "[]"),
    ],
)
def test_a_value_prints_as_java_does(value: Any, text: str) -> None:
    assert to_text(value) == text


def test_json_is_compact_and_reads_back() -> None:
    value = {"a": [1, 2.5, None, True, 'x"y\\z'], "b": {}, "c": []}
    assert json.loads(to_json(value)) == value
    assert " " not in to_json(value)


def test_typed_values_are_read_from_their_written_form() -> None:
    value = with_types(
        {"z": {"$zoned": "2013-09-08T16:19:00+02:00"}, "l": [{"$duration": "PT5S"}], "d": {"$date": "2024-05-06"}, "i": {"$instant": "2013-09-08T15:19:12Z"}}
    )
    rendered = RENDERER.render("{{ z }} {{ l[0] }} {{ d }} {{ i }}", value)
    assert rendered == "2013-09-08T16:19+02:00 PT5S 2024-05-06 2013-09-08T15:19:12Z"
    with pytest.raises(ExpressionFailed, match=r"is no value of type \$zoned"):
        with_types({"$zoned": "today"})
