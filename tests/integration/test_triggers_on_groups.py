"""Triggers on the workers of their group: any process may die by SIGKILL, and none is evaluated twice at once, none fires twice."""

from __future__ import annotations

import http.server
import os
import re
import shlex
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from orchestrator.runtime import ray_processes
from tests.integration.local_server import ORCHESTRATOR, eventually
from tests.integration.trigger_site import GROUP, Folder, TriggerSite, trigger_site

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]
BOUND = 12 + 2  # seconds in which another worker must have taken over, for intervals below 12 s


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TriggerSite]:
    with trigger_site(tmp_path_factory.mktemp("triggers")) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path, site: TriggerSite) -> Folder:
    site.until_two()
    return Folder(tmp_path / "post")


class Web:
    """A page, and which Ray node's processes have asked for it."""

    def __init__(self) -> None:
        self.marks: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.go_on, self.hangs, self.asked = threading.Event(), False, 0
        web = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked, web.headers = web.asked + 1, dict(self.headers)
                web.marks.append(_mark_behind(self.client_address[1]))
                if web.hangs:
                    web.go_on.wait(60)
                with suppress(BrokenPipeError):  # who asked was told to stop
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(b"page")

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def _mark_behind(port: int) -> str | None:
    """The mark of the process that holds the other end of a connection."""
    pids = [one.pid for one in psutil.net_connections("tcp4") if one.laddr and one.laddr.port == port and one.pid]
    return psutil.Process(pids[0]).environ().get(ray_processes.MARK) if pids else None


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.go_on.set()
    made.server.shutdown()
    made.server.server_close()


