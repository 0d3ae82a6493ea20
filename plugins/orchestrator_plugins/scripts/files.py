"""What is put into the working directory before a script, and what is taken out of it afterwards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from orchestrator.sdk import Json, RunContext, text_of
from orchestrator.sdk.folders import all_files, inside, matching
from orchestrator.sdk.globs import matches_anywhere
from orchestrator_plugins.scripts.properties import NamespaceFiles, words

STORED = "kestra://"
OWN = (".stored-", ".script-")  # how names of files begin that are put there for the script alone
_URI = re.compile(r"kestra:///[^\s\"'`<>|;&()\\]+")


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


def keep_output_files(ctx: RunContext, folder: Path, patterns: Sequence[str], output_dir: Path | None) -> dict[str, str]:
    """Store what matches the patterns and all that lies in the output directory: relative path to URI."""
    found = {relative: folder / relative for relative in matching(folder, patterns, OWN)}
    if output_dir is not None:
        found.update({relative: output_dir / relative for relative in all_files(output_dir, OWN)})
    return {relative: ctx.files.put(path, path.name) for relative, path in found.items()}
