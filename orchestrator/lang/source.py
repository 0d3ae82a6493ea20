"""YAML text as plain JSON values, and where in the text each of them was written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from orchestrator.errors import BadSettings
from orchestrator.lang.yaml12 import Loader, TooDeep, scalar
from orchestrator.model.values import Json

MAX_TEXT = 4 * 1024 * 1024  # characters
MAX_VALUES = 200_000  # values after anchors are expanded: a few lines of aliases can stand for billions
MAX_EXPANDED = 16 * 1024 * 1024  # characters after anchors are expanded

Path = tuple[str | int, ...]


class Mark(NamedTuple):
    """A stretch of one line, counted from 1."""

    line: int = 1
    column: int = 1
    length: int = 1


class Problem(NamedTuple):
    """Something wrong with the YAML itself."""

    code: str
    message: str
    mark: Mark
    path: Path = ()
    help: str | None = None


class Source:
    """One YAML document: its plain `value` (None when it cannot be read), its `problems`, and marks on demand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.value: Json = None
        self.problems: list[Problem] = []
        self._root: Node | None = None
        self._values = self._expanded = 0

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Where the value at `path` stands, or its key; of a path that was not written, the nearest part that was."""
        node, at_key = self._root, None
        for part in path:
            found = None if node is None else _child(node, part)
            if found is None:
                break
            at_key, node = found
        return _mark(at_key if key and at_key is not None else node)

    def written(self, path: Path) -> str | None:
        """The text of the scalar at `path`, exactly as written; None when there is none."""
        node = self._root
        for part in path:
            found = None if node is None else _child(node, part)
            if found is None:
                return None
            node = found[1]
        return str(node.value) if isinstance(node, ScalarNode) else None

    def _build(self, node: Node, path: Path, above: tuple[int, ...] = ()) -> Json:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _Refused(Problem("too-large", f"more than {MAX_VALUES:,} values once anchors are expanded", _mark(node), path))
        if id(node) in above:
            raise _Refused(Problem("bad-yaml", "an anchor may not hold itself", _mark(node), path))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        above = (*above, id(node))
        if isinstance(node, SequenceNode):
            return [self._build(item, (*path, at), above) for at, item in enumerate(node.value)]
        return self._map(node, path, above) if isinstance(node, MappingNode) else None

    def _scalar(self, node: ScalarNode, path: Path) -> Json:
        self._expanded += len(node.value)
        if self._expanded > MAX_EXPANDED:
            raise _Refused(Problem("too-large", f"more than {MAX_EXPANDED:,} characters once anchors are expanded", _mark(node), path))
        try:
            return scalar(node.tag, node.value)
        except ValueError as err:
            self.problems.append(Problem("bad-yaml", f"Illegal flow yaml: {err}", _mark(node), path, "quote it to have it as text"))
            return None

    def _map(self, node: MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, Json]:
        seen: dict[str, Node] = {}
        made: dict[str, Json] = {}
        merged: dict[str, Json] = {}
        for key, value in node.value:
            if _is_merge(key):
                merged = {**self._merged(value, path, above), **merged}
            elif not isinstance(key, ScalarNode):
                self.problems.append(
                    Problem("bad-yaml", "Illegal flow yaml: a key must be plain text", _mark(key), path, "quote it, if {{ ... }} was meant as text")
                )
            elif key.value in seen:
                first = _mark(seen[key.value])
                self.problems.append(
                    Problem("duplicate-key", f"Duplicate field '{key.value}'", _mark(key), path, f"first written at {first.line}:{first.column}")
                )
            else:
                seen[key.value] = key
                made[key.value] = self._build(value, (*path, key.value), above)
        return {**merged, **made} if merged else made

    def _merged(self, node: Node, path: Path, above: tuple[int, ...]) -> dict[str, Json]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        made: dict[str, Json] = {}
        for part in parts:
            if not isinstance(part, MappingNode):
                self.problems.append(Problem("bad-yaml", "Illegal flow yaml: `<<` takes a map, or a list of maps", _mark(part), path))
                continue
            value = self._build(part, path, above)
            made = {**value, **made}  # the first map in the list wins
        return made


class _Refused(Exception):
    """The document is not built any further."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read(text: str) -> Source:
    """Read one document. Never raises: what is wrong is in `problems`, and what could be read is in `value`."""
    source = Source(text)
    if len(text) > MAX_TEXT:
        source.problems.append(Problem("too-large", f"longer than {MAX_TEXT:,} characters", Mark()))
        return source
    try:
        source._root = _compose(text)
        source.value = None if source._root is None else source._build(source._root, ())
    except _Refused as refused:
        source.problems.append(refused.problem)
    except (yaml.YAMLError, UnicodeEncodeError) as err:
        source.problems.append(_problem(text, err))
    return source


