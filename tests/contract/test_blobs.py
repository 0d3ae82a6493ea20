"""The bytes of files in a folder, in memory, and in a bucket of S3 or Google's storage: the same everywhere."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from orchestrator.errors import BadSettings, NotFound, StoreUnavailable
from orchestrator.runtime import ray_processes
from orchestrator.store.blobs import Blobs, open_blobs
from tests.contract.gcp_site import BUCKET, an_emulator

KEYS = {"key": "tester", "secret": "tester"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a server of S3 that has the bucket `files`."""
    (port,) = ray_processes.free_ports(1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{port}"
    try:
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="tester", aws_secret_access_key="tester")
        client.create_bucket(Bucket="files")
        yield url
    finally:
        server.stop()


@pytest.fixture(scope="module")
def gs() -> Iterator[str]:
    """The address of a server of Google Cloud Storage's protocol."""
    with an_emulator() as made:
        yield made.url


@pytest.fixture(params=["folder", "memory", "s3", "gs"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    places: dict[str, Callable[[], Blobs]] = {
        "folder": lambda: open_blobs(tmp_path, None, {}),
        "memory": lambda: open_blobs(tmp_path, f"memory://{uuid.uuid4().hex}", {}, check=True),
        "s3": lambda: open_blobs(tmp_path, "s3://files/some/prefix", {**KEYS, "endpoint_url": request.getfixturevalue("s3")}, check=True),
        "gs": lambda: open_blobs(tmp_path, f"gs://{BUCKET}/some/prefix", {"token": "anon", "endpoint_url": request.getfixturevalue("gs")}, check=True),
    }
    return places[request.param]()


def test_a_blob_is_given_back_whole_and_from_any_position(blobs: Blobs) -> None:
    data = bytes(range(256)) * 48_000  # more than is sent in one piece
    blob, size = blobs.write(io.BytesIO(data))
    assert size == len(data)
    with blobs.open(blob) as file:
        assert file.read() == data
        file.seek(2_999_000)
        assert file.read(10) == data[2_999_000:2_999_010]


def test_what_breaks_off_leaves_nothing(blobs: Blobs) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the line is cut")

    with pytest.raises(OSError, match="cut"):
        blobs.write(Broken())
    assert list(blobs.drafts.iterdir()) == []


def test_a_removed_blob_is_gone_and_removing_it_again_is_harmless(blobs: Blobs) -> None:
    blob, _ = blobs.write(io.BytesIO(b""))
    with blobs.open(blob) as file:
        assert file.read() == b""
    blobs.remove(blob)
    blobs.remove(blob)
    with pytest.raises(NotFound):
        blobs.open(blob)


@pytest.mark.parametrize("blob", ["", "../../etc/passwd", "a" * 31 + "/", "x"])
def test_text_of_a_user_is_never_a_path(blobs: Blobs, blob: str) -> None:
    for ask in (blobs.open, blobs.remove):
        with pytest.raises(NotFound):
            ask(blob)


def test_a_bucket_that_is_not_there_or_not_ours_is_refused_before_anything_starts(tmp_path: Path, s3: str) -> None:
    for url in ("s3://nothing/here", "s3://files"):
        options = {**KEYS, "endpoint_url": s3 if "nothing" in url else "http://127.0.0.1:1", "config_kwargs": {"retries": {"max_attempts": 1}}}
        with pytest.raises(BadSettings, match="cannot be used: "):
            open_blobs(tmp_path, url, options, check=True)
    with pytest.raises(BadSettings, match="is not a storage's URL"):
        open_blobs(tmp_path, "nowhere://x", {})


def test_a_service_that_has_gone_is_told_as_such(tmp_path: Path) -> None:
    options = {**KEYS, "endpoint_url": "http://127.0.0.1:1", "config_kwargs": {"retries": {"max_attempts": 1}}}
    blobs = open_blobs(tmp_path, "s3://files/x", options)
    with pytest.raises(StoreUnavailable, match="the storage s3://files/x cannot be used"):
        blobs.write(io.BytesIO(b"x"))
    with pytest.raises(StoreUnavailable):
        blobs.remove("a" * 32)
    assert list(blobs.drafts.iterdir()) == []
