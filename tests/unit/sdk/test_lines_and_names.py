"""Lines cut from bytes, names made of runs, and values read as text."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from orchestrator.sdk import Late, LineSplitter, Parsed, Tasks, Text, job_key, job_labels, label_value, text_of
from orchestrator.sdk.fakes import INFO
from orchestrator.sdk.globs import fixed_part


def lines_of(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    found = [line for chunk in chunks for line in splitter.feed(chunk)]
    return [*found, *splitter.end()]


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"\xc3\xa4", b"\xff", b"\x0b", b"\x85"]), max_size=30), st.lists(st.integers(0, 40), max_size=8))
def test_lines_are_the_same_wherever_the_bytes_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    at = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    whole = re.split(rb"\r\n|\r|\n", data)
    expected = [line.decode(errors="replace") for line in (whole if whole[-1] else whole[:-1])]
    assert lines_of(*(data[low:high] for low, high in pairwise(at))) == expected


def test_a_progress_bars_line_does_not_wait_for_the_next() -> None:
    assert LineSplitter().feed(b"10%\r") == ["10%"]


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80), st.integers(0, 9))
def test_job_keys_are_names_that_every_back_end_takes(namespace: str, flow: str, task: str, generation: int) -> None:
    key = job_key(INFO.model_copy(update={"namespace": namespace, "flow_id": flow, "task_id": task, "generation": generation}))
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", key)


def test_a_re_dispatch_has_the_same_key_and_a_retry_another() -> None:
    retried = INFO.model_copy(update={"generation": 1})
    again = INFO.model_copy(update={"attempt": 7, "group": "gpu"})
    elsewhere = INFO.model_copy(update={"installation": "other"})
    assert job_key(again) == job_key(INFO)
    assert len({job_key(INFO), job_key(retried), job_key(elsewhere)}) == 3


def test_labels_name_the_run_and_its_owner() -> None:
    assert job_labels(INFO) == {
        "namespace": "acme",
        "flow-id": "flow",
        "task-id": "task",
        "execution-id": "e1",
        "taskrun-id": "r1",
        "taskrun-attempt": "0",
        "installation": "test",
        "job": job_key(INFO),
    }


@pytest.mark.parametrize(("text", "value"), [("a" * 70, "a" * 63), ("a" * 62 + "-b", "a" * 62), ("ok_.-", "ok"), ("", "")])
def test_label_values_are_cut_and_stripped(text: str, value: str) -> None:
    assert label_value(text) == value


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (1, "1"), (1.5, "1.5"), (True, "true"), (None, "null"), ({"k": ["ä", 1]}, '{"k":["ä",1]}')])
def test_values_become_text_as_compact_json(value: object, text: str) -> None:
    assert text_of(value) == text


def test_text_takes_numbers_and_booleans_and_nothing_else() -> None:
    text = TypeAdapter(Text)
    assert [text.validate_python(value) for value in ("a", 1, False, 2.5)] == ["a", "1", "false", "2.5"]
    for value in (None, [1], {"a": 1}):
        with pytest.raises(ValidationError):
            text.validate_python(value)


def test_parsed_takes_a_structure_or_its_json() -> None:
    numbers = TypeAdapter(Parsed[list[int]])
    assert numbers.validate_python([1]) == numbers.validate_python("[1]") == [1]
    with pytest.raises(ValidationError, match="is not JSON"):
        numbers.validate_python("[1")


def test_a_late_property_passes_a_template_and_checks_all_else() -> None:
    class Runner(BaseModel):
        count: Late[int]

    assert Runner.model_validate({"count": "{{ x }}"}).count == "{{ x }}"  # type: ignore[comparison-overlap]
    assert Runner.model_validate({"count": "3"}).count == 3
    with pytest.raises(ValidationError):
        Runner.model_validate({"count": "x"})


def test_null_is_the_empty_list_of_tasks() -> None:
    assert TypeAdapter(Tasks).validate_python(None) == ()


@pytest.mark.parametrize(("pattern", "part"), [("a/b.txt", "a/b.txt"), ("out/**", "out"), ("*.txt", ""), ("a/b*/c", "a"), ("**", ""), ("a/{b,c}/d", "a")])
def test_the_fixed_part_of_a_pattern_is_where_its_files_lie(pattern: str, part: str) -> None:
    assert fixed_part(pattern) == part
