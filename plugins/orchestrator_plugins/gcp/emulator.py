"""Google Batch, Cloud Logging and Cloud Storage on this machine, for tests: jobs run as real containers of its Docker engine.

python -m orchestrator_plugins.gcp.emulator --port 9090 --image busybox=test/busybox

with Emulator(images={"busybox": "test/busybox"}) as emulator:
    Batch.model_validate({"endpointOverride": emulator.url, "projectId": "p", "region": "europe-west1", "bucket": "b"})
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import signal
import tempfile
import threading
import uuid
from collections.abc import Mapping
from concurrent import futures
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

try:
    import google.cloud.batch_v1
    import google.cloud.logging_v2  # noqa: F401 - each of the extra's packages is looked for
    import grpc
except ModuleNotFoundError as err:
    raise ModuleNotFoundError(f"the emulator of Google Cloud lacks `{err.name}`: pip install 'orchestrator[gcp-emulator]'") from err
from google.cloud.logging_v2 import types as logging

from orchestrator_plugins.gcp.emulator_batch import Jobs, faulty, serialized, unary
from orchestrator_plugins.gcp.emulator_door import Door
from orchestrator_plugins.gcp.emulator_faults import Fault, Faults
from orchestrator_plugins.gcp.emulator_logs import Log
from orchestrator_plugins.gcp.emulator_machine import Engine
from orchestrator_plugins.gcp.emulator_storage import Storage

THREADS = 128  # calls answered at once; a tail takes one for as long as it lasts


class Emulator:
    """All three services behind one port. `images` are names that stand for images the engine does not have.

    `buckets`: those there are; None means any. `host` is loopback, or the engine's own address on its bridge.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        images: Mapping[str, str] | None = None,
        buckets: tuple[str, ...] | None = None,
        pull: bool = False,
    ) -> None:
        self.id, self.faults = uuid.uuid4().hex[:12], Faults()
        engine = Engine.local(self.id, images or {}, pull=pull)
        if not ipaddress.ip_address(host).is_loopback and host not in engine.bridge():
            raise ValueError(f"the emulator knows no passwords and listens on loopback or the engine's bridge alone, not on {host}")
        self._folder = Path(tempfile.mkdtemp(prefix="gcp-emulator-"))
        self.log = Log(self.faults)
        self.jobs = Jobs(engine, self.log, self.faults, self._folder)
        self._grpc, grpc_port = self._served()
        self.storage = Storage(self._folder, buckets, self._told)
        self._door = Door(host, port, grpc_port=grpc_port, http_port=self.storage.port)
        self.url = f"http://{host}:{self._door.port}"

    def _served(self) -> tuple[grpc.Server, int]:
        server = grpc.server(futures.ThreadPoolExecutor(THREADS), options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)])
        tail = grpc.stream_stream_rpc_method_handler(
            self.log.tailed, request_deserializer=logging.TailLogEntriesRequest.deserialize, response_serializer=serialized
        )
        listing = unary(faulty(self.faults, "ListLogEntries", self.log.listed), logging.ListLogEntriesRequest)
        methods = {"ListLogEntries": listing, "TailLogEntries": tail}
        handlers = (*self.jobs.handlers(), grpc.method_handlers_generic_handler("google.logging.v2.LoggingServiceV2", methods))
        server.add_generic_rpc_handlers(handlers)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return server, port

    def order(self, kind: Any, **more: Any) -> None:
        """Have a fault happen: `order("throttle", method="CreateJob", times=2)`."""
        self.faults.order(Fault(kind, **more))

    def _told(self, method: str, path: str, body: bytes) -> Any:
        """What another process may ask for over HTTP: faults to order, and what was called."""
        if path == "/emulator/faults" and method == "POST":
            fault = Fault(**json.loads(body))
            self.faults.order(fault)
            return asdict(fault)
        if path == "/emulator/faults" and method == "DELETE":
            self.faults.forget()
            return {}
        if path == "/emulator/calls":
            return {"calls": dict(self.faults.calls), "created": self.jobs.created}
        raise FileNotFoundError(path)

    def close(self) -> None:
        """End every job and every connection; nothing of it stays."""
        self.jobs.close()
        self._door.close()
        self._grpc.stop(0.2).wait(5)
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to end by SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator_plugins.gcp.emulator", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="loopback, or the address of a Docker bridge")
    parser.add_argument("--port", type=int, default=0, help="a free one when not given")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=IMAGE", help="run IMAGE where a job asks for NAME")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket that there is; any when none is given")
    parser.add_argument("--pull", action="store_true", help="pull images that the engine does not have")
    given = parser.parse_args(arguments)
    images = dict(one.partition("=")[::2] for one in given.image)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with Emulator(host=given.host, port=given.port, images=images, buckets=tuple(given.bucket) or None, pull=given.pull) as emulator:
        print(f"Google Cloud emulator at {emulator.url} (`endpointOverride`)", flush=True)
        with suppress(KeyboardInterrupt):
            over.wait()


if __name__ == "__main__":
    main()
