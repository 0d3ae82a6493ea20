"""The emulator of Google Cloud as its users start it, asked through Google's own clients."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sdk import Job, JobRejected
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.testing import Heard
from orchestrator_plugins.gcp.client import BucketClient, LogClient
from orchestrator_plugins.gcp.emulator import Emulator
from orchestrator_plugins.gcp.facts import stamp
from orchestrator_plugins.gcp.place import Endpoints, Place
from orchestrator_plugins.gcp.runner import Batch
from tests.contract.gcp_site import IMAGE, an_emulator, need_docker

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with an_emulator(buckets=("mine",)) as made:
        yield made


@pytest.fixture
def place(emulator: Emulator) -> Place:
    return Place("p1", "r1", Endpoints(emulator.url, emulator.url, emulator.url))


def never() -> bool:
    return False


def asked(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=20) as answer:
        return json.loads(answer.read())


def test_its_command_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    need_docker()
    command = [sys.executable, "-m", "orchestrator_plugins.gcp.emulator", "--image", f"busybox={IMAGE}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" at ")[1].split()[0]
        asked(f"{url}/emulator/faults", {"kind": "lose-answer", "method": "CreateJob"})
        runner = Batch.model_validate({"endpointOverride": url, "projectId": "p1", "region": "r1", "completionCheckInterval": "PT0.2S"})
        job = Job(key="job-of-command", argv=("echo", "hi"), working_dir=str(tmp_path), image=IMAGE, labels={"installation": "i"})
        handle, heard = runner.start(job, runner.prepare(job), FakeTools()), Heard()
        assert (runner.wait(handle, heard).code, heard.texts) == (0, ["hi"])
        told = asked(f"{url}/emulator/calls")
        assert (told["created"], told["calls"]["CreateJob"]) == (["job-of-command"], 2)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_it_listens_nowhere_that_others_reach() -> None:
    need_docker()
    with pytest.raises(ValueError, match="loopback or the engine's bridge alone"):
        Emulator(host="0.0.0.0")


def test_an_unknown_fault_is_refused_with_those_there_are(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"no such fault `flood`: throttle, .*glue-logs"):
        emulator.order("flood")


def test_entries_are_listed_from_a_time_on_page_by_page(emulator: Emulator, place: Place) -> None:
    for n in range(2500):
        emulator.log.write("p1", "j", "u1", f"line {n}", stderr=n % 2 == 1)
        emulator.log.write("p1", "k", "u2", "another's", stderr=False)
    logs = LogClient(place)
    everything = list(logs.entries(["u1"], stamp(0)))
    assert [one.text for one in everything] == [f"line {n}" for n in range(2500)]
    assert [one.stderr for one in everything[:3]] == [False, True, False]
    later = list(logs.entries(["u1"], stamp(everything[1200].at)))
    assert [one.key for one in later] == [one.key for one in everything[1200:]]
    assert list(logs.entries(["u1"], stamp(0), received=stamp(everything[-1].received + 1))) == []
    logs.close()


def test_more_objects_than_one_answer_holds_are_listed_and_removed(emulator: Emulator, place: Place) -> None:
    folder = emulator.storage.buckets.folder / "mine" / "inst" / "many"
    folder.mkdir(parents=True)
    for n in range(1100):
        (folder / f"{n:05d}").touch()
    with BucketClient(place, "mine") as bucket:
        bucket.put("inst/one/ä b", io.BytesIO(b"x" * 100), never)
        bucket.put("inst/one/empty", io.BytesIO(), never)
        assert bucket.prefixes("inst/") == ["inst/many/", "inst/one/"]
        assert b"".join(bucket.chunks("inst/one/ä b")) == b"x" * 100
        bucket.delete_below("inst/many/")
        assert bucket.prefixes("inst/") == ["inst/one/"]
        with pytest.raises(ValueError, match="prefix of no job"):
            bucket.delete_below("inst/")
        bucket.delete_below("inst/one/")


def test_a_large_object_arrives_in_parts_and_whole(place: Place) -> None:
    content = bytes(range(256)) * (20 << 12)
    with BucketClient(place, "mine") as bucket:
        bucket.put("inst/large/x", io.BytesIO(content), never)
        assert b"".join(bucket.chunks("inst/large/x")) == content
        bucket.delete_below("inst/large/")


def test_a_bucket_that_is_not_there_is_told(place: Place) -> None:
    with BucketClient(place, "another") as bucket, pytest.raises(JobRejected, match="bucket does not exist"):
        bucket.put("inst/one/x", io.BytesIO(b"x"), never)
