"""How the SQL family reaches a PostgreSQL server, what it says when it does not, and a stop that reaches the server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.runtime import ray_processes
from orchestrator.sdk import TaskFailed
from orchestrator.sdk.fakes import FakeContext
from tests.certificates import authority
from tests.contract.jdbc_site import QUERY, Ask, asker, run, until
from tests.contract.postgres_server import server
from tests.unit.runtime.isolated_tasks import SECRET, recipe
from tests.unit.runtime.worker_house import House

WITHIN = 1.0  # seconds from a stop to the outcome


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that is reached by the socket in its folder only."""
    with server() as found:
        yield found.replace("+psycopg", "")


@pytest.fixture
def asked(url: str) -> Ask:
    return asker(url)


@pytest.fixture
def ctx(tmp_path: Path, url: str) -> FakeContext:
    return FakeContext(tmp_path, {"url": url, "n": 40, "text": "it's"})


def refusal(ctx: FakeContext, **properties: Any) -> str:
    with pytest.raises(TaskFailed) as told:
        run(ctx, "select 1", **properties)
    assert "\n" not in str(told.value)
    assert told.value.__cause__ is None
    assert "hunter2" not in str(told.value)
    return str(told.value)


def test_an_unreachable_server_is_told_with_its_place_and_a_way_out(ctx: FakeContext) -> None:
    (port,) = ray_processes.free_ports(1)
    told = refusal(ctx, url=f"jdbc:postgresql://127.0.0.1:{port}/shop", username="ada", password="hunter2")
    assert f"cannot be reached from this worker: database 'shop' at 127.0.0.1:{port} as user 'ada'" in told
    assert "Connection refused" in told
    assert "workerGroup" in told
    assert "cannot be reached" in refusal(ctx, url="postgresql://ada:hunter2@no-such-host.invalid/shop")
    assert "the socket in /nowhere for port 5432" in refusal(ctx, url="postgresql://ada@/shop?host=/nowhere")


def test_a_refused_connection_is_told_in_the_server_s_words(ctx: FakeContext, url: str) -> None:
    told = refusal(ctx, url=url.replace("/postgres?", "/nothing?"), password="hunter2")
    assert "refuses the connection to database 'nothing'" in told
    assert 'database "nothing" does not exist' in told
    assert "workerGroup" not in told
    assert 'role "nobody" does not exist' in refusal(ctx, username="nobody")
    assert 'invalid connection option "wild"' in refusal(ctx, url=url + "&wild=1")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Mapping[str, str]]]:
    """A server that takes nothing but TLS over the network, with a password or a client's certificate; its port and the PEM texts."""
    certificates = authority(names=["localhost"], clients=["ada"])
    (port,) = ray_processes.free_ports(1)
    hba = "hostssl all grace 127.0.0.1/32 scram-sha-256\nhostssl all ada 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 reject\n"
    files = {"server.crt": certificates["server"], "server.key": certificates["server-key"], "root.crt": certificates["root"]}
    with server(listen=port, hba=hba, files=files, options="-c ssl=on -c ssl_ca_file=root.crt") as found:
        with psycopg.connect(found.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("create role grace login password 'hunter2'; create role ada login")
        yield port, certificates


def test_tls_and_passwords(ctx: FakeContext, guarded: tuple[int, Mapping[str, str]]) -> None:
    port, pems = guarded
    sql = "select ssl, current_user::text as who from pg_stat_ssl where pid = pg_backend_pid()"
    place = {"url": f"jdbc:postgresql://localhost:{port}/postgres", "username": "grace"}
    good = {"rows": [{"ssl": True, "who": "grace"}], "size": 1}
    assert run(ctx, sql, fetch=True, password="hunter2", ssl=True, sslRootCert=pems["root"], **place) == good
    assert run(ctx, sql, fetch=True, password="hunter2", sslMode="REQUIRE", **place) == good
    assert run(ctx, sql, fetch=True, url=f"postgresql://grace:hunter2@localhost:{port}/postgres?sslmode=require") == good
    assert "password authentication failed for user" in refusal(ctx, password="wrong", sslMode="REQUIRE", **place)
    assert "no password supplied" in refusal(ctx, sslMode="REQUIRE", **place)
    assert "rejects connection" in refusal(ctx, password="hunter2", sslMode="DISABLE", **place)
    other = authority("another authority")
    assert "certificate verify failed" in refusal(ctx, password="hunter2", sslMode="VERIFY_CA", sslRootCert=other["root"], **place)
    by_address = {**place, "url": f"jdbc:postgresql://127.0.0.1:{port}/postgres"}
    assert "127.0.0.1" in refusal(ctx, password="hunter2", ssl=True, sslRootCert=pems["root"], **by_address)
    assert list(ctx.working_dir().iterdir()) == []


def test_a_client_s_certificate_and_its_key_with_a_password(ctx: FakeContext, guarded: tuple[int, Mapping[str, str]]) -> None:
    port, pems = guarded
    place: dict[str, Any] = {
        "url": f"jdbc:postgresql://localhost:{port}/postgres",
        "username": "ada",
        "ssl": True,
        "sslRootCert": pems["root"],
        "sslCert": pems["ada"],
    }
    sql = "select current_user::text as who"
    assert run(ctx, sql, fetch=True, sslKey=pems["ada-key"], **place)["rows"] == [{"who": "ada"}]
    assert run(ctx, sql, fetch=True, sslKey=pems["ada-locked-key"], sslKeyPassword="hunter2", **place)["rows"] == [{"who": "ada"}]
    assert "refuses" in refusal(ctx, sslKey=pems["ada-locked-key"], sslKeyPassword="wrong", **place)


# --- on a worker


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "base", isolated_by=recipe(tmp_path / "base"))
    yield made
    made.worker.close()


