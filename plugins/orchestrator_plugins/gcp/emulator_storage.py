"""Cloud Storage of the emulator: objects are the files of a folder, which machines mount."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

PAGE = 1000  # names in one answer
CHUNK = 1 << 20


class Buckets:
    """Objects by bucket and name. `only`: the buckets there are; None means any. Safe in threads."""

    def __init__(self, folder: Path, only: tuple[str, ...] | None = None) -> None:
        self.folder, self._only = folder, only
        self.received = 0  # bytes of files sent in parts
        self._sessions: dict[str, tuple[Path, Path]] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def has_bucket(self, bucket: str) -> bool:
        return self._only is None or bucket in self._only

    def path(self, bucket: str, name: str) -> Path:
        """Where an object lies. Raises ValueError for a name that would lie elsewhere."""
        found = (self.folder / bucket / name).resolve()
        if not found.is_relative_to((self.folder / bucket).resolve()):
            raise ValueError(f"this emulator cannot store an object named `{name}`")
        return found

    def names(self, bucket: str, prefix: str) -> Iterator[str]:
        """The names of all objects that begin so, sorted."""
        top = self.folder / bucket
        start = top / prefix.rpartition("/")[0]
        found = (str(Path(root, name).relative_to(top)) for root, _, files in os.walk(start) for name in files)
        return iter(sorted(name for name in found if name.startswith(prefix)))

    def resource(self, bucket: str, name: str) -> dict[str, Any]:
        size = self.path(bucket, name).stat().st_size
        return {"kind": "storage#object", "name": name, "bucket": bucket, "size": str(size), "generation": "1", "metageneration": "1"}

    def delete(self, bucket: str, name: str) -> None:
        """Raises FileNotFoundError. Folders that hold nothing more go too: a store of objects has none."""
        path = self.path(bucket, name)
        path.unlink()
        for parent in path.parents:
            if parent == self.folder / bucket or any(parent.iterdir()):
                return
            parent.rmdir()

    def begun(self, bucket: str, name: str) -> str:
        """A session to send an object by."""
        session = uuid.uuid4().hex
        handle, aside = tempfile.mkstemp(prefix=".upload-", dir=self.folder)
        os.close(handle)
        with self._lock:
            self._sessions[session] = (Path(aside), self.path(bucket, name))
        return session

    def aside(self, session: str) -> Path:
        return self._sessions[session][0]

    def finished(self, session: str) -> dict[str, str]:
        """What was sent becomes the object, whole; gives the checksum that senders compare."""
        with self._lock:
            aside, path = self._sessions.pop(session)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.chmod(0o644)
        checksum = _checksum(aside)
        aside.replace(path)
        return {"crc32c": checksum}


def handler(buckets: Buckets, further: Any) -> type[BaseHTTPRequestHandler]:
    """What answers HTTP requests; `further(method, path, body)` is asked first and gives JSON or None."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """An emulator says nothing of every request."""

        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def do_PUT(self) -> None:
            self._do()

        def do_DELETE(self) -> None:
            self._do()

        def _do(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            try:
                self._route(url.path, query)
            except FileNotFoundError:
                self._answer(404, {"error": {"code": 404, "message": "No such object"}})
            except (ValueError, KeyError) as err:
                self._answer(400, {"error": {"code": 400, "message": str(err)}})

        def _route(self, path: str, query: dict[str, str]) -> None:
            if path.startswith("/emulator/"):
                return self._answer(200, further(self.command, path, self._body() if self.command == "POST" else b""))
            found = re.fullmatch(r"(?:/upload|/download)?/storage/v1/b/([^/]+)(?:/o(?:/(.+))?)?", path)
            if found is None:
                return self._answer(404, {"error": {"code": 404, "message": f"no {path}"}})
            bucket, name = unquote(found[1]), unquote(found[2] or "")
            if not buckets.has_bucket(bucket):
                self._body()
                return self._answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
            if path.startswith("/upload"):
                return self._upload(bucket, query)
            if self.command == "DELETE":
                buckets.delete(bucket, name)
                return self._answer(204, None)
            if name and query.get("alt") == "media":
                return self._content(buckets.path(bucket, name))
            if name:
                return self._answer(200, buckets.resource(bucket, name))
            if "/o" in path[len("/storage/v1/b/") :]:
                return self._answer(200, self._listed(bucket, query))
            return self._answer(200, {"kind": "storage#bucket", "name": bucket, "id": bucket})

        def _listed(self, bucket: str, query: dict[str, str]) -> dict[str, Any]:
            prefix, mark = query.get("prefix", ""), query.get("delimiter")
            names = list(buckets.names(bucket, prefix))
            folders = sorted({prefix + name[len(prefix) :].split(mark)[0] + mark for name in names if mark in name[len(prefix) :]}) if mark else []
            plain = [name for name in names if not mark or mark not in name[len(prefix) :]]
            size = min(PAGE, int(query.get("maxResults", PAGE)))
            plain = [name for name in plain if name > query.get("pageToken", "")]
            more = {"nextPageToken": plain[size - 1]} if len(plain) > size else {}
            items = [buckets.resource(bucket, name) for name in plain[:size]]
            return {"kind": "storage#objects", "items": items, "prefixes": folders, **more}

        def _upload(self, bucket: str, query: dict[str, str]) -> None:
            if "upload_id" in query:
                return self._take(bucket, query)
            body = self._body()
            if query["uploadType"] == "resumable":
                name = query.get("name") or str(json.loads(body)["name"])
                session = buckets.begun(bucket, name)
                where = f"http://{self.headers['Host']}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name={name}&upload_id={session}"
                return self._answer(200, {}, {"Location": where})
            name, content = (query["name"], body) if query["uploadType"] == "media" else _parted(body, self.headers["Content-Type"])
            session = buckets.begun(bucket, name)
            buckets.aside(session).write_bytes(content)
            checked = buckets.finished(session)
            return self._answer(200, {**buckets.resource(bucket, name), **checked})

        def _take(self, bucket: str, query: dict[str, str]) -> None:
            session = query["upload_id"]
            with buckets.aside(session).open("ab") as out:
                self._body_into(out)
                size = out.tell()
            total = self.headers.get("Content-Range", "bytes */*").rpartition("/")[2]
            if total == "*" or size < int(total):
                return self._answer(308, None, {"Range": f"bytes=0-{size - 1}"} if size else {})
            checked = buckets.finished(session)
            return self._answer(200, {**buckets.resource(bucket, query["name"]), **checked})

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _body_into(self, out: Any) -> None:
            left = int(self.headers.get("Content-Length") or 0)
            while left and (data := self.rfile.read(min(CHUNK, left))):
                out.write(data)
                left -= len(data)
                buckets.received += len(data)

        def _content(self, path: Path) -> None:
            size = path.stat().st_size
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(asked[1]) if asked else 0
            last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
            if asked and first >= size:
                return self._answer(416, {}, {"Content-Range": f"bytes */{size}"})
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("X-Goog-Generation", "1")
            self.end_headers()
            with path.open("rb") as content:
                content.seek(first)
                left = last - first + 1
                while left and (data := content.read(min(CHUNK, left))):
                    self.wfile.write(data)
                    left -= len(data)

        def _answer(self, code: int, told: Any, headers: dict[str, str] | None = None) -> None:
            data = b"" if told is None else json.dumps(told).encode()
            self.send_response(code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _checksum(path: Path) -> str:
    """The CRC32C of a file, as Google writes it."""
    found: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with path.open("rb") as content:
        while data := content.read(CHUNK):
            found.update(data)
    return base64.b64encode(found.digest()).decode()


def _parted(body: bytes, kind: str) -> tuple[str, bytes]:
    """Name and content of an object sent with its description in one request."""
    found = re.search(r'boundary="?([^";]+)"?', kind)
    if found is None:
        raise ValueError("a multipart upload needs a boundary")
    boundary = b"--" + found[1].encode()
    _, described, content, *_ = body.split(boundary, 3)
    line = b"\r\n" if described.startswith(b"\r\n") else b"\n"  # some senders end their lines with the second alone
    described, content = described.partition(line * 2)[2], content.partition(line * 2)[2]
    return str(json.loads(described)["name"]), content.removesuffix(line)


class Storage:
    """The HTTP server of a folder of buckets, on a free port of loopback."""

    def __init__(self, folder: Path, only: tuple[str, ...] | None, further: Any) -> None:
        self._folder, self.buckets = folder, Buckets(folder, only)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self.buckets, further))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)
