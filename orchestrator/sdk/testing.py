"""The contract suite of task runners: subclass `RunnerContract`, give it a runner, and every promise of `sdk.runner` is tried.

    class TestSlurm(RunnerContract):
        many_lines = 5_000  # where a place is slow, the sizes may be smaller

        @pytest.fixture
        def runner(self): return Slurm(partition="test")

        @pytest.fixture
        def image(self): return "busybox"

What else may be given stands in `RunnerSite`. Needs pytest. Fakes to run single tasks with are in `sdk.fakes`.
"""

from __future__ import annotations

from orchestrator.sdk.runner_contract.adoption import AdoptionContract
from orchestrator.sdk.runner_contract.files import FilesContract
from orchestrator.sdk.runner_contract.site import NOW, SOON, Finish, Heard, MakeJob, RunnerSite, StoppingTools, Waiting, another, finished, until
from orchestrator.sdk.runner_contract.speech import SpeechContract
from orchestrator.sdk.runner_contract.stops import StopsContract

__all__ = [
    "NOW",
    "SOON",
    "Finish",
    "Heard",
    "MakeJob",
    "RunnerContract",
    "RunnerSite",
    "StoppingTools",
    "Waiting",
    "another",
    "finished",
    "until",
]


class RunnerContract(SpeechContract, FilesContract, StopsContract, AdoptionContract):
    """What every task runner keeps. What a runner declares not to do is passed over."""