def parse_yaml(text: str) -> Json:
    """The plain value of a document. Raises ValueError saying what is wrong and where."""
    source = read(text)
    for problem in source.problems:
        raise ValueError(f"line {problem.mark.line}, column {problem.mark.column}: {problem.message.removeprefix('Illegal flow yaml: ')}")
    return source.value


def plain_yaml(text: str) -> Json:
    """The plain value of a configuration file, {} when it is empty. Raises BadSettings saying what is wrong and where."""
    try:
        value = parse_yaml(text)
    except ValueError as err:
        raise BadSettings(str(err)) from err
    return {} if value is None else value


def documents(text: str) -> tuple[str, ...]:
    """The documents of a text, split at lines of `---`; blank ones are left out.

    Each is split off as text, so that a broken one does not hide those after it.
    """
    return tuple(part for part in re.split(r"(?m)^---(?:[ \t].*)?(?:\r?\n|\Z)", text) if re.search(r"(?m)^\s*[^\s#]", part))


def without_revision(text: str) -> str:
    """A flow's source without a leading `revision:` line: the revision is the server's to say."""
    return re.sub(r"\A(?:[ \t]*\r?\n)*revision:[^\n]*\n", "", text)


_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


def _compose(text: str) -> Node | None:
    """The document's root. JSON writes what lies beyond 16 bits as two escapes, which libyaml does not know."""
    try:
        root: Node | None = Loader(text).get_single_node()
    except yaml.scanner.ScannerError:
        joined = _PAIR.sub(lambda pair: str(json.loads(f'"{pair[0]}"')), text)
        if joined == text:
            raise
        root = Loader(joined).get_single_node()
    return root


def _is_merge(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.value == "<<" and not key.style


def _child(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    """The key and value nodes below `node`; maps merged in by `<<` are looked into last."""
    if isinstance(node, SequenceNode):
        return (None, node.value[part]) if isinstance(part, int) and -1 < part < len(node.value) else None
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == part and not _is_merge(key):
            return key, value
    for key, value in node.value:
        if _is_merge(key):
            for merged in value.value if isinstance(value, SequenceNode) else [value]:
                found = _child(merged, part) if isinstance(merged, MappingNode) else None
                if found is not None:
                    return found
    return None


def _mark(node: Node | None) -> Mark:
    if node is None:
        return Mark()
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if end.line == start.line else 1
    return Mark(start.line + 1, start.column + 1, max(1, length))


def _problem(text: str, err: Exception) -> Problem:
    """What libyaml objects to, in words that help where the usual mistakes are known."""
    if isinstance(err, TooDeep):
        return Problem("too-large", str(err), Mark())
    if isinstance(err, UnicodeEncodeError):
        return Problem("bad-yaml", "Illegal flow yaml: a lone surrogate is not text", _at(text, err.start))
    if isinstance(err, yaml.reader.ReaderError):
        offset = len(text.encode()[: err.position].decode(errors="ignore"))
        return Problem("bad-yaml", f"Illegal flow yaml: {err.reason}", _at(text, offset))
    if isinstance(err, yaml.MarkedYAMLError):
        where = err.problem_mark or err.context_mark
        mark = Mark() if where is None else Mark(where.line + 1, where.column + 1, 1)
        said = err.problem or err.context or "it cannot be read"
        if "maximum nesting depth" in said:  # newer libyaml has a bound of its own, above ours
            return Problem("too-large", said, mark)
        return Problem("bad-yaml", f"Illegal flow yaml: {said}", mark, (), _hint(text, said, err))
    return Problem("bad-yaml", f"Illegal flow yaml: {err}", Mark())


def _at(text: str, offset: int) -> Mark:
    before = text[:offset]
    return Mark(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1, 1)


_HINTS: Mapping[str, str] = {
    "mapping values are not allowed": "quote a value that holds `: `, and check the indentation",
    "cannot start any token": "indent with spaces, not tabs; quote a value that begins with a special character",
    "did not find expected key": "check the indentation, and close what was opened",
    "found undefined alias": "a value that begins with `*` must be quoted",
}


def _hint(text: str, said: str, err: yaml.MarkedYAMLError) -> str | None:
    for words, hint in _HINTS.items():
        if words in said:
            return hint
    opened = err.context_mark
    return None if opened is None or err.context is None else f"{err.context} begun at {opened.line + 1}:{opened.column + 1}"
