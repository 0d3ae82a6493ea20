"""AWS on this machine, for tests of flows: S3, IAM, EC2, STS and CloudWatch Logs are moto's, and AWS Batch runs real containers.

    with Emulator() as aws:
        aws.furnish(region="eu-west-1", queue="my-queue", environment="my-environment", bucket="my-bucket")
        aws.faults.hold("RUNNABLE", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
        ...                                       # endpointOverride: aws.url

Needs `pip install 'orchestrator[aws-emulator]'` and a Docker engine. `python -m orchestrator_plugins.aws.emulator` starts it by itself.
"""

from orchestrator_plugins.aws.emulator.faults import Faults
from orchestrator_plugins.aws.emulator.server import Account, Emulator

__all__ = ["Account", "Emulator", "Faults"]
