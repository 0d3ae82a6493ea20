"""YAML text: reads without anchors, writes with as few quotes as possible."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.printing import is_list, plain, to_json, to_text

_PLAIN = re.compile(r"[^\s\-?:,\[\]{}#&*!|>'\"%@`][^\n]*|[-?:][^\s\n][^\n]*")
_OTHER = re.compile(r"(?i:null|~|true|false|yes|no|on|off|y|n|\.nan|[-+]?\.inf)|[-+]?[0-9][0-9_,.:]*(?:[eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F]+|=|<<")


def read_yaml(text: str) -> Any:
    """The value of a YAML text. Raises ExpressionFailed for what is no YAML, and for anchors."""
    import yaml

    from orchestrator.lang.yaml12 import Loader

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=Loader)):  # type: ignore[arg-type]  # the stubs know only their own loaders
            raise ExpressionFailed("Anchors are not resolved in the 'yaml' function")
        node = Loader(text).get_single_node()
        return None if node is None else _value(node)
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        raise ExpressionFailed(f"Unable to parse the value as YAML: {problem}") from None


def _value(node: Any) -> Any:
    """The value of a node of the document."""
    import yaml

    from orchestrator.lang.yaml12 import scalar

    if isinstance(node, yaml.MappingNode):
        return {key if isinstance(key := _value(name), str | int | float) else to_text(key): _value(held) for name, held in node.value}
    return [_value(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else scalar(node.tag, node.value)


def write_yaml(value: Any) -> str:
    """A value as YAML in block style with a final newline; list items are indented by one."""
    to_json(value)  # refuses what is too large before it is written
    return "\n".join(_lines(plain(value))) + "\n"


def _lines(value: Any) -> list[str]:
    """The lines of a value that begins on a line of its own."""
    if isinstance(value, Mapping) and value:
        found = []
        for key, held in value.items():
            found += _after(_text(to_text(key)) + ":", held, in_list=False)
        return found
    if is_list(value) and value:
        return [line for item in value for line in _after(" -", item, in_list=True)]
    return _inline(value)


def _after(lead: str, value: Any, *, in_list: bool) -> list[str]:
    """The lines of a value behind a key or a dash."""
    nested = (isinstance(value, Mapping) or is_list(value)) and bool(value)
    lines = _lines(value)
    limits.items_within(len(lines))
    if not nested:
        return [f"{lead} {lines[0]}", *(f"  {line}" if line else "" for line in lines[1:])]
    if in_list:
        return [f"{lead} {lines[0]}", *(f"   {line}" for line in lines[1:])]
    return [lead, *(line if is_list(value) else f"  {line}" for line in lines)]


def _inline(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return ["{}"]
    if is_list(value):
        return ["[]"]
    if not isinstance(value, str):
        return ["null" if value is None else to_text(value)]
    if "\n" in value and all(line.isprintable() for line in value.split("\n")) and not re.search(r"^\s|[^\S\n]+(\n|$)|[\x00-\x08\x0b-\x1f\x7f]|\n\n$", value):
        mark = "|" if value.endswith("\n") else "|-"
        return [mark, *value.removesuffix("\n").split("\n")]
    return [_text(value)]


def _text(value: str) -> str:
    simple = _PLAIN.fullmatch(value) and ": " not in value and " #" not in value and not value.endswith((":", " "))
    if simple and not _OTHER.fullmatch(value) and value.isprintable():
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    if character.isprintable() and code < 0xFFFF:
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
