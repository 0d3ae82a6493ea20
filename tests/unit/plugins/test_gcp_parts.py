"""The pure parts of the Google Batch runner: what it asks for, and what it makes of the answers."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud import batch_v1 as batch
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator import registry
from orchestrator.sdk import BadSettings, Job, JobExit, JobRejected, StartFailed, TimedOut
from orchestrator.sdk.testing import Heard
from orchestrator_plugins.gcp.emulator_filters import terms_of
from orchestrator_plugins.gcp.ends import end_of
from orchestrator_plugins.gcp.facts import Entry, Event, JobFacts, Part, nanoseconds_of, stamp, time_of
from orchestrator_plugins.gcp.lookout import Lookout
from orchestrator_plugins.gcp.place import place_of
from orchestrator_plugins.gcp.properties import size_in_mib
from orchestrator_plugins.gcp.reading import SECOND, Reading
from orchestrator_plugins.gcp.runner import Batch
from orchestrator_plugins.gcp.shape import job_json, label_name, label_text
from orchestrator_plugins.gcp.staging import stage_of
from orchestrator_plugins.gcp.wrapping import mark_of

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = "dev-flow-task-0123456789abcdef"
MARK = mark_of(KEY)


def a_job(folder: Path, **more: Any) -> Job:
    labels = {"namespace": "Dev.Team", "flow-id": "flow", "installation": "In.Stallation"}
    return Job.model_validate({"key": KEY, "argv": ("/bin/sh", "-c", "true"), "working_dir": str(folder), "image": "python", "labels": labels, **more})


def asked(job: Job, **properties: Any) -> batch.Job:
    """The job that Google would be asked to make, read by its own library."""
    runner = Batch.model_validate({"region": "europe-west1", "projectId": "p", **properties})
    stage = stage_of(job, runner)
    shape = job_json(job, runner, stage.command, stage.staging(runner.prepare(job)), NOW)
    made: batch.Job = batch.Job.wrap(json_format.ParseDict(shape, batch.Job.pb(batch.Job())))
    return made


class TestAsking:
    def test_the_least_is_one_container_on_a_small_machine(self, tmp_path: Path) -> None:
        made = asked(a_job(tmp_path))
        spec = made.task_groups[0].task_spec
        container = spec.runnables[0].container
        assert (len(spec.runnables), container.image_uri, container.entrypoint) == (1, "python", "")
        assert (next(iter(container.commands)), list(container.commands)[-3:]) == ("/bin/sh", ["/bin/sh", "-c", "true"])
        assert spec.max_run_duration == timedelta(hours=1)
        assert (spec.max_retry_count, len(spec.volumes)) == (0, 0)
        policy = made.allocation_policy.instances[0].policy
        assert (policy.machine_type, policy.provisioning_model.name) == ("e2-medium", "STANDARD")
        assert made.logs_policy.destination == batch.LogsPolicy.Destination.CLOUD_LOGGING

    def test_every_property_is_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("x")
        made = asked(
            a_job(tmp_path, timeout="PT90S", output_files=("out/*.csv", "top"), env={"A": "b"}),
            machineType="n2-standard-4",
            reservation="projects/p/reservations/r",
            computeResource={"cpu": "1500", "memory": "4GiB", "bootDisk": "50GB"},
            networkInterfaces=[{"network": "projects/p/global/networks/n", "subnetwork": "s"}],
            entryPoint=["nice", "-n1"],
            bucket="b",
            maxRetryCount=3,
            lifecyclePolicies=[{"action": "FAIL_TASK", "exitCodes": [3, 4]}],
            spot={"attempts": 1},
            runtimeServiceAccount="me@p.iam",
            fileSidecar={"image": "my/tar"},
        )
        spec, policy = made.task_groups[0].task_spec, made.allocation_policy.instances[0].policy
        assert (policy.machine_type, policy.reservation, policy.provisioning_model.name) == ("n2-standard-4", "projects/p/reservations/r", "SPOT")
        resource = spec.compute_resource
        assert (resource.cpu_milli, resource.memory_mib, resource.boot_disk_mib) == (1500, 4096, 51200)
        interface = made.allocation_policy.network.network_interfaces[0]
        assert (interface.network, interface.subnetwork) == ("projects/p/global/networks/n", "s")
        assert made.allocation_policy.service_account.email == "me@p.iam"
        assert (spec.max_retry_count, list(spec.lifecycle_policies[0].action_condition.exit_codes)) == (3, [3, 4])
        assert spec.max_run_duration == timedelta(seconds=90)
        assert spec.volumes[0].gcs.remote_path == f"b/In.Stallation/{KEY}"
        into, main, out = spec.runnables
        assert (into.container.image_uri, out.container.image_uri, out.always_run, into.always_run) == ("my/tar", "my/tar", True, False)
        assert (main.container.entrypoint, list(main.container.commands)[-5:]) == ("/bin/sh", ["nice", "-n1", "/bin/sh", "-c", "true"])
        assert dict(main.environment.variables) == {"A": "b", "BUCKET_PATH": f"gs://b/In.Stallation/{KEY}"}
        assert list(out.container.commands)[-2:] == ["out", "top"]
        assert list(main.container.volumes) == [f"{KEY}:/{KEY}"]

    def test_after_the_spot_starts_a_standard_machine_is_asked_for(self, tmp_path: Path) -> None:
        models = [asked(a_job(tmp_path, attempt=n), spot={"attempts": 2}).allocation_policy.instances[0].policy.provisioning_model.name for n in range(4)]
        assert models == ["SPOT", "SPOT", "STANDARD", "STANDARD"]

    def test_labels_are_in_googles_alphabet_and_name_their_owner(self, tmp_path: Path) -> None:
        labels = dict(asked(a_job(tmp_path), delete=False).labels)
        assert (labels["kestra-namespace"], labels["kestra-job"], labels["kestra-keep"]) == ("dev-team", KEY, "true")
        assert int(labels["kestra-deadline"]) == int((NOW + timedelta(hours=2.5)).timestamp())
        upper = dict(asked(a_job(tmp_path, labels={"installation": "in.stallation"})).labels)
        assert labels["kestra-owner"] != upper["kestra-owner"]

    @given(st.text(max_size=80), st.text(min_size=1, max_size=80))
    @settings(max_examples=50)
    def test_any_text_makes_a_label_that_google_takes(self, value: str, name: str) -> None:
        assert set(label_text(value)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
        assert len(label_text(value)) <= 63 >= len(label_name(f"x{name}"))

    def test_more_processors_than_the_machine_has_are_refused(self, tmp_path: Path) -> None:
        runner = Batch.model_validate({"region": "r", "projectId": "p", "machineType": "n1-standard-2", "computeResource": {"cpu": "4000"}})
        with pytest.raises(JobRejected, match=r"`computeResource.cpu: 4000` is more than a n1-standard-2 has"):
            runner.prepare(a_job(tmp_path))


class TestProperties:
    @pytest.mark.parametrize(
        ("written", "mib"), [("2048", 2048), (2048, 2048), ("20GiB", 20480), ("20GB", 20480), ("512MB", 512), ("512Mi", 512), ("1.5g", 1536), ("100k", 1)]
    )
    def test_sizes_become_mib(self, written: object, mib: int) -> None:
        assert size_in_mib(written) == mib

    @pytest.mark.parametrize("name", ["ee.gcp.runner.Batch", "gcp.runner.Batch", "gcp.runner.GcpBatchTaskRunner"])
    def test_all_names_mean_the_same_runner(self, name: str) -> None:
        assert registry.load("task_runner", f"io.kestra.plugin.{name}") is Batch

    def test_the_project_may_be_that_of_the_key_and_the_key_is_never_shown(self) -> None:
        runner = Batch.model_validate({"region": "r", "serviceAccount": {"project_id": "mine", "private_key": "s3cret"}})
        place = place_of(runner)
        assert (place.project, place.backend) == ("mine", "gcp-batch:mine:r")
        assert "s3cret" not in repr(runner) + repr(place) + runner.backend()

    def test_a_key_that_is_none_is_told(self) -> None:
        with pytest.raises(ValidationError, match="not the JSON of a service account's key"):
            Batch.model_validate({"region": "r", "serviceAccount": "me@project"})

    def test_templates_wait_until_they_are_rendered(self) -> None:
        Batch.model_validate({"region": "{{ r }}", "serviceAccount": "{{ secret('K') }}", "computeResource": {"memory": "{{ m }}"}, "delete": "{{ d }}"})

    def test_an_unknown_property_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="zone"):
            Batch.model_validate({"region": "r", "zone": "a"})


def entry(n: int, text: str, *, at: float, late: float = 0.0, stderr: bool = False, part: Part | None = None) -> Entry:
    when = int(at * SECOND)
    return Entry(when, f"{n:08d}", "uid", text, stderr, when + int(late * SECOND), part)


def read(entries: list[Entry], hold: float = 1.0) -> Heard:
    heard = Heard()
    reading = Reading(heard, MARK, hold)
    reading.take(entries, 0.0)
    reading.end()
    return heard


class TestReading:
    def test_each_entry_is_told_once_and_the_wrappers_words_not_at_all(self) -> None:
        entries = [entry(1, "a", at=1), entry(2, "b", at=2), entry(3, f"{MARK}:3", at=3), entry(4, f"{MARK}:3", at=4, stderr=True)]
        heard = Heard()
        reading = Reading(heard, MARK, 1.0)
        for _ in range(3):
            reading.take(entries, 0.0)
        reading.end()
        assert (heard.texts, heard.offsets, reading.code, reading.is_complete) == (["a", "b"], [0, 1], 3, True)

    def test_an_unterminated_last_line_stands_before_the_wrappers_word(self) -> None:
        assert read([entry(1, f"last{MARK}:0", at=1)]).texts == ["last"]

    def test_what_a_sidecar_complains_of_is_kept(self) -> None:
        reading = Reading(Heard(), MARK, 1.0)
        reading.take([entry(1, f"{MARK}!tar: no space", at=1, stderr=True)], 0.0)
        assert (reading.trouble, reading.is_complete, reading.code) == ("tar: no space", False, None)

    def test_glued_lines_come_apart_and_parts_come_together(self) -> None:
        parts = [entry(n, text, at=2, part=Part("u", n, 3)) for n, text in ((2, "C"), (0, "A"), (1, "B"))]
        assert read([entry(9, "a\nb\r\nc\rd", at=1), *parts, entry(10, "", at=3)]).texts == ["a", "b", "c", "d", "ABC", ""]

    def test_of_a_line_that_lacks_a_part_the_rest_is_told(self) -> None:
        assert read([entry(1, "A", at=1, part=Part("u", 0, 2))]).texts == ["A"]

    def test_a_late_entry_finds_its_place_within_the_hold_and_comes_after_it_else(self) -> None:
        early, soon, late = entry(1, "1", at=1), entry(3, "3", at=2), entry(4, "2", at=1.5, late=0.9)
        very_late = entry(5, "0", at=0.5, late=9)
        assert read([early, soon, late, very_late, entry(6, "4", at=3)]).texts == ["1", "2", "3", "4", "0"]

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), min_size=1, max_size=25))
    @settings(max_examples=150, deadline=None)
    def test_lines_have_the_same_offsets_whether_read_live_or_again(self, made: list[tuple[int, int]]) -> None:
        """Live, each entry is seen when the service has taken it in; again, all are there at once."""
        entries = [entry(n, str(n), at=at / 10, late=late / 10) for n, (at, late) in enumerate(made)]
        heard = Heard()
        live = Reading(heard, MARK, 1.0)
        for tick in range(0, 90):
            live.take([one for one in entries if one.received <= tick * SECOND // 10], tick / 10)
            live.say(tick / 10)
        live.end()
        again = read(entries)
        assert sorted(heard.texts, key=int) == [str(n) for n in range(len(entries))]
        assert heard.texts == again.texts


class FakeLogs:
    """Cloud Logging of fixed entries, which notes what it was asked for."""

    def __init__(self, entries: list[Entry]) -> None:
        self.all, self.since = entries, list[str]()

    def entries(self, jobs: list[str], since: str, *, received: str | None = None) -> list[Entry]:
        if received is None:
            self.since.append(since)
        return [one for one in self.all if one.job in jobs and stamp(one.at) >= since and stamp(one.received) >= (received or "")]

    def rings(self) -> Any:
        return iter(()), lambda: None


class TestLookingForMany:
    def test_a_job_that_says_nothing_does_not_make_the_others_be_read_again_and_again(self) -> None:
        begun = time.time_ns() - 3600 * SECOND
        logs = FakeLogs([])
        lookout = Lookout(None, logs, "owner")  # type: ignore[arg-type]
        quiet, chatty = lookout.opened("quiet", begun), lookout.opened("chatty", begun)
        lookout.read(0.0)
        logs.all.append(Entry(time.time_ns(), "1", "chatty", "x", False, time.time_ns()))
        lookout.read(0.0)
        assert logs.since[0] == stamp(begun)
        assert logs.since[1] >= stamp(time.time_ns() - 200 * SECOND)
        assert ([one.text for one in chatty.taken()], list(quiet.taken())) == (["x"], [])

    def test_what_a_look_for_another_job_brings_again_is_passed_over(self) -> None:
        begun = time.time_ns() - 3600 * SECOND
        entries = [Entry(begun + n * SECOND, str(n), "first", str(n), False, begun + n * SECOND) for n in range(1000)]
        lookout = Lookout(None, FakeLogs(entries), "owner")  # type: ignore[arg-type]
        first = lookout.opened("first", begun)
        lookout.read(0.0)
        heard = Heard()
        reading = Reading(heard, MARK, 1.0)
        reading.take(first.taken(), 0.0)
        lookout.opened("second", begun)
        lookout.read(0.0)
        assert list(first.taken()) == []
        reading.end()
        assert heard.texts == [str(n) for n in range(1000)]

    def test_no_more_is_remembered_than_can_come_again(self) -> None:
        reading = Reading(Heard(), MARK, 1.0)
        reading.take([entry(n, "x", at=n) for n in range(250_000)], 0.0)
        assert len(reading._known) <= 250_000 // 2


def ended(state: str, *codes: int, said: str = "over") -> tuple[JobFacts, list[Event]]:
    return JobFacts("p/jobs/j", "u", state, NOW), [Event(NOW, said, code) for code in codes]


def the_end(state: str, *codes: int, told: int | None = None, said: str = "over") -> JobExit:
    reading = Reading(Heard(), MARK, 1.0)
    if told is not None:
        reading.take([entry(1, f"{MARK}:{told}", at=1)], 0.0)
    return end_of(*ended(state, *codes, said=said), reading, {})


class TestEnds:
    @pytest.mark.parametrize(
        ("state", "codes", "told", "code"),
        [
            ("SUCCEEDED", (), None, 0),
            ("FAILED", (3,), 3, 3),
            ("FAILED", (1, 3), 3, 3),
            ("FAILED", (50000,), 66, 66),
            ("FAILED", (), 7, 7),
            ("FAILED", (137,), None, 137),
            ("FAILED", (127,), 127, 127),
            ("CANCELLED", (), None, 137),
            ("CANCELLED", (143,), 143, 143),
        ],
    )
    def test_the_code_is_the_commands_own(self, state: str, codes: tuple[int, ...], told: int | None, code: int) -> None:
        assert the_end(state, *codes, told=told).code == code

    @pytest.mark.parametrize(
        ("code", "said", "kind"),
        [(50001, "x", "RECLAIMED"), (50002, "x", "LOST"), (50004, "x", "LOST"), (125, "pull access denied", "IMAGE"), (50000, "x", "SERVICE")],
    )
    def test_the_services_own_codes_are_failed_starts(self, code: int, said: str, kind: str) -> None:
        with pytest.raises(StartFailed, match=said) as told:
            the_end("FAILED", code, said=said)
        assert told.value.kind == kind

    def test_no_capacity_is_told_as_such(self) -> None:
        facts = JobFacts("p/jobs/j", "u", "FAILED", NOW, events=(Event(NOW, "no VM has available quota or capacity"),))
        with pytest.raises(StartFailed, match="no VM has") as told:
            end_of(facts, [], Reading(Heard(), MARK, 1.0), {})
        assert told.value.kind == "CAPACITY"

    def test_a_code_in_the_words_of_an_event_counts(self) -> None:
        facts = JobFacts("p/jobs/j", "u", "FAILED", NOW, events=(Event(NOW, "task with index 0 failed with exit code 50001."),))
        with pytest.raises(StartFailed) as told:
            end_of(facts, [], Reading(Heard(), MARK, 1.0), {})
        assert told.value.kind == "RECLAIMED"

    def test_running_too_long_is_a_timeout(self) -> None:
        with pytest.raises(TimedOut):
            the_end("FAILED", 50005, told=143)

    def test_an_image_without_a_shell_is_refused(self) -> None:
        with pytest.raises(JobRejected, match="no /bin/sh"):
            the_end("FAILED", 127)


class TestFilters:
    def test_terms_are_read_with_their_signs_and_choices(self) -> None:
        terms = terms_of('logName="a" AND labels.job_uid=("u" OR "v") timestamp>="2026-05-01T00:00:00.000000001Z" AND severity>=ERROR')
        assert [(one.field, one.sign, one.values) for one in terms] == [
            ("logName", "=", ("a",)),
            ("labels.job_uid", "=", ("u", "v")),
            ("timestamp", ">=", ("2026-05-01T00:00:00.000000001Z",)),
            ("severity", ">=", ("ERROR",)),
        ]
        at = nanoseconds_of(NOW)
        assert [terms[2].holds(at + n) for n in range(3)] == [False, True, True]
        assert (terms[1].holds("v"), terms[1].holds("w"), terms[3].holds(500), terms[3].holds(200)) == (True, False, True, False)

    def test_what_is_not_understood_is_refused(self) -> None:
        with pytest.raises(ValueError, match="does not understand"):
            terms_of('NOT labels.x="y"')

    @given(st.integers(0, 4 * 10**18))
    def test_a_time_is_the_same_after_being_written(self, at: int) -> None:
        assert terms_of(f'timestamp>="{stamp(at)}"')[0].holds(at)
        assert not terms_of(f'timestamp>"{stamp(at)}"')[0].holds(at)
        assert abs(nanoseconds_of(time_of(at)) - at) < 1000


def test_without_its_packages_the_runner_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orchestrator_plugins.gcp.client", None)
    runner = Batch.model_validate({"region": "r", "projectId": "p"})
    with pytest.raises(BadSettings, match=r"pip install 'orchestrator\[gcp\]'"):
        runner.stop(runner.prepare(a_job(tmp_path)), timedelta())
