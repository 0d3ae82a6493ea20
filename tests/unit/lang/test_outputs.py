"""Flow outputs as the types they declare."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import TaskFailed
from orchestrator.lang.flows import parse
from orchestrator.lang.outputs import resolve_outputs
from orchestrator.lang.sealing import Sealer, is_sealed
from orchestrator.model.flow import Flow
from tests.unit.lang.toys import resolve


def flow(kind: str) -> Flow:
    return parse(f"id: f\nnamespace: n\ntasks: [{{id: t, type: Log, message: x}}]\noutputs: [{{id: o, value: x{kind}}}]\n", resolve=resolve)


@pytest.mark.parametrize(
    ("kind", "rendered", "kept"),
    [
        ("", {"a": 1}, {"a": 1}),
        (", type: STRING", {"value": "x"}, '{"value":"x"}'),
        (", type: STRING", 7, "7"),
        (", type: INT", "7", 7),
        (", type: ARRAY", ["a", "b"], ["a", "b"]),
        (", type: ARRAY", "[1, 2]", [1, 2]),
        (", type: JSON", '{"a": 1}', {"a": 1}),
        (", type: BOOLEAN", "true", True),
        (", type: INT, required: false", "", None),
    ],
)
def test_an_output_is_read_as_its_type(kind: str, rendered: Any, kept: Any) -> None:
    assert resolve_outputs(flow(kind), {"o": rendered}) == {"o": kept}


@pytest.mark.parametrize(
    ("kind", "rendered", "said"),
    [
        (", type: INT", "x", "o: Invalid output for `o`, it must be a whole number, but received `x`"),
        (", type: INT", "", "o: Invalid output for `o`, missing required output, but received ``"),
    ],
)
def test_an_output_that_does_not_fit_fails(kind: str, rendered: Any, said: str) -> None:
    with pytest.raises(TaskFailed) as failed:
        resolve_outputs(flow(kind), {"o": rendered})
    assert str(failed.value) == said


def test_a_secret_output_is_kept_sealed_or_refused() -> None:
    assert is_sealed(resolve_outputs(flow(", type: SECRET"), {"o": "hush"}, seal=Sealer(b"k" * 32).seal)["o"])
    with pytest.raises(TaskFailed, match="ORCHESTRATOR_ENCRYPTION_SECRET_KEY") as failed:
        resolve_outputs(flow(", type: SECRET"), {"o": "hush"})
    assert "hush" not in str(failed.value)
