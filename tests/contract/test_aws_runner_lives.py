"""Jobs of AWS Batch keep the contract of task runners: how they are stopped, and found again."""

from __future__ import annotations

import pytest

from orchestrator.sdk.runner_contract.adoption import AdoptionContract
from orchestrator.sdk.runner_contract.stops import StopsContract
from tests.contract.aws_runner_site import AwsRunnerSite

pytestmark = pytest.mark.docker


class TestAwsBatch(AwsRunnerSite, StopsContract, AdoptionContract):
    """Nothing of its own."""
