"""The Docker family's parts that need no engine."""

from __future__ import annotations

import base64
import io
import struct
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.sdk import Job, JobRejected
from orchestrator.sdk.archive import Owner, packed, unpack
from orchestrator.sdk.testing import Heard
from orchestrator_plugins.docker.logs import Reading, entries
from orchestrator_plugins.docker.properties import DockerProperties, size_in_bytes
from orchestrator_plugins.docker.runner import Docker
from orchestrator_plugins.docker.secrecy import hidden, holds_secret
from orchestrator_plugins.docker.shape import check_powers, container_config, labels_of_job, registry_login

JOB = Job(key="acme-flow-0123", argv=("sh", "-c", "x"), working_dir="/data/w", image="i", env={"A": "1"}, labels={"namespace": "acme", "test.run": "t"})


def properties(**written: Any) -> DockerProperties:
    return DockerProperties.model_validate(written)


@pytest.mark.parametrize(("text", "size"), [("512MB", 512 << 20), ("1Gi", 1 << 30), ("64m", 64 << 20), ("10", 10), ("1.5kb", 1536), (7, 7)])
def test_sizes_are_read(text: object, size: int) -> None:
    assert size_in_bytes(text) == size


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not a size such as"):
        properties(shmSize="a lot")


def test_any_property_may_be_a_template_when_the_flow_is_checked() -> None:
    text = "{{ inputs.x }}"
    written = {
        "pullPolicy": text,
        "cpu": {"cpus": text},
        "memory": {"memory": text, "memorySwappiness": text},
        "delete": text,
        "killGracePeriod": text,
        "host": text,
    }
    assert properties(**written).pull_policy == text


def test_bounds_hold_for_what_is_no_template() -> None:
    for written in ({"cpu": {"cpus": 0}}, {"memory": {"memorySwappiness": 101}}, {"pullPolicy": "SOMETIMES"}):
        with pytest.raises(ValidationError):
            properties(**written)


def test_unknown_properties_are_refused() -> None:
    with pytest.raises(ValidationError):
        Docker.model_validate({"imagePullPolicy": "NEVER"})


def test_labels_without_a_prefix_get_one() -> None:
    assert labels_of_job(JOB, properties()) == {"kestra.io/namespace": "acme", "test.run": "t", "kestra.io/job": JOB.key}
    assert labels_of_job(JOB, properties(delete=False))["kestra.io/keep"] == "true"


def test_a_plain_job_makes_a_plain_container() -> None:
    config = container_config(JOB, properties(), image="i", working_dir="/orchestrator/x")
    assert (config["Cmd"], config["Entrypoint"], config["Env"], config["WorkingDir"]) == (["sh", "-c", "x"], [""], ["A=1"], "/orchestrator/x")
    assert config["HostConfig"] == {"LogConfig": {"Type": "json-file", "Config": {}}}


def test_every_property_reaches_the_engine_by_its_name() -> None:
    written = properties(
        user="7",
        entryPoint=["/entry"],
        cpu={"cpus": 1.5},
        memory={"memory": "1Gi", "memorySwap": "2Gi", "memorySwappiness": 5, "memoryReservation": "1Mi", "kernelMemory": "3Mi", "oomKillDisable": True},
        shmSize="1m",
        extraHosts=["a:1.2.3.4"],
        networkMode="none",
        volumes=["/a:/b:ro"],
        privileged=True,
        killGracePeriod="PT5S",
        portBindings=["127.0.0.1:80:8080", "81:8081/udp"],
        deviceRequests=[{"count": -1, "capabilities": [["gpu"]]}],
        fileHandlingStrategy="MOUNT",
    )
    config = container_config(JOB, written, image="i", working_dir="/data/w")
    assert (config["User"], config["Entrypoint"], config["ExposedPorts"]) == ("7", ["/entry"], {"8080/tcp": {}, "8081/udp": {}})
    assert config["HostConfig"] == {
        "LogConfig": {"Type": "json-file", "Config": {}},
        "Init": True,
        "Mounts": [{"Type": "bind", "Source": "/data/w", "Target": "/data/w"}],
        "NanoCpus": 1_500_000_000,
        "Memory": 1 << 30,
        "MemorySwap": 2 << 30,
        "MemorySwappiness": 5,
        "MemoryReservation": 1 << 20,
        "KernelMemory": 3 << 20,
        "OomKillDisable": True,
        "DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}],
        "Binds": ["/a:/b:ro"],
        "ExtraHosts": ["a:1.2.3.4"],
        "NetworkMode": "none",
        "ShmSize": 1 << 20,
        "Privileged": True,
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}], "8081/udp": [{"HostIp": "", "HostPort": "81"}]},
    }


