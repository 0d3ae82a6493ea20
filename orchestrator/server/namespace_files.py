"""Files of a namespace: bytes to blobs, rows through the executor, old bytes away after the commit."""

from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

from orchestrator.errors import NotFound
from orchestrator.runtime.requests import DeleteFiles, MoveFile, PutFile
from orchestrator.server.parts import Parts
from orchestrator.server.problems import BadArgument
from orchestrator.server.upsert import save_flow
from orchestrator.store.port import Condition, StoredFile

KIND = "namespace"
FLOWS = "/_flows"
MAX_UNPACKED = 1 << 30  # bytes of all entries of an archive
MAX_ENTRIES = 10_000
_NAMESPACE_LINE = re.compile(r"(?m)^namespace:.*$")


def clean(path: str | None) -> str:
    """A path with one leading slash and nothing that climbs; `/` is the root. Raises BadArgument."""
    words = [word for word in (path or "").split("/") if word not in ("", ".")]
    if ".." in words or "\x00" in (path or "") or len(path or "") > 1024:
        raise BadArgument(f"Invalid path: {path}")
    return "/" + "/".join(words)


def allowed(path: str | None) -> str:
    """The clean path. Raises BadArgument when it is the flows' own."""
    found = clean(path)
    if found == FLOWS or found.startswith(FLOWS + "/"):
        raise BadArgument(f"Forbidden path: {found}")
    return found


def found(parts: Parts, namespace: str, path: str) -> StoredFile:
    """A file or folder. Raises NotFound."""
    file = parts.reader.file(KIND, namespace, path)
    if file is None:
        raise NotFound(f"File '{path}' does not exist in namespace '{namespace}'")
    return file


def children(parts: Parts, namespace: str, folder: str) -> Sequence[StoredFile]:
    """What lies directly in a folder."""
    start = folder.rstrip("/") + "/"
    return [file for file in parts.reader.files(KIND, namespace, folder) if "/" not in file.path[len(start) :]]


async def keep(parts: Parts, namespace: str, path: str, blob: str, size: int) -> None:
    """Make stored bytes the content of a path; what it held before is forgotten. Raises BadArgument where a folder stands."""
    before = parts.reader.file(KIND, namespace, path)
    if path == "/" or (before is not None and before.directory):
        parts.blobs.remove(blob)
        raise BadArgument(f"`{path}` is a folder")
    await parts.executor.put_file(PutFile(kind=KIND, owner=namespace, path=path, size=size, blob=blob))
    if before is not None:
        parts.blobs.remove(before.blob)


async def keep_flow(parts: Parts, namespace: str, source: str) -> None:
    """A file under `/_flows` is a flow of this namespace."""
    in_it = _NAMESPACE_LINE.sub(lambda _: f"namespace: {namespace}", source, count=1)
    await save_flow(parts, in_it)


async def make_folder(parts: Parts, namespace: str, path: str) -> None:
    """A folder, with those above it. One that is there stays."""
    there = parts.reader.file(KIND, namespace, path)
    if there is not None and not there.directory:
        raise BadArgument(f"`{path}` is a file")
    if path != "/" and there is None:
        await parts.executor.put_file(PutFile(kind=KIND, owner=namespace, path=path, size=0, blob="", directory=True))


async def forget(parts: Parts, namespace: str, path: str) -> bool:
    """Remove a file, or a folder with all below it, and the folders above that are empty then; whether it was there."""
    gone = [*parts.reader.files(KIND, namespace, path), *filter(None, [parts.reader.file(KIND, namespace, path)])]
    there = await parts.executor.delete_files(DeleteFiles(kind=KIND, owner=namespace, path=path))
    while (path := path.rpartition("/")[0]) and not parts.reader.files(KIND, namespace, path):
        await parts.executor.delete_files(DeleteFiles(kind=KIND, owner=namespace, path=path))
    for file in gone:
        if file.blob:
            parts.blobs.remove(file.blob)
    return there


async def move(parts: Parts, namespace: str, source: str, target: str) -> None:
    """Give a file or folder another path. Raises NotFound, and BadArgument for a target that is taken or lies inside."""
    if not parts.reader.files(KIND, namespace, source):
        found(parts, namespace, source)
    if target.startswith(source.rstrip("/") + "/") or "/" in (source, target):
        raise BadArgument(f"`{source}` cannot be moved to `{target}`")
    if source != target:
        if parts.reader.file(KIND, namespace, target) is not None:
            raise BadArgument(f"`{target}` exists already")
        await parts.executor.move_file(MoveFile(namespace=namespace, source=source, target=target))


async def unpack(parts: Parts, namespace: str, blob: str) -> None:
    """Keep every file of an archive, and its flows as flows. Raises BadArgument when it is broken or too large, before anything is kept."""
    try:
        with parts.blobs.open(blob) as file, zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
                raise BadArgument(f"the archive holds more than {MAX_ENTRIES} files or {MAX_UNPACKED >> 20} MiB")
            paths = [clean(entry.filename) for entry in entries]
            for path, entry in zip(paths, entries, strict=True):
                await _unpack_one(parts, namespace, archive, path, entry)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as err:
        raise BadArgument(f"the archive cannot be read: {err}") from err
    finally:
        parts.blobs.remove(blob)


async def _unpack_one(parts: Parts, namespace: str, archive: zipfile.ZipFile, path: str, entry: zipfile.ZipInfo) -> None:
    if path.startswith(FLOWS + "/"):
        source = await asyncio.to_thread(archive.read, entry)
        return await keep_flow(parts, namespace, source.decode("utf-8", "replace"))
    blob, size = await asyncio.to_thread(_stored, parts, archive, entry)
    await keep(parts, namespace, path, blob, size)


def _stored(parts: Parts, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[str, int]:
    with archive.open(entry) as stream:
        return parts.blobs.write(stream)  # type: ignore[arg-type]  # a readable binary stream, whatever its class


def export(parts: Parts, namespace: str, target: BinaryIO) -> None:
    """All files and flows of a namespace as an archive. Blocks."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in parts.reader.files(KIND, namespace):
            if not file.directory:
                with parts.blobs.open(file.blob) as source, archive.open(file.path.lstrip("/"), "w") as entry:
                    while data := source.read(1 << 20):
                        entry.write(data)
        for saved in parts.reader.flows([Condition("namespace", "EQUALS", namespace)]).rows:
            archive.writestr(f"{FLOWS.lstrip('/')}/{saved.flow.id}.yml", saved.source)
