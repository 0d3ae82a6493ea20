"""Where secrets come from: the server's environment and file of settings, in base64, and a folder with a file for each."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from orchestrator.errors import BadSettings
from orchestrator.settings import Settings, load


def test_a_secret_of_the_environment_is_found_whatever_the_case_of_its_key(tmp_path: Path) -> None:
    environ = {"SECRET_API_KEY": base64.b64encode(b"hunter2").decode(), "ORCHESTRATOR_DATA": str(tmp_path)}
    found = load(environ=environ)
    assert (found.secret("API_KEY"), found.secret("api_key"), found.secret("OTHER")) == ("hunter2", "hunter2", None)
    assert "hunter2" not in repr(found)


def test_a_secret_that_is_not_base64_is_told_with_its_variable_and_without_its_text() -> None:
    with pytest.raises(BadSettings, match="set SECRET_KEY to the base64 of its text") as told:
        Settings(secrets={"KEY": "not base64!"}).secret("key")
    assert "not base64!" not in str(told.value)


def test_a_folder_gives_a_secret_for_each_file_as_it_is_just_now(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "db.password").write_text("hunter2\n")
    (folder / "TOKEN").write_text(" kept as it is \n\n")
    found = Settings(secrets_dir=str(folder), secrets={"TOKEN": base64.b64encode(b"of the environment").decode()})
    assert found.secret("db.password") == "hunter2"
    assert found.secret("token") == "of the environment"
    assert Settings(secrets_dir=str(folder)).secret("token") == " kept as it is \n"
    (folder / "db.password").write_text("another")
    assert found.secret("db.password") == "another"


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "..", "a/b", ".hidden", "", "a\0b"])
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "outside").write_text("x")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / ".hidden").write_text("x")
    assert Settings(secrets_dir=str(tmp_path / "secrets")).secret(key) is None


def test_a_file_that_is_no_text_is_told_without_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "KEY").write_bytes(b"\xff\xfehunter2")
    with pytest.raises(BadSettings, match="The secret 'KEY' cannot be read") as told:
        Settings(secrets_dir=str(tmp_path)).secret("KEY")
    assert "hunter2" not in str(told.value)
