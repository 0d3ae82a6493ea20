"""Where settings come from, which source goes first, what is refused, and that their page tells of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from orchestrator import settings
from orchestrator.errors import BadSettings
from orchestrator.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs/settings.md").read_text()
ROWS = dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", PAGE, re.M))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "orchestrator.yaml"


def test_every_setting_stands_on_the_page_and_nothing_else() -> None:
    assert {name.replace("-", "_") for name in ROWS} == set(Settings.model_fields)


def test_the_defaults_on_the_page_are_those_in_force() -> None:
    told = {name.replace("-", "_"): yaml.safe_load(default.strip("`")) for name, default in ROWS.items() if default.startswith("`")}
    found = settings.load(environ={}).model_dump(mode="json")
    assert told == {name: found[name] for name in told}
    assert len(told) > 8


def test_the_file_on_the_page_is_taken_whole(file: Path) -> None:
    (written,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
    file.write_text(written)
    found = settings.load(environ={}, file=file)
    assert (found.port, found.slots, found.docker_allow, found.globals) == (8080, 16, ("volumes",), {"stage": "production"})
    assert found.database_url.startswith("postgresql+psycopg://")


def test_what_can_stand_in_the_file_only_is_told_so() -> None:
    lines = {name.replace("-", "_"): line for line in PAGE.splitlines() if (name := line.removeprefix("| `").partition("`")[0]) in ROWS}
    told = {name for name, line in lines.items() if "only in the file" in line}
    assert told == {name for name in settings.ONLY_IN_FILE if name not in {"envs", "secrets"}}  # those have variables of other names


def test_the_command_line_goes_before_variables_and_those_before_the_file(file: Path) -> None:
    file.write_text("port: 1\nslots: 2\ndata: here\n")
    found = settings.load({"port": 3, "data": None}, environ={"ORCHESTRATOR_PORT": "4", "ORCHESTRATOR_SLOTS": "5"}, file=file)
    assert (found.port, found.slots, found.data) == (3, 5, "here")


def test_the_file_of_the_variable_is_read_and_else_that_in_the_folder(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.load(environ={}).port == 8080
    file.write_text("port: 1\n")
    assert settings.load(environ={}).port == 1
    (tmp_path / "other.yaml").write_text("port: 2\n")
    assert settings.load(environ={"ORCHESTRATOR_CONFIG": "other.yaml"}).port == 2
    assert settings.load(environ={"ORCHESTRATOR_CONFIG": "other.yaml"}, file=file).port == 1


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("prot: 1\n", "unknown setting `prot`; did you mean `port`"),
        ("port: many\n", "`port`"),
        ("- port\n", "a map of settings is expected"),
        ("port: [\n", "is not YAML"),
        ("host: 0.0.0.0\n", "set ORCHESTRATOR_API_TOKEN first"),
        ("encryption-secret-key: c2hvcnQ=\n", "base64 of 32 bytes"),
        ("database: sqlite:///here.db\n", "from the root"),
    ],
)
def test_what_cannot_be_is_refused_with_where_it_stands(file: Path, written: str, words: str) -> None:
    file.write_text(written)
    with pytest.raises(BadSettings, match=re.escape(words)):
        settings.load(environ={}, file=file)


def test_secrets_and_envs_of_the_file_hold_beside_those_of_variables_which_go_first(file: Path) -> None:
    file.write_text("secrets: {shared: ZmlsZQ==, of_file: ZmlsZQ==}\nenvs: {shared: file, Of_File: file}\n")
    found = settings.load(environ={"SECRET_SHARED": "dmFyaWFibGU=", "ENV_SHARED": "variable"}, file=file)
    assert (found.secret("shared"), found.secret("OF_FILE")) == ("variable", "file")
    assert found.envs == {"shared": "variable", "of_file": "file"}


def test_a_refused_value_is_not_shown(file: Path) -> None:
    file.write_text("secrets: {KEY: [hunter2]}\n")
    with pytest.raises(BadSettings) as told:
        settings.load(environ={}, file=file)
    assert "hunter2" not in str(told.value)
    assert "secrets" in str(told.value)


@pytest.mark.parametrize("environ", [{}, {"ORCHESTRATOR_CONFIG": "/no/such.yaml"}])
def test_a_file_that_is_named_and_not_there_is_refused(environ: dict[str, str], file: Path) -> None:
    with pytest.raises(BadSettings, match=r"no settings file at .*: make it, or name another"):
        settings.load(environ=environ, file=None if environ else file)