@pytest.mark.parametrize(
    ("written", "power"),
    [
        ({"privileged": True}, "privileged"),
        ({"volumes": ["/a:/b"]}, "volumes"),
        ({"networkMode": "host"}, "host-network"),
        ({"networkMode": "container:x"}, "host-network"),
        ({"deviceRequests": [{"driver": "cdi", "deviceIds": ["vendor.com/disk=0"]}]}, "devices"),
        ({"deviceRequests": [{"capabilities": [["gpu"], ["disk"]]}]}, "devices"),
    ],
)
def test_powers_are_refused_by_name(written: dict[str, Any], power: str) -> None:
    with pytest.raises(JobRejected, match=f"docker.allow: {power}"):
        check_powers(properties(**written), lambda asked: asked != power)
    check_powers(properties(**written), lambda asked: asked == power)


def test_gpus_are_lent_without_a_power() -> None:
    written = properties(
        deviceRequests=[{"count": -1, "capabilities": [["gpu"]]}, {"driver": "nvidia", "deviceIds": ["0"], "capabilities": [["gpu", "utility"]]}]
    )
    check_powers(written, lambda asked: False)


def test_logins_are_taken_from_credentials_or_from_the_config_of_the_registry() -> None:
    auth = base64.b64encode(b"me:pass:word").decode()
    given = properties(credentials={"username": "u", "password": "p"})
    config = properties(config=f'{{"auths": {{"reg.acme.io:5000": {{"auth": "{auth}"}}}}}}')
    assert registry_login(given, "reg.acme.io/x") == {"serveraddress": "reg.acme.io", "username": "u", "password": "p"}
    assert registry_login(given, "library/x") == {"serveraddress": "https://index.docker.io/v1/", "username": "u", "password": "p"}
    assert registry_login(config, "reg.acme.io:5000/a/b:1") == {"serveraddress": "reg.acme.io:5000", "username": "me", "password": "pass:word"}
    assert registry_login(config, "other.io/x") is None
    assert registry_login(properties(), "x") is None
    with pytest.raises(JobRejected, match=r"config\.json"):
        registry_login(properties(config="{"), "x")


def test_secrets_of_a_registry_are_not_shown() -> None:
    shown = repr(properties(credentials={"password": "s3cret", "auth": "s3cret"}, config="s3cret"))
    assert "s3cret" not in shown


def frame(text: str, second: int, *, stderr: bool = False) -> bytes:
    data = f"2024-05-06T07:08:{second:02}.123456789Z {text}".encode()
    return struct.pack(">BxxxL", 2 if stderr else 1, len(data)) + data


def test_frames_may_be_cut_anywhere() -> None:
    whole = frame("a\n", 1) + frame("b\n", 2, stderr=True)
    found = list(entries(whole[at : at + 3] for at in range(0, len(whole), 3)))
    assert [(stderr, data) for stderr, _, data in found] == [(False, b"a\n"), (True, b"b\n")]


def test_a_log_that_broke_off_goes_on_where_it_was() -> None:
    heard = Heard()
    reading = Reading(heard)
    assert reading.since is None
    reading.take([frame("a\n", 1), frame("b\n", 4), frame("c\n", 4, stderr=True)])
    assert reading.since == "1714979282"
    reading.take([frame("b\n", 4), frame("c\n", 4, stderr=True), frame("d\n", 4), frame("be", 5), frame("gun", 5)])
    reading.take([frame("be", 5), frame("gun", 5), frame(" and ended", 5)])
    reading.end()
    assert heard.lines == [("a", False), ("b", False), ("c", True), ("d", False), ("begun and ended", False)]
    assert heard.offsets == [0, 1, 2, 3, 4]


def test_entries_are_taken_once_though_the_clock_was_set_back_meanwhile() -> None:
    heard = Heard()
    reading = Reading(heard)
    log = [frame("a\n", 20), frame("b\n", 40), frame("c\n", 10), frame("d\n", 11)]
    reading.take(log[:3])
    reading.take(log)
    assert [text for text, _ in heard.lines] == ["a", "b", "c", "d"]


MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
WRITTEN = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 1500), st.booleans()), max_size=30)  # ms since the one before, ms it waited, stderr
BREAKS = st.lists(st.integers(0, 30), max_size=5)


