"""A small storm of kills, timeouts and crashes over Docker runs leaves nothing behind; a great one blows in `make soak`."""

from __future__ import annotations

import pytest

from tests.soak.docker_storm import house, leaks, storm

pytestmark = [pytest.mark.ray, pytest.mark.docker, pytest.mark.timeout(300)]


def test_a_small_storm_leaves_nothing_behind() -> None:
    with house(seed=7) as found:
        storm(found, runs=10, blows=14, at_once=5)
        assert leaks(found, within=60) == []
        assert found.wrong == []
