"""YAML 1.2 core on libyaml: what a plain scalar means, and a bound on nesting.

PyYAML's own tables are YAML 1.1: `on` is true, `12:30` is 750, `010` is 8. Here those are text, text and ten.
"""

from __future__ import annotations

import math
import re

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # not in the stubs
from yaml.resolver import BaseResolver

from orchestrator.model.values import Json

MAX_DEPTH = 100  # flows nest about ten deep; libyaml itself would recurse until the stack ends
TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS = 1000  # a longer run of digits is an identifier, not a number


class TooDeep(yaml.YAMLError):
    """Lists and maps nested beyond MAX_DEPTH."""


class Loader(CParser, BaseResolver):
    """Composes nodes with marks; plain scalars carry the tag of the YAML 1.2 core schema."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        BaseResolver.__init__(self)
        self.depth = 0

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooDeep(f"nested more than {MAX_DEPTH} deep")

    def ascend_resolver(self) -> None:
        self.depth -= 1


# A resolver is looked up by a scalar's first character; "" is the empty scalar.
Loader.add_implicit_resolver(TAG + "null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
Loader.add_implicit_resolver(TAG + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
Loader.add_implicit_resolver(TAG + "int", re.compile(rf"^(?:{_INT.pattern})$"), list("-+0123456789"))
Loader.add_implicit_resolver(TAG + "float", re.compile(rf"^(?:{_FLOAT.pattern})$"), list("-+.0123456789"))


def scalar(tag: str, text: str) -> Json:
    """The JSON value of a scalar. A number that JSON cannot hold stays text. Raises ValueError for a tag or text that does not fit."""
    match tag.removeprefix(TAG):
        case "str" | "!":
            return text
        case "null":
            return None
        case "bool":
            return _bool(text)
        case "int":
            return _int(text)
        case "float":
            return _float(text)
    raise ValueError(f"unknown tag `{tag.replace(TAG, '!!')}`")


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"`{text}` is not true or false")
    return text.lower() == "true"


def _int(text: str) -> Json:
    if not _INT.fullmatch(text):
        raise ValueError(f"`{text}` is not a whole number")
    if len(text) > _MAX_DIGITS:
        return text
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(text: str) -> Json:
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"`{text}` is not a number")
    number = float(text)
    return number if math.isfinite(number) else text
