"""What is put into the working directory before a script, and what is taken out of it afterwards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from orchestrator.sdk import RunContext, TaskFailed, text_of
from orchestrator.sdk.folders import all_files, inside, matching
from orchestrator.sdk.globs import matches_anywhere
from orchestrator_plugins.scripts.desk import STORED, Desk
from orchestrator_plugins.scripts.properties import NamespaceFiles, words

_URI = re.compile(r"(?:kestra|nsfile)://[^\s\"'`<>|;&()\\]*/[^\s\"'`<>|;&()\\]+")
_SCHEMES = ("kestra://", "nsfile://", "file://")


def put_namespace_files(ctx: RunContext, wanted: NamespaceFiles | None, folder: Path) -> None:
    """Copy the files of the namespaces that are asked for; those of a later one win over those of an earlier."""
    if wanted is None or not ctx.render(wanted.enabled):
        return
    include, exclude = words(ctx, wanted.include), words(ctx, wanted.exclude)
    apart, if_exists = ctx.render(wanted.folder_per_namespace), ctx.render(wanted.if_exists)
    for namespace in words(ctx, wanted.namespaces) or (ctx.info.namespace,):
        top = inside(folder, namespace) if apart else folder
        for path in ctx.files.namespace_files(namespace):
            if include and not any(matches_anywhere(pattern, path) for pattern in include):
                continue
            if any(matches_anywhere(pattern, path) for pattern in exclude):
                continue
            target = inside(top, path.lstrip("/"))
            if _may_write(ctx, target, path, if_exists):
                ctx.files.fetch_namespace_file(namespace, path, target)


def _may_write(ctx: RunContext, target: Path, path: str, if_exists: str) -> bool:
    if if_exists == "OVERWRITE" or not target.exists():
        return True
    said = f"the namespace file {path} is in the working directory already"
    if if_exists == "FAIL":
        raise TaskFailed(f"{said}, and `namespaceFiles.ifExists` is FAIL")
    if if_exists == "WARN":
        ctx.logger.warn(f"{said}: it is left as it is")
    return False


def put_input_files(ctx: RunContext, files: Collection[str] | None, folder: Path) -> None:
    """Make the given files, a map: text is their content, a URI of a stored file is copied, null is an empty file.

    A list holds URIs, each copied under its own last name.
    """
    named = files if isinstance(files, Mapping) else {_last_name(uri): uri for uri in files or ()}
    for name, content in named.items():
        path = inside(folder, name)
        text = "" if content is None else text_of(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.strip().startswith(_SCHEMES):
            _fetch(ctx, text.strip(), path)
        else:
            path.write_text(text, encoding="utf-8")


def _last_name(uri: str) -> str:
    if not uri.startswith(_SCHEMES):
        raise TaskFailed(f"`inputFiles` as a list holds URIs of stored files, and `{uri[:80]}` is none: write a map of name to content")
    return PurePosixPath(uri).name


def _fetch(ctx: RunContext, uri: str, to: Path) -> None:
    """Copy a stored file, or a file of a namespace: `nsfile:///path` of the flow's own, `nsfile://namespace/path` of another."""
    if uri.startswith("file://"):
        raise TaskFailed(f"`{uri}` is a file of some machine, which flows may not read: keep it among the namespace files, or give it as an input")
    if not uri.startswith("nsfile://"):
        return ctx.files.fetch(uri, to)
    namespace, _, path = uri.removeprefix("nsfile://").partition("/")
    ctx.files.fetch_namespace_file(namespace or ctx.info.namespace, f"/{path}", to)


def with_local_copies(ctx: RunContext, text: str, desk: Desk) -> str:
    """The text with the URI of every stored file replaced by the path of a local copy, as the command sees it."""
    if "://" not in text:
        return text

    def copied(found: re.Match[str]) -> str:
        uri = found[0]
        name = f"{STORED}{hashlib.sha256(uri.encode()).hexdigest()[:16]}{PurePosixPath(uri).suffix}"
        if not (desk.folder / name).exists():
            _fetch(ctx, uri, desk.folder / name)
        return desk.seen(name)

    return _URI.sub(copied, text)


def keep_output_files(ctx: RunContext, desk: Desk, patterns: Sequence[str]) -> dict[str, str]:
    """Store what matches the patterns and all that lies in the output directory: relative path to URI."""
    own = desk.own_names()
    found = {relative: desk.folder / relative for relative in matching(desk.folder, patterns, own)}
    if desk.output_dir is not None:
        top = desk.folder / desk.output_dir
        found.update({relative: top / relative for relative in all_files(top, own)})
    return {relative: ctx.files.put(path, path.name) for relative, path in found.items()}
