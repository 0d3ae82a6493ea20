"""Which machines a server lets work for it."""

from __future__ import annotations

import pytest

from orchestrator.model.versions import Versions, misfits, serves

SERVER = Versions(orchestrator="0.4.2", ray="2.60.0", python="3.11.7")


@pytest.mark.parametrize("machine", ["0.4.2", "0.4.0", "0.4.9", "0.4.3rc1"])
def test_a_machine_of_the_same_minor_version_is_served_whatever_its_patch_level(machine: str) -> None:
    assert misfits(SERVER.model_copy(update={"orchestrator": machine}), SERVER) == []


@pytest.mark.parametrize("machine", ["0.3.2", "0.5.0", "1.4.2", "0.40.2", "", "nonsense"])
def test_a_machine_of_another_minor_version_is_refused_with_both_versions(machine: str) -> None:
    (told,) = misfits(SERVER.model_copy(update={"orchestrator": machine}), SERVER)
    assert told == f"orchestrator {machine} (the server has 0.4.2 and serves 0.4.x)"
    assert not serves("0.4.2", machine)


def test_ray_must_be_the_very_same_and_python_to_its_patch_level() -> None:
    assert misfits(Versions(orchestrator="0.4.2", ray="2.60.1", python="3.11.8"), SERVER) == [
        "ray 2.60.1 (the server has 2.60.0)",
        "python 3.11.8 (the server has 3.11.7)",
    ]