def asleep(asked: Ask) -> list[Any]:
    return asked("select pid from pg_stat_activity where application_name = 'orchestrator' and wait_event = 'PgSleep'")


@pytest.mark.parametrize("cause", ["KILLED", "TIMEOUT"])
def test_a_stop_ends_the_query_on_the_server_too(house: House, url: str, asked: Ask, cause: str) -> None:
    house.run({"type": QUERY, "url": url, "sql": "select pg_sleep(300)", "fetchType": "FETCH"})
    until(lambda: asleep(asked))
    began = time.monotonic()
    house.stop(cause=cause)
    assert house.executor.outcome()["cause"] == cause
    assert time.monotonic() - began < WITHIN
    until(lambda: not asleep(asked), within=2.0)
    assert not [message for level, message in house.executor.lines() if "SQL failed" in message]


def test_a_kill_ends_it_while_it_waits_for_a_server_that_says_nothing(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        house.run({"type": QUERY, "url": f"postgresql://ada@127.0.0.1:{silent.getsockname()[1]}/d", "sql": "select 1"})
        client, _ = silent.accept()
        with client:
            began = time.monotonic()
            house.stop()
            assert house.executor.outcome()["state"] == "KILLED"
            assert time.monotonic() - began < WITHIN


def test_it_runs_in_a_child_process_with_secrets_masked(house: House, url: str) -> None:
    context = {"flow": {"namespace": "acme"}}
    house.run(
        {"type": QUERY, "url": url, "sql": "select :s || pg_backend_pid() as v", "parameters": {"s": "{{ secret('KEY') }}"}, "fetchOne": True}, context=context
    )
    assert house.executor.outcome()["outputs"]["row"]["v"].startswith(SECRET)
    house.run({"type": QUERY, "url": url, "sql": "select {{ secret('KEY') }}"}, "r2", context=context)
    assert "********" in house.executor.outcome("r2")["error"]
    assert SECRET not in json.dumps(house.executor.of("said", "r2") + house.executor.of("outcome", "r2"))
