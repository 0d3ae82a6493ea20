from __future__ import annotations

import io
from pathlib import Path

import pytest

from orchestrator.errors import NotFound
from orchestrator.model.file_uri import FileUri, input_path, safe_name, task_path
from orchestrator.store.blobs import Blobs


def test_a_blob_is_whole_or_not_there(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob, size = blobs.write(io.BytesIO(b"x" * 3_000_000))
    with blobs.open(blob) as file:
        assert (len(file.read()), size) == (3_000_000, 3_000_000)

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the line is cut")

    with pytest.raises(OSError, match="cut"):
        blobs.write(Broken())
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [blob]


def test_a_removed_blob_is_gone_and_removing_it_again_is_harmless(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob, _ = blobs.write(io.BytesIO(b"x"))
    blobs.remove(blob)
    blobs.remove(blob)
    with pytest.raises(NotFound):
        blobs.open(blob)


@pytest.mark.parametrize("blob", ["", "../../etc/passwd", "a" * 31 + "/", "x"])
def test_text_of_a_user_is_never_a_path(tmp_path: Path, blob: str) -> None:
    with pytest.raises(NotFound):
        Blobs(tmp_path).open(blob)


def test_a_uri_is_read_back_as_it_was_made() -> None:
    uri = FileUri(namespace="io.kestra.tests", flow_id="my.flow", execution_id="abc", path=input_path("file", "a b.txt"))
    assert str(uri) == "kestra:///io/kestra/tests/my.flow/executions/abc/inputs/file/a_b.txt"
    assert FileUri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text", ["", "kestra:///", "kestra:///a/executions/b/c", "kestra:///a/b/executions/c/../d", "file:///a/b/executions/c/d", "kestra:///a/b/executions/c"]
)
def test_another_text_is_no_uri_of_a_file(text: str) -> None:
    with pytest.raises(ValueError, match="is not the URI"):
        FileUri.parse(text)


def test_a_name_becomes_one_harmless_segment() -> None:
    assert [safe_name(name) for name in ("../../x.csv", "C:\\dir\\y.txt", "", "...", "é.txt")] == ["x.csv", "y.txt", "file", "file", "_.txt"]
    assert task_path("t", "r1", "out.csv") == "/tasks/t/r1/out.csv"
