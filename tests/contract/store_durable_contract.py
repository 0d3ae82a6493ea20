"""What a store that outlives its process must do besides. Subclass it and give it a `url` fixture: a database with nothing in it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from orchestrator.errors import Fenced, StoreUnavailable
from orchestrator.model.state import State
from orchestrator.store import schema, upgrading
from orchestrator.store.database import DatabaseStore
from orchestrator.store.opening import open_store
from orchestrator.store.port import Changes, LogFilter
from tests.contract.store_values import NOON, a_key, a_line, a_run, an_execution, life, saved

ROOT = Path(__file__).parents[2]
SECOND = '''"""A second step, for the tests."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("second", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO second (id) VALUES (1)")
'''


@contextmanager
def opened(url: str, *, migrate: bool = True, read_only: bool = False) -> Iterator[DatabaseStore]:
    store = open_store(url, migrate=migrate, read_only=read_only)
    assert isinstance(store, DatabaseStore)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this code one schema step newer, a step of the text given."""

    installed = upgrading.MIGRATIONS

    def become(step: str) -> None:
        steps = tmp_path / "migrations"
        shutil.copytree(installed, steps, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        (steps / "versions" / "0002_second.py").write_text(step)
        monkeypatch.setattr(upgrading, "MIGRATIONS", steps)

    return become


class DurableContract:
    # what is committed stays

    def test_what_was_committed_is_there_after_reopening(self, url: str) -> None:
        with opened(url) as store:
            store.take_ownership("a", NOON)
            saved(store, executions=[an_execution()], task_runs=[a_run()], keys=[a_key()])
            first = store.installation()
        with opened(url, migrate=False) as again:
            assert (again.execution("e1"), again.task_run("t1"), again.key("company.team", "k")) == (an_execution(), a_run(), a_key())
            assert again.installation() == first
            assert again.take_ownership("b", NOON) == 2

    def test_a_killed_process_leaves_all_it_was_answered_for_and_nothing_half(self, url: str) -> None:
        with opened(url):
            pass
        answered = self._kill_in_the_middle(url, after=40)
        with opened(url) as store:
            execution = store.execution("e")
            assert execution is not None
            last = execution.version
            assert answered <= last <= answered + 1
            assert [r.seq for r in store.task_runs("e")] == list(range(1, last + 1))
            assert [int(line.message) for _, line in store.logs(LogFilter())] == list(range(1, last + 1))
            assert len(store.commands()) == store.setting("last") == execution.task_run_count == last
            store.take_ownership("next", NOON)
            saved(store, executions=[an_execution("e", State.RUNNING, version=last + 1)])

    def _kill_in_the_middle(self, url: str, after: int) -> int:
        """The number of the last turn that the killed process was answered for."""
        child = subprocess.Popen([sys.executable, "-m", "tests.contract.store_child", url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        numbers = [next(child.stdout) for _ in range(after)]
        child.send_signal(signal.SIGKILL)
        numbers += list(child.stdout)
        child.wait(10)
        child.stdout.close()
        return int(numbers[-1] if numbers[-1].endswith("\n") else numbers[-2])

    # one writer, many readers

    def test_a_second_owner_fences_the_first(self, url: str) -> None:
        with opened(url) as first, opened(url) as second:
            first.take_ownership("first", NOON)
            saved(first, keys=[a_key("a")])
            second.take_ownership("second", NOON)
            for _ in range(2):
                with pytest.raises(Fenced):
                    first.commit(Changes(keys=[a_key("b")], executions=[an_execution()]))
            saved(second, keys=[a_key("c")])
            assert [k.key for k in first.keys(None)] == ["a", "c"]
            assert first.execution("e1") is None

    def test_who_never_took_ownership_may_write_nothing(self, url: str) -> None:
        with opened(url) as store, pytest.raises(Fenced):
            store.commit(Changes(keys=[a_key()]))

    def test_a_reader_sees_each_commit_at_once(self, url: str) -> None:
        with opened(url) as writer, opened(url, migrate=False, read_only=True) as reader:
            writer.take_ownership("w", NOON)
            for number in range(1, 20):
                saved(writer, executions=[an_execution(version=number)], logs=[a_line(str(number))])
                found = reader.execution("e1")
                assert found is not None
                assert (found.version, len(reader.logs(LogFilter()))) == (number, number)

    def test_readers_in_threads_see_whole_turns_while_the_executor_writes(self, url: str) -> None:
        with opened(url) as writer, opened(url, migrate=False, read_only=True) as reader, ThreadPoolExecutor(4) as pool:
            writer.take_ownership("w", NOON)
            saved(writer, executions=[an_execution(version=1, task_run_count=0)])

            def look() -> bool:
                seen = reader.executions_json().rows[0]
                return f'"taskRunCount":{seen.count("executionId")}' in seen

            for number in range(1, 40):
                looks = [pool.submit(look) for _ in range(4)]
                saved(writer, executions=[an_execution(version=number + 1, task_run_count=number)], task_runs=[a_run(f"t{number}", seq=number)])
                assert all(done.result(30) for done in looks)

    def test_a_reader_cannot_write(self, url: str) -> None:
        with opened(url) as writer, opened(url, migrate=False, read_only=True) as reader:
            writer.take_ownership("w", NOON)
            with pytest.raises(StoreUnavailable):
                reader.take_ownership("r", NOON)
            with pytest.raises(StoreUnavailable):
                reader.commit(Changes(keys=[a_key()]))
            saved(writer, keys=[a_key()])

    # the schema

    def test_the_database_keeps_end_dates_true_to_states(self, url: str) -> None:
        with opened(url) as store:
            store.take_ownership("w", NOON)
            saved(store, executions=[an_execution("e1", State.RUNNING)], task_runs=[a_run("t1", "e1", State.SUCCESS)])
            for wrong in ("UPDATE executions SET state = 'SUCCESS'", "UPDATE task_runs SET end_date = NULL", "UPDATE task_runs SET end_date = 5"):
                with pytest.raises(sa.exc.IntegrityError), store._writer.begin() as connection:
                    connection.exec_driver_sql(wrong)

    def test_the_steps_make_the_schema_that_the_code_means(self, url: str) -> None:
        with opened(url) as store, store._engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": upgrading.VERSION_TABLE, "compare_type": True})
            assert compare_metadata(context, schema.META) == []

    def test_a_database_without_tables_is_refused_where_it_may_not_be_made(self, url: str) -> None:
        with pytest.raises(StoreUnavailable, match=r"start the server .*once"):
            open_store(url, migrate=False)

    def test_opening_twice_at_once_makes_one_installation(self, url: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            stores = list(pool.map(lambda _: open_store(url, migrate=True), range(4)))
        assert len({store.installation().id for store in stores}) == 1
        for store in stores:
            store.close()

    def test_a_newer_schema_is_refused(self, url: str) -> None:
        with opened(url) as store, store._writer.begin() as connection:
            connection.exec_driver_sql(f"UPDATE {upgrading.VERSION_TABLE} SET version_num = '9999'")
        for migrate in (True, False):
            with pytest.raises(StoreUnavailable, match=r"newer version \(schema 9999"):
                open_store(url, migrate=migrate)

    def test_an_older_schema_is_brought_up_to_date_once_and_keeps_its_rows(self, url: str, next_version: Callable[[str], None]) -> None:
        with opened(url) as store:
            store.take_ownership("w", NOON)
            saved(store, executions=[an_execution()])
        next_version(SECOND)
        with pytest.raises(StoreUnavailable, match="older schema 0001"):
            open_store(url, migrate=False)
        for _ in range(2):
            with opened(url) as store, store._engine.connect() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM second").scalar() == 1
                assert store.execution("e1") == an_execution()

    def test_a_step_that_fails_changes_nothing(self, url: str, next_version: Callable[[str], None]) -> None:
        with opened(url) as store:
            first = store.installation()
        next_version(SECOND + '    op.execute("INSERT INTO nowhere VALUES (1)")\n')
        with pytest.raises(StoreUnavailable):
            open_store(url, migrate=True)
        next_version(SECOND)
        with opened(url) as store:
            assert store.installation() == first

    def test_every_lifecycle_the_engine_can_make_fits_the_schema(self, url: str) -> None:
        with opened(url) as store:
            store.take_ownership("w", NOON)
            again = life(State.FAILED).to(State.RESTARTED, NOON)
            saved(store, executions=[an_execution("e1").model_copy(update={"state": again})])
            assert [e.id for e in store.unfinished()] == ["e1"]
