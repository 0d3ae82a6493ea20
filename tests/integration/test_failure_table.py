"""Every row of the table of failures, once, within its bound. `make soak` does each twenty times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.integration.failure_table import SCENARIOS, Scene, scenes
from tests.integration.far_machine import able

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scenes(tmp_path_factory.mktemp("failures")) as found:
        yield found


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_outlasted_within_its_bound(scene: Scene, name: str) -> None:
    if "cut off" in name and not able():
        missing("root and iproute2, for a network that can be cut")
    seconds, bound = scene.bring_about(name), SCENARIOS[name][1]
    print(f"{name}: {seconds:.1f} s")
    assert bound is None or seconds <= bound
