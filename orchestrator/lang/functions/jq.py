"""jq programs: plain paths are followed here, all others run in a helper process that knows no environment and can be ended."""

from __future__ import annotations

import atexit
import json
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.printing import is_list, plain, weigh

_PATH = re.compile(
    r"\s*(?:\.|(?:\.[A-Za-z_]\w*|\.?\[(?:\d{1,9}|\"[^\"\\]*\")\]|\.\"[^\"\\]*\")(?:\.[A-Za-z_]\w*|\.?\[(?:\d{1,9}|\"[^\"\\]*\")\]|\.\"[^\"\\]*\")*)\s*"
)
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\.?\[(\d+)\]|\.?\[?\"([^\"]*)\"\]?")
_LOADS = re.compile(r"(?:\s|#[^\n]*(?:\n|$))*(?:import|include|module)\b")
_MEMORY = 1024 * 1024 * 1024

_HELPER = """
import json, resource, signal, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
try:
    import jq
except ImportError:
    jq = None
for line in sys.stdin.buffer:
    program, text = json.loads(line)
    signal.alarm(int(sys.argv[3]))  # ends this process even when the one that asked is gone
    try:
        if jq is None:
            raise ValueError("jq is not installed here: pip install jq")
        found, size = [], 0
        for item in jq.compile(program).input_text(text):
            found.append(item)
            size += 1
            if size > int(sys.argv[2]):
                raise ValueError("it has too many results")
        answer = {"found": found}
    except (ValueError, StopIteration, MemoryError) as problem:
        answer = {"problem": str(problem)}
    signal.alarm(0)
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\\n")
    sys.stdout.buffer.flush()
"""


def results(program: str, value: Any) -> list[Any]:
    """All results of a program on a value. Raises ExpressionFailed for a wrong program, a failing one, and one that runs for too long."""
    weigh(value)
    if _PATH.fullmatch(program):
        return [plain(_follow(program, value))]
    if _LOADS.match(program):
        raise ExpressionFailed("A jq program may not load modules")
    return _HELPERS.ask(program, value)


def _follow(program: str, value: Any) -> Any:
    for name, index, key in _STEP.findall(program):
        if value is None:
            continue
        if index and is_list(value):
            value = list(value)[int(index)] if int(index) < len(value) else None
        elif not index and isinstance(value, Mapping):
            value = value.get(name or key)
        else:
            raise ExpressionFailed(f"jq: Cannot index {_kind(value)} with {index or json.dumps(name or key)}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, Mapping):
        return "object"
    return "array" if is_list(value) else "number" if isinstance(value, int | float) else "string"


class _Helpers:
    """The helper process, started when first needed and again after it was ended; one program at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, program: str, value: Any) -> list[Any]:
        request = json.dumps([program, json.dumps(plain(value))]).encode() + b"\n"
        limits.text_within(len(request))
        with self._lock:
            try:
                line = self._answer(self._running(), request)
            except (OSError, TimeoutError) as problem:
                self.end()
                slow = isinstance(problem, TimeoutError)
                raise ExpressionFailed(f"The jq program takes more than {limits.JQ_SECONDS:g} s" if slow else "The jq program ended its helper") from None
        answer = json.loads(line)
        if "problem" in answer:
            raise ExpressionFailed(f"Unable to run the jq program `{program}`: {answer['problem']}")
        return list(answer["found"])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-I", "-c", _HELPER, str(_MEMORY), str(limits.ITEMS), str(int(limits.JQ_SECONDS) + 2)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd="/")  # noqa: S603
            atexit.register(self.end)
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], request: bytes) -> bytes:
        """Write the request and read one line, both before the deadline."""
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        deadline = time.monotonic() + limits.JQ_SECONDS
        writer = threading.Thread(target=_write, args=(process.stdin, request), daemon=True)
        writer.start()
        waiting = select.poll()
        waiting.register(process.stdout, select.POLLIN)
        got = bytearray()
        while not got.endswith(b"\n"):
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            piece = process.stdout.read1(1 << 20)  # type: ignore[attr-defined]  # a BufferedReader
            if not piece:
                raise OSError("it ended")
            got += piece
            if len(got) > 4 * limits.OUTPUT_CHARS:
                raise OSError("its answer is too long")
        return bytes(got)

    def end(self) -> None:
        """Kill the helper, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _write(pipe: Any, data: bytes) -> None:
    try:
        pipe.write(data)
        pipe.flush()
    except (OSError, ValueError):
        return  # the helper is gone: reading its answer says so


_HELPERS = _Helpers()
