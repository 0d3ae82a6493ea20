"""A small server on loopback that speaks the few endpoints the command line calls, event streams included."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]
BEGIN, END = "2026-01-31T10:00:00.000Z", "2026-01-31T10:00:01.500Z"


def state(word: str) -> Json:
    """A State of the API that began at a fixed time."""
    ended = {"endDate": END, "duration": "PT1.5S"} if word in ("SUCCESS", "WARNING", "FAILED", "KILLED") else {"duration": "PT0S"}
    return {"current": word, "histories": [{"state": "CREATED", "date": BEGIN}, {"state": word, "date": END}], "startDate": BEGIN, **ended}


def task_run(identity: str, word: str, **more: Any) -> Json:
    return {
        "id": f"run-{identity}",
        "taskId": identity,
        "executionId": "x",
        "namespace": "company.team",
        "flowId": "hello",
        "outputs": {},
        "state": state(word),
        **more,
    }


def execution(word: str, *runs: Json, identity: str = "abc123", **more: Any) -> Json:
    return {"id": identity, "namespace": "company.team", "flowId": "hello", "flowRevision": 1, "state": state(word), "taskRunList": list(runs), **more}


def log_line(message: str, task: str = "hello", level: str = "INFO") -> Json:
    return {"executionId": "abc123", "taskId": task, "taskRunId": f"run-{task}", "timestamp": BEGIN, "level": level, "message": message}


def _named(trigger: Json, name: tuple[str, ...]) -> bool:
    return tuple(trigger["state"][word] for word in ("namespace", "flowId", "triggerId")) == name


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away while it was told something is no news."""


class FakeServer:
    """Holds what the server would answer; tests change it. `asked` lists what was asked for, in order."""

    def __init__(self) -> None:
        self.flows: dict[tuple[str, str], str] = {}
        self.executions: dict[str, Json] = {}
        self.token: str | None = None
        self.refusal: tuple[int, Any] | None = None  # the answer to every save
        self.start_refusal: tuple[int, Json] | None = None
        self.story: list[Json] = [
            execution("RUNNING", task_run("hello", "RUNNING")),
            execution("SUCCESS", task_run("hello", "SUCCESS"), outputs={"answer": 42}),
        ]
        self.lines: list[Json] = [log_line("Hello world"), log_line("Hello world")]
        self.late: list[Json] = []  # lines that only the list at the end holds
        self.breaks = 0  # how often the execution's stream breaks off before its end
        self.kills_refused = 0  # how often a kill is answered with 503
        self.until_killed = False
        self.killed = threading.Event()
        self.following = threading.Event()
        self.plain = False  # answers are no JSON
        self.started: list[tuple[dict[str, list[str]], bytes]] = []
        self.asked: list[str] = []
        self.workers: list[Json] = []
        self.explanations: list[Json] = []
        self.groups: list[Json] = []
        self.violations: list[Json] = [{"index": 0, "diagnostics": []}]  # the answer to every validation
        self.plan: Json = {}
        self.sent: list[bytes] = []  # bodies of validations and plans
        self.further: dict[tuple[str, str], Any] = {}  # answers by method and path: a value, (status, value), or a list of them, of which the last stays
        self.bodies: dict[str, Any] = {}  # what was sent along, by `METHOD path`
        self.queries: dict[str, list[tuple[str, str]]] = {}  # what was asked with, by `METHOD path`
        self.triggers: list[Json] = []  # as one is shown: its state, its definition, the reason
        self.trigger_lines: list[Json] = []
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.killed.set()
        self._http.shutdown()
        self._http.server_close()


def _next(answers: dict[tuple[str, str], Any], key: tuple[str, str]) -> tuple[int, Any]:
    told = answers[key]
    if isinstance(told, list):
        told = told.pop(0) if len(told) > 1 else told[0]
    return told if isinstance(told, tuple) else (204 if told is None else 200, told)


