"""JSON, Ion, YAML and jq."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Table, entry
from orchestrator.lang.functions.printing import to_json

FORMAT_FILTERS: Table = {}
FORMAT_FUNCTIONS: Table = {}


def read_json(name: str, text: Any) -> Any:
    """The value of a JSON text. Raises ExpressionFailed for anything else."""
    if not isinstance(text, str):
        raise ExpressionFailed(f"The '{name}' function expects an argument 'json' that is a text.")
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as problem:
        raise ExpressionFailed(f"Unable to parse the value as JSON: {problem}") from None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


@entry(FORMAT_FUNCTIONS, "fromJson", "json", parameters=("json",), required=1)
def from_json(text: Any) -> Any:
    return None if text is None else read_json("fromJson", text)


@entry(FORMAT_FILTERS, "toJson", "json")
def to_json_text(value: Any) -> str:
    return to_json(value)


@entry(FORMAT_FUNCTIONS, "fromIon", parameters=("ion",), required=1)
def from_ion(text: Any) -> Any:
    """The first value of an Ion text."""
    from orchestrator.lang.functions.ion import read_ion

    if text is None:
        return None
    if not isinstance(text, str):
        raise ExpressionFailed("The 'fromIon' function expects an argument 'ion' that is a text.")
    return read_ion(text)


@entry(FORMAT_FILTERS, "toIon")
def to_ion_text(value: Any) -> str:
    from orchestrator.lang.functions.ion import write_ion

    return write_ion(value)


@entry(FORMAT_FUNCTIONS, "yaml", parameters=("yaml",), required=1)
def from_yaml(text: Any) -> Any:
    """The value of a YAML text."""
    from orchestrator.lang.functions.yamltext import read_yaml

    if text is None:
        return None
    if not isinstance(text, str):
        raise ExpressionFailed("The 'yaml' function expects an argument 'yaml' that is a text.")
    return read_yaml(text)


@entry(FORMAT_FILTERS, "yaml")
def to_yaml_text(value: Any) -> str:
    from orchestrator.lang.functions.yamltext import write_yaml

    return write_yaml(value)


@entry(FORMAT_FILTERS, "jq", parameters=("expression",), required=1)
def jq(value: Any, expression: Any) -> Any:
    """The results of a jq program, always a list; text is read as JSON first."""
    from orchestrator.lang.functions.jq import results

    if value is None:
        return None
    if not isinstance(expression, str):
        raise ExpressionFailed("The 'jq' filter expects an argument 'expression' that is a text.")
    return results(expression, read_json("jq", value) if isinstance(value, str) else value)
