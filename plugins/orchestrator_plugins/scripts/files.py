"""What is put into the working directory before a script, and what is taken out of it afterwards."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from orchestrator.sdk import Json, RunContext, TaskFailed, text_of
from orchestrator.sdk.globs import is_glob, matches, matches_anywhere
from orchestrator_plugins.scripts.properties import NamespaceFiles, words

STORED = "kestra://"
_URI = re.compile(r"kestra:///[^\s\"'`<>|;&()\\]+")


def inside(folder: Path, name: str) -> Path:
    """The path of a file named by a user, within a folder. Raises TaskFailed when it would lie outside."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise TaskFailed(f"the file name '{name}' must be a path within the working directory")
    return folder.joinpath(*parts)


def put_namespace_files(ctx: RunContext, wanted: NamespaceFiles | None, folder: Path) -> None:
    """Copy the files of the namespace that are asked for."""
    if wanted is None or not ctx.render(wanted.enabled):
        return
    include, exclude = words(ctx, wanted.include), words(ctx, wanted.exclude)
    for namespace in words(ctx, wanted.namespaces) or (ctx.info.namespace,):
        for path in ctx.files.namespace_files(namespace):
            if include and not any(matches_anywhere(pattern, path) for pattern in include):
                continue
            if not any(matches_anywhere(pattern, path) for pattern in exclude):
                ctx.files.fetch_namespace_file(namespace, path, inside(folder, path.lstrip("/")))


def put_input_files(ctx: RunContext, files: Mapping[str, Json] | None, folder: Path) -> None:
    """Make the given files: text is their content, a storage URI is copied, null is an empty file."""
    for name, content in (files or {}).items():
        path = inside(folder, name)
        text = "" if content is None else text_of(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.strip().startswith(STORED):
            ctx.files.fetch(text.strip(), path)
        else:
            path.write_text(text)


def with_local_copies(ctx: RunContext, text: str, folder: Path, seen_as: str) -> str:
    """The text with every storage URI replaced by the path of a local copy, as the command sees it."""
    if STORED not in text:
        return text

    def copied(found: re.Match[str]) -> str:
        uri = found[0]
        name = f".stored-{hashlib.sha256(uri.encode()).hexdigest()[:16]}{PurePosixPath(uri).suffix}"
        if not (folder / name).exists():
            ctx.files.fetch(uri, folder / name)
        return f"{seen_as}/{name}"

    return _URI.sub(copied, text)


def checked_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """The output patterns. Raises TaskFailed for one that could mean a file outside the working directory."""
    for pattern in patterns:
        if pattern.startswith(("/", "./")) or ".." in PurePosixPath(pattern).parts:
            raise TaskFailed(f"the output file '{pattern}' must be relative to the working directory, without a leading './', '..' or '/'")
    return tuple(patterns)


def keep_output_files(ctx: RunContext, folder: Path, patterns: Sequence[str], output_dir: Path | None) -> dict[str, str]:
    """Store what matches the patterns and all that lies in the output directory: relative path to URI."""
    found = {relative: folder / relative for relative in _matching(folder, patterns)}
    if output_dir is not None:
        found.update({relative: output_dir / relative for relative in _all_files(output_dir)})
    return {relative: ctx.files.put(path, path.name) for relative, path in found.items()}


def _matching(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    for pattern in patterns:
        if not is_glob(pattern) and _is_own_file(folder, folder / pattern):
            yield pattern
    globs = [pattern for pattern in patterns if is_glob(pattern)]
    if globs:
        yield from (path for path in _all_files(folder) if any(matches(pattern, path) for pattern in globs))


def _all_files(folder: Path) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith((".stored-", ".script-")) and _is_own_file(folder, path):
                yield path.relative_to(folder).as_posix()


def _is_own_file(folder: Path, path: Path) -> bool:
    """Whether it is a regular file and no link leads it out of the folder."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())