def test_every_command_of_the_page_on_triggers_works(site: TriggerSite, tmp_path: Path, web: Web) -> None:
    page = (Path(__file__).parents[2] / "docs/triggers.md").read_text()
    (source,) = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "watch.yaml").write_text(source.replace("https://status.example.org/build", web.url).replace("key: inside", f"key: {GROUP}"))
    commands = [line for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S) for line in block.splitlines()]
    environ = {**os.environ, "ORCHESTRATOR_SERVER": site.server.url}
    for line in commands:
        words = shlex.split(line)
        done = subprocess.run([*ORCHESTRATOR, *words[1:]], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert len(commands) > 3
    found = "/api/v1/executions?namespace=company.team&flowId=watch"
    fired = eventually(lambda: site.server.call("GET", found)["results"], within=30, what="the flow of the page has started")
    ended = site.server.ended(fired[0]["id"])
    assert (ended["state"]["current"], ended["inputs"]) == ("SUCCESS", {"build": "page"})
    assert site.server.logs(ended["id"]) == [f"deploying page, told by {web.url}"]
    site.server.call("DELETE", "/api/v1/flows/company.team/watch")


def test_a_polling_trigger_runs_only_on_workers_of_its_group(site: TriggerSite, folder: Folder, web: Web) -> None:
    site.save("polled", f"    type: io.kestra.plugin.core.http.Trigger\n    uri: {web.url}\n    interval: PT0.5S\n")
    eventually(lambda: len(site.executions("polled")) > 3, within=30, what="it has fired some times")
    site.delete("polled")
    assert set(web.marks) <= set(site.workers().values())
    assert {execution["trigger"]["variables"]["body"] for execution in site.executions("polled")} == {"page"}
    assert site.server.call("GET", "/api/v1/triggers/watched/polled")["total"] == 0


def test_a_trigger_on_another_machine_reads_the_secrets_keys_and_files_of_its_namespace_and_of_no_other(site: TriggerSite, folder: Folder, web: Web) -> None:
    site.save("plain", f"    type: test.Lookout\n    folder: {folder.path}\n    interval: PT1H\n")
    site.server.call("PUT", "/api/v1/namespaces/watched/kv/colour", '"blue"')
    form = b'--b\r\nContent-Disposition: form-data; name="fileContent"; filename="file"\r\n\r\nnorth\r\n--b--\r\n'
    site.server.call("POST", "/api/v1/namespaces/watched/files?path=/way.txt", form, kind="multipart/form-data; boundary=b", raw=True)
    headers = "{X-Door: \"{{ secret('DOOR') }}\", X-Key: \"{{ kv('colour') }}\", X-File: \"{{ read('way.txt') }}\"}"
    site.save("reads", f"    type: io.kestra.plugin.core.http.Trigger\n    uri: {web.url}\n    headers: {headers}\n    interval: PT1H\n")
    eventually(lambda: site.executions("reads"), within=30, what=f"it has fired; it said {site.lines('reads')}")
    assert (web.headers["X-Door"], web.headers["X-Key"], web.headers["X-File"]) == ("open sesame", "blue", "north")
    site.save("strays", f"    type: io.kestra.plugin.core.http.Trigger\n    uri: \"{web.url}{{{{ kv('colour', 'elsewhere') }}}}\"\n    interval: PT1H\n")
    eventually(lambda: any("nothing else" in line for line in site.lines("strays")), within=30, what="it was told that it may not")
    site.save("tells", "    type: io.kestra.plugin.core.http.Trigger\n    uri: \"http://127.0.0.1:1/{{ secret('DOOR') }}\"\n    interval: PT1H\n")
    (line,) = eventually(lambda: site.lines("tells"), within=30, what="it failed")
    assert "sesame" not in line


def test_a_killed_worker_is_followed_by_another_within_the_bound_and_never_are_there_two(site: TriggerSite, folder: Folder) -> None:
    folder.put("hang")
    site.save("killed", f"    type: test.Lookout\n    folder: {folder.path}\n    interval: PT1S\n")
    killed: dict[int, float] = {}
    for _ in range(2):
        site.until_two()
        count = len(killed)
        eventually(lambda count=count: len(folder.begins()) == count + 1, within=30, what="it is evaluated")  # type: ignore[misc]
        worker = eventually(lambda: site.evaluated_by("killed"), within=10, what="a worker is named")
        pid = folder.begins()[-1][1]
        killed[pid] = site.kill(worker)
        eventually(lambda count=count: len(folder.begins()) == count + 2, within=BOUND, what="another has taken over")  # type: ignore[misc]
    taken = [later - at for at, (later, _) in zip(killed.values(), folder.begins()[1:], strict=True)]
    print(f"taken over after {', '.join(f'{seconds:.2f} s' for seconds in taken)}")
    folder.take("hang")
    folder.put("found", "news")
    eventually(lambda: site.variables("killed", "text") == ["news"], within=20, what="it has fired")
    site.delete("killed")
    assert folder.most_at_once(killed) == 1
    assert max(taken) <= BOUND


def test_an_executor_killed_around_firing_starts_each_execution_once(site: TriggerSite, folder: Folder) -> None:
    site.save("fired", f"    type: test.Lookout\n    folder: {folder.path}\n    interval: PT0.2S\n")
    texts = [f"n{number}" for number in range(8)]
    for number, text in enumerate(texts):
        eventually(lambda: site.state("fired").get("executionId") is None, within=40, what="it looks again")
        folder.put("found", text)
        eventually(lambda: not folder.has("found"), within=40, what="it was found")
        time.sleep(number * 0.02)  # what is tried is the moment of the kill
        site.server.kill("ExecutorActor")
        eventually(lambda text=text: text in _safely(site, "fired"), within=40, what=f"{text} has fired")  # type: ignore[misc]
    count = len(folder.begins())
    eventually(lambda: len(folder.begins()) > count + 2, within=30, what="it goes on looking")
    site.delete("fired")
    assert site.variables("fired", "text") == texts
    assert folder.most_at_once({}) == 1


def _safely(site: TriggerSite, name: str) -> list[str]:
    try:
        return site.variables(name, "text")
    except OSError:
        return []


def test_a_look_that_hangs_is_ended_at_its_timeout_and_followed_by_another(site: TriggerSite, folder: Folder, web: Web) -> None:
    web.hangs = True
    site.save("hangs", f"    type: io.kestra.plugin.core.http.Trigger\n    uri: {web.url}\n    interval: PT1S\n    timeout: PT2S\n")
    eventually(lambda: web.asked == 3, within=3 * BOUND, what="it has looked three times")
    assert "The evaluation has outlasted its timeout of PT2S" in site.lines("hangs")
    site.delete("hangs")


def test_a_look_that_hears_nothing_is_killed_at_its_timeout_before_the_next_begins(site: TriggerSite, folder: Folder) -> None:
    folder.put("deaf")
    site.save("deaf", f"    type: test.Lookout\n    folder: {folder.path}\n    interval: PT1S\n    timeout: PT1S\n")
    eventually(lambda: len(folder.begins()) == 3, within=3 * BOUND, what="it has looked three times")
    alive = [pid for _, pid in folder.begins() if psutil.pid_exists(pid)]
    site.delete("deaf")
    assert len(alive) <= 1
    eventually(lambda: not psutil.pid_exists(folder.begins()[-1][1]), within=10, what="nothing of it is left")


def test_a_listener_whose_worker_dies_is_moved_and_nothing_acknowledged_is_lost_or_doubled(site: TriggerSite, folder: Folder) -> None:
    lines = [f"m{number}" for number in range(150)]
    folder.put("queue", "\n".join(lines))
    folder.put("slow", "0.03")
    site.save("moved", f"    type: test.Listener\n    folder: {folder.path}\n")
    killed: dict[int, float] = {}
    for least in (30, 80):
        eventually(lambda least=least: int(folder.read("taken") or 0) >= least, within=60, what=f"{least} are taken")  # type: ignore[misc]
        worker = eventually(lambda: site.evaluated_by("moved"), within=10, what="a worker is named")
        begun = len(folder.begins())
        pid = folder.begins()[-1][1]
        killed[pid] = site.kill(worker)
        eventually(lambda begun=begun: len(folder.begins()) > begun, within=BOUND, what="another has taken over")  # type: ignore[misc]
    eventually(lambda: folder.read("taken") == str(len(lines)), within=60, what="all are taken")
    site.delete("moved")
    counted = Counter(site.variables("moved", "line"))
    assert set(counted) == set(lines)
    assert sum(counted.values()) - len(lines) <= len(killed), "only what was under way when a worker died may come again"
    assert folder.most_at_once(killed) == 1


def test_a_listener_outlives_its_executor_and_what_it_emits_meanwhile_is_saved_once(site: TriggerSite, folder: Folder) -> None:
    lines = [f"m{number}" for number in range(300)]
    folder.put("queue", "\n".join(lines))
    folder.put("slow", "0.02")
    site.save("kept", f"    type: test.Listener\n    folder: {folder.path}\n")
    for least in (20, 100, 200):
        eventually(lambda least=least: int(folder.read("taken") or 0) >= least, within=60, what=f"{least} are taken")  # type: ignore[misc]
        site.server.kill("ExecutorActor")
    eventually(lambda: folder.read("taken") == str(len(lines)), within=90, what="all are taken")
    begun = len(folder.begins())
    site.delete("kept")
    assert (site.variables("kept", "line"), begun) == (lines, 1)
    eventually(lambda: [word for _, word, _, _ in folder.diary()].count("end") == 1, within=20, what="it was told to stop with its flow")
