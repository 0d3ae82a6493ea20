"""The conformance floor may rise and never fall."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.check_floor import ALL, Floor, raised, read, rows, write

FLOOR = Floor(files=("a",), tags={"each": 2, "if": 1})


def _result(outcome: str, *tags: str) -> dict[str, object]:
    return {"id": "x", "file": "a.yaml", "outcome": outcome, "tags": list(tags)}


def test_a_tag_with_as_many_passes_as_its_floor_holds() -> None:
    table = {row.tag: row for row in rows(FLOOR, [_result("passed", "each"), _result("passed", "each", "if"), _result("failed", "if")])}
    assert all(row.holds for row in table.values())
    assert (table["if"].passed, table["if"].failed, table[ALL].passed) == (1, 1, 2)


def test_one_pass_fewer_is_below_the_floor() -> None:
    table = {row.tag: row for row in rows(FLOOR, [_result("passed", "each"), _result("skipped", "each")])}
    assert not table["each"].holds
    assert not table["if"].holds, "a tag without any case is below too"


def test_raising_lifts_and_never_lowers() -> None:
    lifted = raised(FLOOR, rows(FLOOR, [_result("passed", "if")] * 3))
    assert lifted.tags == {"each": 2, "if": 3, ALL: 3}


def test_a_floor_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(FLOOR, tmp_path / "floor.json")
    assert read(tmp_path / "floor.json") == FLOOR


def test_the_floor_of_the_repository_can_be_read() -> None:
    assert read().files
