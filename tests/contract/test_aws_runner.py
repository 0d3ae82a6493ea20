"""Jobs of AWS Batch keep the contract of task runners: what they say, and their files. The rest is in `test_aws_runner_lives`, beside this one."""

from __future__ import annotations

import pytest

from orchestrator.sdk.runner_contract.files import FilesContract
from orchestrator.sdk.runner_contract.speech import SpeechContract
from tests.contract.aws_runner_site import AwsRunnerSite

pytestmark = pytest.mark.docker


class TestAwsBatch(AwsRunnerSite, SpeechContract, FilesContract):
    """Nothing of its own."""
