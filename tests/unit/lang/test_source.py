"""YAML 1.2 values, their places, and the bounds on what a text may ask of us."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import BadSettings
from orchestrator.lang.source import Mark, documents, parse_yaml, plain_yaml, read, without_revision

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<>é ", max_size=5).filter(lambda key: key != "<<"), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("12:30", "12:30"),
        ("010", 10),
        ("0o10", 8),
        ("0xff", 255),
        ("1_000", "1_000"),
        ("2023-01-01", "2023-01-01"),
        ("2023-01-01T00:00:00Z", "2023-01-01T00:00:00Z"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("-7", -7),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.0", 1.0),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!int '3'", 3),
        ("=", "="),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(written: str, meant: object) -> None:
    value = parse_yaml(f"a: {written}\n")["a"]
    assert (value, type(value)) == (meant, type(meant))


def test_keys_are_the_text_that_was_written() -> None:
    assert parse_yaml("on: 1\ntrue: 2\n010: 3\nnull: 4\n") == {"on": 1, "true": 2, "010": 3, "null": 4}


def test_every_value_and_key_has_its_place() -> None:
    source = read("id: a\ntasks:\n  - id: t\n    message: |\n      x\n    on: {é: b, c: dd}\n")
    assert source.mark(("id",)) == Mark(1, 5, 1)
    assert source.mark(("tasks", 0, "message"), key=True) == Mark(4, 5, 7)
    assert source.mark(("tasks", 0, "on", "c")) == Mark(6, 19, 2)


def test_a_value_that_was_not_written_has_the_place_of_what_holds_it() -> None:
    assert read("tasks:\n  - id: t\n").mark(("tasks", 0, "message", "x")) == Mark(2, 5, 1)


def test_a_merged_value_has_the_place_it_was_written_at() -> None:
    source = read("base: &b\n  x: 1\nuse:\n  <<: *b\n  y: 2\n")
    assert source.value["use"] == {"x": 1, "y": 2}
    assert source.mark(("use", "x")) == Mark(2, 6, 1)


def test_what_a_map_says_itself_wins_over_what_is_merged_in() -> None:
    assert parse_yaml("b: &b {x: 1, y: 1}\nc: &c {x: 2, z: 2}\nuse: {<<: [*b, *c], y: 3}\n")["use"] == {"x": 1, "y": 3, "z": 2}


def test_a_key_written_twice_is_refused_with_both_places() -> None:
    (problem,) = read("a: 1\nb:\n  c.d: 1\n  c.d: 2\n").problems
    assert (problem.code, problem.message, problem.mark) == ("duplicate-key", "Duplicate field 'c.d'", Mark(4, 3, 3))
    assert "3:3" in (problem.help or "")


def test_all_duplicate_keys_are_said_at_once() -> None:
    assert len(read("a: 1\na: 2\nb: {c: 1, c: 2}\n").problems) == 2


def test_anchors_that_stand_for_billions_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert [p.code for p in read("\n".join(lines)).problems] == ["too-large"]


def test_a_long_text_behind_many_aliases_is_refused() -> None:
    assert [p.code for p in read(f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 200)}]\n").problems] == ["too-large"]


def test_an_anchor_that_holds_itself_is_refused() -> None:
    assert [p.code for p in read("a: &a [*a]\n").problems] == ["bad-yaml"]


def test_deep_nesting_is_refused() -> None:
    assert [p.code for p in read("[" * 100_000 + "]" * 100_000).problems] == ["too-large"]


def test_a_long_document_is_refused() -> None:
    assert [p.code for p in read("a: " + "x" * 5_000_000).problems] == ["too-large"]


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\ta: 1", "a: *nothing", "a: \x01", "a: \ud800", "a: !!python/object:os.system x", "? [a]\n: b", "a: !!int x", "<<: 3"]
)
def test_broken_yaml_is_a_problem_with_a_place(text: str) -> None:
    (problem,) = read(text).problems
    assert problem.message.startswith("Illegal flow yaml: ")
    assert problem.mark.line >= 1


def test_the_place_of_a_syntax_error_is_where_it_was_seen() -> None:
    (problem,) = read("id: a\nmessage: x: y\n").problems
    assert (problem.mark.line, problem.mark.column) == (2, 11)


@given(JSON)
def test_json_reads_as_itself(value: object) -> None:
    assert parse_yaml(json.dumps(value)) == value


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    source = read(text)
    json.dumps(source.value, allow_nan=False)


def test_documents_are_split_at_their_separators_and_blank_ones_left_out() -> None:
    assert documents("---\nid: a\n---\n# only a comment\n---\nid: b\ntext: |\n  ---\n  x\n") == ("id: a\n", "id: b\ntext: |\n  ---\n  x\n")


def test_a_broken_document_does_not_hide_those_after_it() -> None:
    assert len(documents("a: [\n---\nid: b\n")) == 2


def test_a_leading_revision_is_not_part_of_the_source() -> None:
    assert without_revision("revision: 3\nid: a\n") == "id: a\n"
    assert without_revision("id: a\nrevision: 3\n") == "id: a\nrevision: 3\n"


def test_a_configuration_file_with_a_mistake_says_where() -> None:
    assert plain_yaml("# nothing\n") == {}
    with pytest.raises(BadSettings, match="line 3, column 3"):
        plain_yaml("a:\n  b: 1\n  b: 2\n")
