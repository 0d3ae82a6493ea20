"""`python -m orchestrator_plugins.aws.emulator`: the emulator by itself, until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import threading

from orchestrator_plugins.aws.emulator.server import Emulator


def main() -> None:
    """Start it, furnish it, say where it is, wait."""
    given = _arguments()
    stand_ins = dict(pair.partition("=")[::2] for pair in given.image)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with Emulator(host=given.host, port=given.port, account=given.account, region=given.region, images=stand_ins, pull=given.pull) as aws:
        made = aws.furnish(environment=given.environment, queue=given.queue, bucket=given.bucket, kind=given.kind)
        print(f"endpointOverride: {aws.url}")
        print(f"computeEnvironmentArn: {made.compute_environment_arn}")
        print(f"jobQueueArn: {made.job_queue_arn}")
        print(f"executionRoleArn: {made.role_arn}")
        print(f"bucket: {made.bucket}", flush=True)
        over.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m orchestrator_plugins.aws.emulator", description="AWS on this machine, for tests of flows.")
    parser.add_argument("--host", help="address to listen on; default: the Docker bridge's, which containers reach and other machines do not")
    parser.add_argument("--port", type=int, default=5010)
    parser.add_argument("--account", default="123456789012", help="the account's number, as it stands in ARNs")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--environment", default="emulated", help="name of the compute environment to make")
    parser.add_argument("--kind", default="FARGATE", choices=["FARGATE", "FARGATE_SPOT", "EC2", "SPOT"])
    parser.add_argument("--queue", default="emulated", help="name of the job queue to make")
    parser.add_argument("--bucket", default="emulated", help="name of the bucket to make")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=OTHER", help="run OTHER where a job names NAME; repeatable")
    parser.add_argument("--pull", action="store_true", help="let the engine pull images that it lacks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
