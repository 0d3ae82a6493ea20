"""The files of a working directory: named by users and found by patterns, never outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from orchestrator.errors import TaskFailed
from orchestrator.sdk.globs import is_glob, matches


def inside(folder: Path, name: str) -> Path:
    """The path of a file named by a user, within a folder. Raises TaskFailed when it would lie outside."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise TaskFailed(f"the file name '{name}' must be a path within the working directory")
    return folder.joinpath(*parts)


def checked_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns. Raises TaskFailed for one that could mean a file outside the working directory."""
    for pattern in patterns:
        if pattern.startswith(("/", "./")) or ".." in PurePosixPath(pattern).parts:
            raise TaskFailed(f"the output file '{pattern}' must be relative to the working directory, without a leading './', '..' or '/'")
    return tuple(patterns)


def matching(folder: Path, patterns: Sequence[str], ignoring: Sequence[str] = ()) -> Iterator[str]:
    """The relative paths of the files that patterns mean, each once; `ignoring` are beginnings of names no glob means."""
    seen: set[str] = set()
    for pattern in patterns:
        if not is_glob(pattern) and pattern not in seen and is_own_file(folder, folder / pattern):
            seen.add(pattern)
            yield pattern
    globs = [pattern for pattern in patterns if is_glob(pattern)]
    if globs:
        yield from (path for path in all_files(folder, ignoring) if path not in seen and any(matches(pattern, path) for pattern in globs))


def all_files(folder: Path, ignoring: Sequence[str] = ()) -> Iterator[str]:
    """The relative paths of all regular files below a folder, sorted folder by folder; none whose name, or whose folder's, begins as one to ignore."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(tuple(ignoring)))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(tuple(ignoring)) and is_own_file(folder, path):
                yield path.relative_to(folder).as_posix()


def is_own_file(folder: Path, path: Path) -> bool:
    """Whether it is a regular file and no link leads it out of the folder."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())