@given(WRITTEN, BREAKS, st.integers(0, 3600))
def test_every_entry_of_a_log_is_taken_once_and_in_order_wherever_it_breaks_off(written: list[tuple[int, int, bool]], breaks: list[int], set_back: int) -> None:
    """Streams take their times before they are written, so that times are out of order; and a clock is set back in the midst."""
    log: list[tuple[float, bytes, bool]] = []
    written_at = MOMENT.timestamp()
    for number, (later, waited, stderr) in enumerate(written):
        written_at += later / 1000
        when = datetime.fromtimestamp(written_at - waited / 1000, UTC)
        data = f"{when:%Y-%m-%dT%H:%M:%S.%f}000Z {number}\n".encode()
        log.append((when.timestamp(), struct.pack(">BxxxL", 2 if stderr else 1, len(data)) + data, stderr))
    heard = Heard()
    reading = Reading(heard)
    for length in [*sorted(breaks), len(log)]:
        since = float(reading.since or 0)
        reading.take([entry for when, entry, _ in log[:length] if when >= since])
    reading.end()
    assert heard.lines == [(str(number), stderr) for number, (_, _, stderr) in enumerate(log)]


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        ("", Owner()),
        ("root", Owner()),
        ("0:0", Owner()),
        ("12", Owner(12, 0)),
        ("12:34", Owner(12, 34)),
        ("app", Owner(named=True)),
        ("app:staff", Owner(named=True)),
    ],
)
def test_files_belong_to_the_user_of_the_container(user: str, owner: Owner) -> None:
    assert Owner.of(user) == owner


def test_a_packed_folder_has_everything_but_the_content_of_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / ("n" * 150)).write_text("long")
    (tmp_path / "link").symlink_to("empty")
    with packed(tmp_path, "/orchestrator/key", Owner(5, 6), leave_out="out") as spool, tarfile.open(fileobj=spool) as tar:
        members = {member.name: member for member in tar}
    assert set(members) == {f"orchestrator{rest}" for rest in ("", "/key", "/key/out", "/key/empty", "/key/link", "/key/" + "n" * 150)}
    assert members["orchestrator/key/link"].issym()
    assert (members["orchestrator/key/empty"].uid, members["orchestrator"].uid) == (5, 0)


def tar_of(*members: tuple[str, str, bytes]) -> Iterator[bytes]:
    """A tar of `(name, type, content or link target)`."""
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind.encode(), 0o640
            if kind == "0":
                info.size = len(content)
            else:
                info.linkname = content.decode()
            tar.addfile(info, io.BytesIO(content) if kind == "0" else None)
    yield spool.getvalue()


FILE, LINK, HARD, DEVICE = "0", "2", "1", "3"


def test_nothing_is_unpacked_outside_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "there").symlink_to(outside)
    chunks = tar_of(
        ("w/ok", FILE, b"fine"),
        ("w/../../up", FILE, b"bad"),
        ("/abs", FILE, b"bad"),
        ("w/there2", LINK, str(outside).encode()),
        ("w/there2/x", FILE, b"bad"),
        ("w/dev", DEVICE, b""),
        ("w/hard", HARD, b"/etc/passwd"),
        ("w/inner", LINK, b"ok"),
    )
    unpack(chunks, PurePosixPath("."), folder, lambda name: True)
    unpack(tar_of(("there/x", FILE, b"bad")), PurePosixPath("."), folder, lambda name: True)
    assert (folder / "w/ok").read_text() == "fine"
    assert (folder / "w/inner").read_text() == "fine"
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "outside"]
    assert not (folder / "w/there2").is_symlink()
    assert not (folder / "w/dev").exists()
    assert not (folder / "w/hard").exists()


def test_only_what_is_wanted_is_unpacked(tmp_path: Path) -> None:
    unpack(tar_of(("d/a", FILE, b"1"), ("d/b", FILE, b"2")), PurePosixPath("x"), tmp_path, lambda name: name == "x/d/b")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == ["x/d/b"]


def test_secrets_stand_in_a_file_that_a_shell_takes_them_from() -> None:
    job = JOB.model_copy(update={"env": {"A": "has s3cret inside", "B": "none", "odd.name": "s3cret"}, "secrets": ("s3cret", "")})
    assert holds_secret(job)
    assert not holds_secret(JOB)
    shown, text = hidden(job, ("", "/entry"), "/orchestrator/key")
    assert shown.env == {"B": "none"}
    assert shown.argv[:2] == ("/bin/sh", "-c")
    assert text == "export A='has s3cret inside'\nset -- env odd.name=s3cret /entry sh -c x\n"  # no shell can set the second
