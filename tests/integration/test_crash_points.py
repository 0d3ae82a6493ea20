"""A sample of the crash points of `make soak`: whoever dies in the middle of a job, it ran once and was heard once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.crash_points import CrashSite, crash_site

pytestmark = [pytest.mark.ray, pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashSite]:
    with crash_site(tmp_path_factory.mktemp("crash-points")) as made:
        yield made


@pytest.mark.parametrize(("point", "victim"), [("after create", "supervisor"), ("line 3 taken", "both"), ("collected", "executor")])
def test_a_job_whose_keeper_dies_ran_once_and_was_heard_once(site: CrashSite, point: str, victim: str) -> None:
    site.crash(point, victim)