def _handler(fake: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _serve(self) -> None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(urlsplit(self.path).path)
            self.query = parse_qsl(urlsplit(self.path).query)
            fake.asked.append(f"{self.command} {path}")
            fake.queries[fake.asked[-1]] = self.query
            if fake.token and self.headers.get("Authorization") != f"Bearer {fake.token}":
                return self._answer(401, None)
            if self.body and self.headers.get("Content-Type") == "application/json":
                fake.bodies[f"{self.command} {path}"] = json.loads(self.body)
            if (self.command, path) in fake.further:
                return self._answer(*_next(fake.further, (self.command, path)))
            for method, pattern, serve in _ROUTES:
                found = re.fullmatch(pattern, path)
                if found and method == self.command:
                    return serve(self, *found.groups())
            return self._answer(404, {"message": "Not Found"})

        def _answer(self, status: int, value: Any) -> None:
            body = b"" if value is None else str(value).encode() if fake.plain else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()

        def _event(self, name: str, value: Any) -> None:
            self.wfile.write(f"id: {name}\ndata: {json.dumps(value)}\n\n".encode())
            self.wfile.flush()

        def create(self) -> None:
            if fake.refusal:
                return self._answer(*fake.refusal)
            text = self.body.decode()
            found = re.search(r"^id: *(\S+)$", text, re.M), re.search(r"^namespace: *(\S+)$", text, re.M)
            key = (found[1][1] if found[1] else "company.team", found[0][1] if found[0] else "hello")
            if key in fake.flows:
                return self._answer(422, {"message": "Invalid entity: Flow id already exists", "_embedded": {"errors": []}})
            fake.flows[key] = text
            return self._answer(200, {"namespace": key[0], "id": key[1], "revision": 1})

        def update(self, namespace: str, identity: str) -> None:
            if (namespace, identity) not in fake.flows:
                return self._answer(404, {"message": "Not Found: flow"})
            if fake.refusal:
                return self._answer(*fake.refusal)
            fake.flows[namespace, identity] = self.body.decode()
            return self._answer(200, {"namespace": namespace, "id": identity, "revision": 2})

        def flow(self, namespace: str, identity: str) -> None:
            source = fake.flows.get((namespace, identity))
            self._answer(404, {"message": "Not Found: no such flow"}) if source is None else self._answer(200, {"id": identity, "source": source})

        def list_flows(self) -> None:
            found = [{"namespace": n, "id": i, "revision": 1} for n, i in fake.flows]
            self._answer(200, {"results": found, "total": len(found)})

        def validate(self) -> None:
            fake.sent.append(self.body)
            self._answer(200, fake.violations)

        def plan(self) -> None:
            fake.sent.append(self.body)
            self._answer(*fake.refusal) if fake.refusal else self._answer(200, fake.plan)

        def start(self, namespace: str, identity: str) -> None:
            if fake.start_refusal:
                return self._answer(*fake.start_refusal)
            query: dict[str, list[str]] = {}
            for key, value in self.query:
                query.setdefault(key, []).append(value)
            fake.started.append((query, self.body))
            return self._answer(200, execution("CREATED"))

        def follow(self, identity: str) -> None:
            self._stream()
            self._event("start", {"id": identity})
            for told in fake.story[:-1]:
                self._event("progress", told)
            fake.following.set()
            if fake.breaks:
                fake.breaks -= 1
                return
            if fake.until_killed:
                fake.killed.wait(20)
            self._event("end", fake.story[-1])

        def follow_logs(self, identity: str) -> None:
            self._stream()
            self._event("start", {})
            for line in fake.lines:
                self._event("progress", line)
            fake.killed.wait(5)  # it stays open, as the real one does

        def logs(self, identity: str) -> None:
            self._answer(200, [*fake.lines, *fake.late])

        def find(self) -> None:
            wanted = dict(self.query)
            found = [e for i, e in fake.executions.items() if i.startswith(wanted.get("filters[executionId][STARTS_WITH]", ""))]
            self._answer(200, {"results": found, "total": len(found)})

        def one(self, identity: str) -> None:
            found = fake.executions.get(identity)
            self._answer(200, found) if found else self._answer(404, {"message": "Not Found"})

        def explain(self, identity: str) -> None:
            task = dict(self.query).get("task")
            told = [one for one in fake.explanations if task in (None, one["taskId"])]
            self._answer(200, {"executionId": identity, "state": "RUNNING", "explanations": told})

        def kill(self, identity: str) -> None:
            if fake.kills_refused:
                fake.kills_refused -= 1
                return self._answer(503, {"message": "Unavailable: the executor restarts"})
            ended = fake.executions.get(identity, {}).get("state", {}).get("endDate")
            fake.killed.set()
            return self._answer(409, {"message": "Illegal state: it has ended already"}) if ended else self._answer(202, execution("KILLING"))

        def list_triggers(self) -> None:
            self._answer(200, {"results": fake.triggers, "total": len(fake.triggers)})

        def trigger(self, *name: str) -> None:
            found = next((one for one in fake.triggers if _named(one, name)), None)
            self._answer(404, {"message": f"Not Found: Trigger {name[2]} not found"}) if found is None else self._answer(200, found)

        def set_disabled(self) -> None:
            body = json.loads(self.body)
            found = next(one for one in fake.triggers if _named(one, (body["namespace"], body["flowId"], body["triggerId"])))
            found["state"]["disabled"] = body["disabled"]
            self._answer(200, found["state"])

        def backfill(self, verb: str) -> None:
            body = json.loads(self.body)
            state = next(one for one in fake.triggers if _named(one, (body["namespace"], body["flowId"], body["triggerId"])))["state"]
            if verb != "create" and "backfill" not in state:
                return self._answer(400, {"message": "No backfill found"})
            if verb == "create":
                state["backfill"] = {**body["backfill"], "currentDate": body["backfill"]["start"], "paused": False}
            elif verb == "delete":
                del state["backfill"]
            else:
                state["backfill"]["paused"] = verb == "pause"
            return self._answer(200, state)

        def unlock(self, *name: str) -> None:
            state = next(one for one in fake.triggers if _named(one, name))["state"]
            locked = state.pop("executionId", None)
            self._answer(200, state) if locked else self._answer(409, {"message": "Illegal state: Trigger is not locked"})

        def trigger_logs(self) -> None:
            self._answer(200, {"results": fake.trigger_lines, "total": len(fake.trigger_lines)})

        def workers(self) -> None:
            self._answer(200, {"workers": fake.workers})

        def groups(self) -> None:
            self._answer(200, {"workerGroups": fake.groups})

    api = "/api/v1"
    _ROUTES: list[tuple[str, str, Callable[..., None]]] = [
        ("POST", f"{api}/flows", Handler.create),
        ("POST", f"{api}/flows/validate", Handler.validate),
        ("POST", f"{api}/flows/plan", Handler.plan),
        ("GET", f"{api}/flows/search", Handler.list_flows),
        ("PUT", f"{api}/flows/([^/]+)/([^/]+)", Handler.update),
        ("GET", f"{api}/flows/([^/]+)/([^/]+)", Handler.flow),
        ("GET", f"{api}/executions/search", Handler.find),
        ("GET", f"{api}/executions/([^/]+)/follow", Handler.follow),
        ("GET", f"{api}/executions/([^/]+)/explain", Handler.explain),
        ("DELETE", f"{api}/executions/([^/]+)/kill", Handler.kill),
        ("GET", f"{api}/executions/([^/]+)", Handler.one),
        ("POST", f"{api}/executions/([^/]+)/([^/]+)", Handler.start),
        ("GET", f"{api}/triggers/search", Handler.list_triggers),
        ("PUT", f"{api}/triggers/set-disabled", Handler.set_disabled),
        ("PUT", f"{api}/triggers/backfill/(create|pause|unpause)", Handler.backfill),
        ("POST", f"{api}/triggers/backfill/(delete)", Handler.backfill),
        ("GET", f"{api}/triggers/([^/]+)/([^/]+)/([^/]+)", Handler.trigger),
        ("POST", f"{api}/triggers/([^/]+)/([^/]+)/([^/]+)/unlock", Handler.unlock),
        ("GET", f"{api}/logs/search", Handler.trigger_logs),
        ("GET", f"{api}/logs/([^/]+)/follow", Handler.follow_logs),
        ("GET", f"{api}/logs/([^/]+)", Handler.logs),
        ("GET", f"{api}/workers", Handler.workers),
        ("GET", f"{api}/worker-groups", Handler.groups),
    ]
    return Handler
