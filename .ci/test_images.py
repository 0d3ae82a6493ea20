#!/usr/bin/env python3
"""Two small images for the tests, made of this machine's own files: no registry is asked.

    python3 .ci/test_images.py                  test/busybox, test/python and, where node is, test/node, when they are not up to date
    python3 .ci/test_images.py --public-names   the same under the public names that cases use (ubuntu, python:3.13 ...), where these are absent

`test/busybox` holds busybox alone; `test/python` holds this interpreter with its standard library, bash, and GNU's small
tools; `test/node` holds node besides. Public names are for test machines: on a person's they would stand in for the real images.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

BUSYBOX = Path("/bin/busybox")
PUBLIC_NAMES = {
    "test/python": (
        *("ubuntu:latest", "debian:latest", "alpine:latest", "alpine:3.15.6"),
        *("python:latest", "python:3.13", "python:3.13-slim", "python:3.12", "python:3.11-slim"),
    ),
    "test/node": ("node:latest",),
}
LABEL = "orchestrator.test-image"  # holds what the image was made from
TOOLS = (
    *("bash", "sh", "env", "id", "whoami", "hostname", "uname", "nproc", "date", "sleep", "timeout", "kill", "true", "false", "test", "yes"),
    *("ls", "cat", "cp", "mv", "rm", "ln", "mkdir", "rmdir", "touch", "chmod", "chown", "stat", "du", "df", "find", "tar", "gzip", "mktemp"),
    *("echo", "printf", "head", "tail", "sort", "uniq", "wc", "tr", "tee", "cut", "grep", "sed", "xargs", "seq", "expr", "base64"),
    *("basename", "dirname", "readlink", "realpath", "sha256sum", "md5sum"),
)
NOT_NEEDED = {"test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "site-packages", "dist-packages", "__pycache__"}
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class Layer:
    """A file system written as a tar stream; each path once, the folders above it first."""

    def __init__(self, out: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=out, mode="w|")  # noqa: SIM115 - closed by `close`
        self._there: set[str] = set()

    def folder(self, path: str, mode: int = 0o755) -> None:
        if path and self._new(path):
            self._add(path, tarfile.DIRTYPE, mode)

    def text(self, path: str, content: str) -> None:
        if self._new(path):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            self._tar.addfile(entry, io.BytesIO(content.encode()))

    def link(self, path: str, target: str) -> None:
        if self._new(path):
            self._add(path, tarfile.SYMTYPE, 0o777, target)

    def file(self, source: Path, path: str | None = None) -> None:
        """The content of `source`, links followed, at the same path unless another is given."""
        path = (path or str(source)).strip("/")
        if source.is_file() and self._new(path):
            entry = tarfile.TarInfo(path)
            known = source.stat()
            entry.size, entry.mode, entry.mtime = known.st_size, known.st_mode & 0o7777, int(known.st_mtime)
            with source.open("rb") as content:
                self._tar.addfile(entry, content)

    def close(self) -> None:
        self._tar.close()

    def _new(self, path: str) -> bool:
        if path in self._there:
            return False
        self.folder(os.path.dirname(path))
        self._there.add(path)
        return True

    def _add(self, path: str, kind: bytes, mode: int, target: str = "") -> None:
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.linkname = kind, mode, target
        self._tar.addfile(entry)


def fill_busybox(layer: Layer) -> None:
    """Accounts, folders and busybox under all its names."""
    for path, mode in {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "home/user": 0o777}.items():
        layer.folder(path, mode)
    for path, content in ACCOUNTS.items():
        layer.text(path, content)
    layer.file(BUSYBOX)
    for name in _output(BUSYBOX, "--list").split():
        layer.link(f"bin/{name}", str(BUSYBOX))


def fill_python(layer: Layer) -> None:
    """GNU's tools and this interpreter, each with the libraries it needs; busybox fills the gaps."""
    tools = {name: found for name in TOOLS if (found := _tool(name))}
    for name, found in tools.items():
        layer.file(found, f"bin/{name}")
        layer.link(f"usr/bin/{name}", f"/bin/{name}")
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    library = list(_standard_library())
    for path in [interpreter, *library]:
        layer.file(path)
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        layer.link(f"usr/local/bin/{name}", str(interpreter))
    for path in sorted(_libraries([*tools.values(), interpreter, *(path for path in library if ".so" in path.name)])):
        layer.file(path)
    layer.file(Path("/etc/ssl/certs/ca-certificates.crt"))
    fill_busybox(layer)


def fill_node(layer: Layer) -> None:
    """Node, and all that is in the image with Python."""
    node = _tool("node")
    assert node is not None
    layer.file(node, "usr/local/bin/node")
    for path in sorted(_libraries([node])):
        layer.file(path)
    fill_python(layer)


def _tool(name: str) -> Path | None:
    return next((path for path in (Path("/usr/bin", name), Path("/bin", name)) if path.is_file()), None)


def _standard_library() -> Iterator[Path]:
    for root, folders, files in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = [name for name in folders if name not in NOT_NEEDED and not name.startswith("config-")]
        yield from (Path(root, name) for name in files if not name.endswith((".a", ".o", ".pyc")))


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """What the loader would load for them, the loader itself and glibc's own plug-ins for names included."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout  # static programs make it end with 1
    found = {Path(path) for path in re.findall(r"(/\S+\.so\S*) \(0x", listed)}
    beside = {path.parent for path in found if path.name.startswith("libc.so")}
    return found | {folder / name for folder in beside for name in ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")}


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def up_to_date(image: str, made_from: str) -> bool:
    """Whether the engine has the image as this script would make it now."""
    asked = subprocess.run(["docker", "image", "inspect", "-f", f'{{{{index .Config.Labels "{LABEL}"}}}}', image], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and asked.stdout.strip() == made_from


FILLS = {"test/busybox": (fill_busybox, "sh"), "test/python": (fill_python, "python3"), "test/node": (fill_node, "node")}


def images() -> list[str]:
    """Those that this machine has the makings of."""
    return [image for image in FILLS if image != "test/node" or _tool("node") is not None]


def make(image: str, made_from: str) -> None:
    """Stream the image into the engine: one layer, nothing on disk between."""
    fill, start = FILLS[image]
    changes = (f"LABEL {LABEL}={made_from}", "ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8", f'CMD ["{start}"]')
    command = ["docker", "import", *(word for change in changes for word in ("--change", change)), "-", f"{image}:latest"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing:
        assert importing.stdin is not None
        layer = Layer(importing.stdin)
        fill(layer)
        layer.close()
        importing.stdin.close()
    if importing.returncode != 0:
        raise SystemExit(f"docker import of {image} failed")
    print(f"[images] {image} made", flush=True)


def name_publicly() -> None:
    """Give our images the public names that no image here has."""
    for image in images():
        for name in PUBLIC_NAMES.get(image, ()):
            if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode != 0:
                _output("docker", "tag", image, name)


def main() -> None:
    made_from = hashlib.sha256(Path(__file__).read_bytes() + f"{sys.version}{sys.base_prefix}".encode()).hexdigest()[:16]
    for image in images():
        if not up_to_date(image, made_from):
            make(image, made_from)
    if "--public-names" in sys.argv[1:]:
        name_publicly()


if __name__ == "__main__":
    main()
