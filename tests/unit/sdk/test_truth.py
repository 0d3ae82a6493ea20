"""What counts as true in a condition."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.sdk import truthy


@pytest.mark.parametrize("value", ["", "  ", "false", "0", "-0", "0.0", "-0.00", None, False, 0, 0.0, [], {}])
def test_this_is_false(value: Any) -> None:
    assert truthy(value) is False


@pytest.mark.parametrize("value", ["true", "False", "1", "-1", "0.1", "no", "null", "-", ".", "+", "0x", True, 1, [0], {"a": 1}])
def test_this_is_true(value: Any) -> None:
    assert truthy(value) is True
