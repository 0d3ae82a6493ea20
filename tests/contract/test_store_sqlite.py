"""The store on SQLite keeps the port's promises, and says clearly when its file cannot be used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import BadSettings, Refused, StoreUnavailable
from orchestrator.store.opening import open_store
from orchestrator.store.port import Condition, StateStore
from tests.contract.store_contract import StoreContract
from tests.contract.store_durable_contract import SECOND, DurableContract, next_version, opened
from tests.contract.store_namespace_contract import NamespaceContract
from tests.contract.store_search_contract import SearchContract
from tests.contract.store_values import NOON, a_run, an_execution, saved

__all__ = ["next_version"]  # a fixture


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "orchestrator.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


class TestSQLite(StoreContract, NamespaceContract, SearchContract, DurableContract):
    @pytest.fixture
    def store(self, url: str) -> Iterator[StateStore]:
        with opened(url) as store:
            store.take_ownership("tests", NOON)
            yield store


def _message(url: str, *, migrate: bool = True) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url, migrate=migrate)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_file_and_its_journal_are_readable_by_their_owner_only(url: str, file: Path) -> None:
    with opened(url) as store:
        store.take_ownership("w", NOON)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.glob("orchestrator.db*")}
    assert set(modes.values()) == {0o600}
    assert "orchestrator.db-wal" in modes


def test_a_file_that_others_may_read_is_closed_to_them(url: str, file: Path) -> None:
    with opened(url):
        pass
    file.chmod(0o644)
    with opened(url):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_commits_reach_the_disk_before_they_are_answered(url: str) -> None:
    with opened(url) as store, store._writer.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert pragmas == ["wal", 2, 1]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    said = _message(f"sqlite:///{tmp_path}/nowhere/o.db")
    assert f"{tmp_path}/nowhere/o.db" in said
    assert "folder does not exist" in said


def test_a_missing_file_is_not_made_by_a_reader(url: str, file: Path) -> None:
    assert str(file) in _message(url, migrate=False)
    with pytest.raises(StoreUnavailable, match="does not exist"):
        open_store(url, migrate=True, read_only=True)
    assert not file.exists()


def test_a_folder_in_the_file_s_place_is_named(tmp_path: Path) -> None:
    assert "is not a file" in _message(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("lines", [1, 1000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(url: str, file: Path, lines: int) -> None:
    file.write_text("id: hello\n" * lines)
    said = _message(url)
    assert str(file) in said
    assert "not an SQLite database" in said
    assert "name another file" in said
    assert file.read_text() == "id: hello\n" * lines


def _fill(url: str) -> None:
    with opened(url) as store:
        store.take_ownership("w", NOON)
        saved(store, executions=[an_execution()], task_runs=[a_run(f"t{n}", outputs={"x": "y" * 900}) for n in range(500)])


def test_a_damaged_file_is_refused(url: str, file: Path) -> None:
    _fill(url)
    content = bytearray(file.read_bytes())
    for start in range(4096 * 3, len(content) - 4096, 4096 * 7):
        content[start : start + 200] = b"\xff" * 200
    file.write_bytes(content)
    said = _message(url)
    assert str(file) in said
    assert "damaged" in said
    assert "backup" in said


def test_a_file_cut_short_is_refused(url: str, file: Path) -> None:
    _fill(url)
    os.truncate(file, file.stat().st_size // 2 // 4096 * 4096)
    assert "damaged" in _message(url)


def test_damage_met_while_reading_is_told_the_same_way(url: str, file: Path) -> None:
    _fill(url)
    content = bytearray(file.read_bytes())
    content[4096 * 4 :] = os.urandom(len(content) - 4096 * 4)
    file.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="damaged"), opened(url, migrate=False) as store:
        store.execution_json("e1")


def test_another_program_s_database_is_refused_and_left_alone(url: str, file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE bookmarks (id INTEGER)")
    other.close()
    before = file.read_bytes()
    assert "tables of something else (bookmarks)" in _message(url)
    assert file.read_bytes() == before


@contextmanager
def _as_a_plain_user(folder: Path) -> Iterator[None]:
    """Root may write anywhere: become a user without rights for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_may_not_be_written_is_refused(exists: bool) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        url = f"sqlite:///{folder}/o.db"
        if exists:
            with opened(url):
                pass
            (folder / "o.db").chmod(0o666)
        folder.chmod(0o555)
        with _as_a_plain_user(folder):
            said = _message(url)
        assert f"{folder}/o.db" in said
        assert "writable for this user" in said
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_file_that_may_not_be_written_is_refused() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        with opened(f"sqlite:///{folder}/o.db"):
            pass
        (folder / "o.db").chmod(0o444)
        folder.chmod(0o777)
        with _as_a_plain_user(folder):
            assert "writable for this user" in _message(f"sqlite:///{folder}/o.db")
    finally:
        shutil.rmtree(folder)


def test_the_file_is_copied_beside_itself_before_its_schema_changes(url: str, file: Path, next_version: Callable[[str], None]) -> None:
    with opened(url) as store:
        store.take_ownership("w", NOON)
        saved(store, executions=[an_execution()])
        next_version(SECOND)
        with opened(url):  # the first is still open: its rows are in the journal
            pass
    copy = file.with_name("orchestrator.db.bak-0001")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as found:
        tables = {name for (name,) in found.execute("SELECT name FROM sqlite_master")}
        assert found.execute("SELECT id FROM executions").fetchall() == [("e1",)]
    found.close()
    assert "second" not in tables
    assert list(file.parent.glob("*.partial")) == []


def test_a_new_file_has_no_copy(url: str, file: Path) -> None:
    with opened(url):
        assert list(file.parent.glob("*.bak-*")) == []


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "postgresql+asyncpg://u:hidden@h/d"])
def test_a_url_of_another_kind_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadSettings, match="write sqlite:////") as caught:
        open_store(url, migrate=True)
    assert "hidden" not in str(caught.value)


def test_a_pattern_that_takes_for_ever_ends_the_search(url: str) -> None:
    with opened(url) as store:
        store.take_ownership("w", NOON)
        saved(store, executions=[an_execution("a" * 60 + "!")])
        with pytest.raises(Refused):
            store.executions([Condition("id", "REGEX", "^(a|aa)+$")])
