"""How states, durations and trees look."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cli_fake_server import execution, task_run

from orchestrator.cli.client import Client, path
from orchestrator.cli.http_session import flow_key
from orchestrator.cli.live import picture
from orchestrator.cli.shapes import SHAPES, duration_text, seconds_in, tree
from orchestrator.cli.speech import harmless, table
from orchestrator.cli.streams import Once
from orchestrator.errors import BadSettings
from orchestrator.model.state import ENDED, State

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (0.34, "0.3s"), (9.97, "10s"), (59.6, "1m 00s"), (72, "1m 12s"), (3600, "1h 00m"), (7500, "2h 05m"), (273600, "3d 4h"), (-1, "0.0s")],
)
def test_durations_read_like_a_person_says_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_duration_that_goes_on_counts_until_now() -> None:
    assert seconds_in({"current": "RUNNING", "startDate": "2026-01-31T11:59:00.000Z"}, NOON) == 60
    assert seconds_in({"current": "SUCCESS", "duration": "PT1H2M3.5S"}, NOON) == 3723.5
    assert seconds_in({}, NOON) == 0


def test_every_state_has_a_shape_of_its_own_words() -> None:
    from orchestrator.cli import shapes

    assert set(SHAPES) == {state.value for state in State}
    assert {state.value for state in ENDED} == set(shapes.ENDED)


def test_a_task_run_whose_parent_is_unknown_stands_at_the_top() -> None:
    tops = tree([task_run("a", "RUNNING", parentTaskRunId="lost"), task_run("b", "CREATED", parentTaskRunId="run-a")])
    assert [(top.run["taskId"], [child.run["taskId"] for child in top.children]) for top in tops] == [("a", ["b"])]


def test_a_loop_of_thousands_is_drawn_in_a_few_lines_with_what_failed_among_them() -> None:
    runs = [task_run(f"t{n}", "FAILED" if n == 700 else "SUCCESS", parentTaskRunId="run-each") for n in range(5000)]
    lines = [line.plain for line in picture(execution("RUNNING", task_run("each", "RUNNING"), *runs), NOON)]
    assert len(lines) < 20
    assert any("✗ FAILED" in line and "t700" in line for line in lines)
    assert any("4,999 more: 4,999 ✓ SUCCESS" in line for line in lines)


def test_a_tree_shows_who_is_below_whom() -> None:
    runs = [
        task_run("all", "RUNNING"),
        task_run("one", "SUCCESS", parentTaskRunId="run-all"),
        task_run("two", "QUEUED", placement={"group": "gpu"}, phases=[{"name": "queued", "at": "2026-01-31T11:59:00Z"}], parentTaskRunId="run-all"),
    ]
    lines = [line.plain for line in picture(execution("RUNNING", *runs), NOON)]
    assert [line[:3] for line in lines[1:]] == ["└─ ", "   ", "   "]
    assert lines[2].startswith("   ├─ ✓ SUCCESS  one")
    assert lines[3].startswith("   └─ ◌ QUEUED   two")
    assert lines[3].endswith('no free worker in group "gpu"')


def test_a_line_passes_once_though_it_is_told_on_every_connection() -> None:
    once, line = Once(), {"message": "same"}
    once.again()
    assert [once.takes(line), once.takes(line)] == [True, True]
    once.again()
    assert [once.takes(line), once.takes(line), once.takes(line)] == [False, False, True]


def test_what_steers_a_terminal_is_taken_out() -> None:
    assert harmless("a\x1b[31mb\tc\x07\x9b") == "a[31mb\tc"
    assert table(("A", "B"), [("x\n", "yy")]) == "A  B\nx  yy"


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("id: a\nnamespace: b.c\ntasks: []", ("b.c", "a")),
        ("namespace: \"b.c\"  # mine\nid: 'a'\r\n", None),
        ("namespace: \"b.c\"  # mine\nid: 'a'\n", ("b.c", "a")),
        ("id: a\nid: b\nnamespace: c", None),
        ("tasks:\n  - id: a\nnamespace: c", None),
        ("{id: a, namespace: b}", None),
    ],
)
def test_the_key_of_a_flow_in_the_usual_layout_needs_no_parser(source: str, key: tuple[str, str] | None) -> None:
    assert flow_key(source) == key


def test_an_address_is_checked_and_completed() -> None:
    assert Client("localhost:8080/").url == "http://localhost:8080"
    assert path("flows", "a/b", "ü") == "/api/v1/flows/a%2Fb/%C3%BC"
    for wrong in ("", "http://", "http://h:port", "ftp://h"):
        with pytest.raises(BadSettings):
            Client(wrong)
