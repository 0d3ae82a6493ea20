"""The store on PostgreSQL keeps the port's promises, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import sqlalchemy as sa

from orchestrator.errors import StoreUnavailable
from orchestrator.store import schema
from orchestrator.store.opening import open_store
from orchestrator.store.port import StateStore
from tests.contract import postgres_server
from tests.contract.store_contract import StoreContract
from tests.contract.store_durable_contract import DurableContract, next_version, opened
from tests.contract.store_namespace_contract import NamespaceContract
from tests.contract.store_search_contract import SearchContract
from tests.contract.store_values import NOON, a_key, saved

__all__ = ["next_version"]  # a fixture
_NUMBERS = count(1)
_DATA = ", ".join(name for name in schema.META.tables if name not in {"installation", "owner"})


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server.server() as url:
        yield url


@pytest.fixture(scope="module")
def admin(server: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def _new_database(server: str, admin: sa.Engine) -> str:
    name = f"test{next(_NUMBERS)}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def url(server: str, admin: sa.Engine) -> str:
    return _new_database(server, admin)


@pytest.fixture(scope="module")
def shared(server: str, admin: sa.Engine) -> str:
    """One database for the tests that need no fresh one; its tables are emptied for each."""
    return _new_database(server, admin)


class TestPostgres(StoreContract, NamespaceContract, SearchContract, DurableContract):
    @pytest.fixture
    def store(self, shared: str) -> Iterator[StateStore]:
        with opened(shared) as store:
            with store._writer.begin() as connection:
                connection.exec_driver_sql(f"TRUNCATE {_DATA}")
            store.take_ownership("tests", NOON)
            yield store


def test_a_lost_connection_is_told_and_the_next_turn_makes_a_new_one(url: str, admin: sa.Engine) -> None:
    with opened(url) as store:
        store.take_ownership("w", NOON)
        saved(store, keys=[a_key("a")])
        with admin.connect() as connection:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%%' AND pid <> pg_backend_pid()")
        with pytest.raises(StoreUnavailable):
            saved(store, keys=[a_key("b")])
        saved(store, keys=[a_key("c")])
        assert [k.key for k in store.keys(None)] == ["a", "c"]


def test_a_missing_database_is_named(server: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere.*create it, or correct the URL") as caught:
        open_store(server.replace("/postgres?", "/nowhere?"), migrate=True)
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        open_store("postgresql://me:hidden@127.0.0.1:1/orchestrator", migrate=True)
    assert "hidden" not in str(caught.value)
    assert "127.0.0.1:1/orchestrator" in str(caught.value)


def test_another_program_s_tables_of_the_same_names_are_left_alone(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE settings (id int)")
    with pytest.raises(StoreUnavailable, match="something else"):
        open_store(url, migrate=True)
    engine.dispose()
