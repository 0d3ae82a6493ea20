"""Installs the packages a Python script asks for, then becomes the script's command. Run as a program of its own, where the script runs.

It may be older or newer than the worker's Python, and knows nothing of the project: the standard library of Python 3.8, nothing else.
Its arguments are the command; what it is to do stands in the variable `PYTHON_DEPENDENCIES`, which goes no further. There
packages are kept by a hash of what was asked: made beside and renamed, so that a folder which is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

VARIABLE = "PYTHON_DEPENDENCIES"
A_DAY = 86400.0  # seconds
OLD = 30 * A_DAY  # after which packages that nobody used are removed
INDEXES = ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")
UNREACHED = (
    "connect",
    "resolve host",
    "name resolution",
    "dns error",
    "timed out",
    "timeout",
    "network is unreachable",
    "unreachable",
    "error sending request",
)


def main() -> None:
    asked = json.loads(os.environ.pop(VARIABLE))
    if asked.get("version"):
        use_version(asked["version"])
    if asked["packages"]:
        add(provided(asked))
    command = sys.argv[1:]
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command is the task's own
    except OSError as err:
        fail(f"the command `{command[0]}` cannot be started: {err.strerror}", 127)


def use_version(version: str) -> None:
    """Make `python` be of this version: the machine's own, or one that uv has or fetches; go on in it."""
    if platform.python_version().split(".")[: version.count(".") + 1] == version.split("."):
        return
    found = shutil.which(f"python{version}") or from_uv(version)
    if found is None:
        remedy = "install it, or run in a container whose image has it"
        fail(f"there is no Python {version} here, and uv could not fetch it: {remedy}", 1)
    folder = tempfile.mkdtemp(prefix=".script-python-", dir=os.environ.get("WORKING_DIR"))
    for name in ("python", "python3"):
        os.symlink(os.path.realpath(str(found)), os.path.join(folder, name))
    os.environ["PATH"] = folder + os.pathsep + os.environ.get("PATH", os.defpath)
    sys.executable = os.path.join(folder, "python")


def from_uv(version: str) -> str | None:
    uv = shutil.which("uv")
    if uv is None:
        return None
    for arguments in (("python", "find", version), ("python", "install", version), ("python", "find", version)):
        done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
        if arguments[1] == "find" and done.returncode == 0:
            return done.stdout.strip()
    return None


def provided(asked: dict[str, Any]) -> str:
    """A folder with the packages, made unless it is kept from before."""
    packages, cache = asked["packages"], asked.get("cache")
    if cache is None:
        beside = asked.get("beside")  # None: a container, which goes with all that is in it
        return made(packages, asked["manager"], tempfile.mkdtemp(prefix=".script-packages-", dir=beside), {"UV_NO_CACHE": "1"} if beside is None else {})
    kept = os.path.join(cache, key_of(packages, asked.get("version")))
    if os.path.isdir(kept):
        os.utime(kept)
        return kept
    clear(cache)
    fresh = made(packages, asked["manager"], tempfile.mkdtemp(prefix=".new-", dir=cache), {})
    try:
        os.rename(fresh, kept)
    except OSError:
        if not os.path.isdir(kept):
            return fresh
        shutil.rmtree(fresh, ignore_errors=True)  # another run was quicker
    return kept


def key_of(packages: list[str], version: str | None) -> str:
    """What tells apart what would be installed: the packages, local ones by their bytes, the interpreter, and where it comes from."""
    told = [*packages, *(f"{name}={os.environ[name]}" for name in INDEXES if name in os.environ), version or ""]
    told += [sys.implementation.name, ".".join(platform.python_version_tuple()[:2]), platform.system(), platform.machine(), *platform.libc_ver()]
    digest = hashlib.sha256(json.dumps(told).encode())
    for package in packages:
        if os.path.isfile(package):
            with open(package, "rb") as file:
                digest.update(file.read())
    return "python-" + digest.hexdigest()[:32]


def made(packages: list[str], manager: str, folder: str, more: dict[str, str]) -> str:
    """The folder, with the packages installed into it. Ends this program when they cannot be."""
    began = time.monotonic()
    uv = shutil.which("uv") if manager == "UV" else None
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install", "--quiet"]
    wanted = os.path.join(folder, ".requirements.txt")  # not on the command line: an address may hold a password
    with open(os.open(wanted, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("\n".join(packages) + "\n")
    environ = {"UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1", "UV_LINK_MODE": "copy", **more, **os.environ}  # the machine's own certificates, as pip's
    done = subprocess.run(  # noqa: S603
        [*command, "--target", folder, "-r", wanted], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ, check=False, text=True, errors="replace"
    )
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        refuse(packages, "uv" if uv else "pip", done.stdout)
    os.unlink(wanted)
    say("DEBUG", f"Installed {', '.join(packages)} with {'uv' if uv else 'pip'} in {time.monotonic() - began:.1f} s")
    return folder


def refuse(packages: list[str], tool: str, said: str) -> None:
    """Say why, and what to do; does not return."""
    for line in said.splitlines():
        print(line, file=sys.stderr)
    remedy = "`env` may name one (UV_DEFAULT_INDEX, PIP_INDEX_URL) or a proxy (HTTPS_PROXY)"
    reason = "see above"
    if "No module named pip" in said:
        reason = "there is neither uv nor pip here: choose an image that has one"
    elif any(word in said.lower() for word in UNREACHED):
        reason = f"no package index can be reached from here; {remedy}"
    elif "from versions: none" in said:
        reason = f"no package index can be reached from here, or it knows no such package; {remedy}"
    fail(f"The dependencies {', '.join(packages)} could not be installed with {tool}: {reason}", 1)


def add(folder: str) -> None:
    """Have the command find the packages and their programs."""
    for name, part in (("PYTHONPATH", folder), ("PATH", os.path.join(folder, "bin"))):
        os.environ[name] = os.pathsep.join(filter(None, (part, os.environ.get(name))))


def clear(cache: str) -> None:
    """Remove what nobody has used for long, and what an install that was ended left behind. Another run may do the same meanwhile."""
    for entry in os.scandir(cache):
        try:
            age = time.time() - entry.stat().st_mtime
        except OSError:
            continue
        if age > OLD or (entry.name.startswith(".new-") and age > A_DAY):
            shutil.rmtree(entry.path, ignore_errors=True)


def say(level: str, message: str) -> None:
    print("::" + json.dumps({"logs": [{"level": level, "message": message}]}) + "::", flush=True)


def fail(message: str, code: int) -> None:
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
