"""Clauses asked of rows in memory: what `queries` says in SQL, said in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from orchestrator.model.values import Label
from orchestrator.store.filters import Clause, Every, HasLabel, HasRun, Is, Not, Some, Test

_ASCII_LOWER = str.maketrans({chr(upper): chr(upper + 32) for upper in range(ord("A"), ord("Z") + 1)})


@dataclass(frozen=True)
class Candidate:
    """A row, and what stands beside it in other tables."""

    row: Mapping[str, Any]
    labels: Sequence[Label] = ()
    task_runs: Sequence[Mapping[str, Any]] = ()


_TESTS: Mapping[Is, Callable[[Any, Any], bool]] = {
    Is.EQUAL: lambda found, value: bool(found == value),
    Is.ONE_OF: lambda found, value: found in value,
    Is.CONTAINING: lambda found, value: value in found,
    Is.MENTIONING: lambda found, value: value.translate(_ASCII_LOWER) in found.translate(_ASCII_LOWER),
    Is.STARTING: lambda found, value: bool(found.startswith(value)),
    Is.ENDING: lambda found, value: bool(found.endswith(value)),
    Is.UNDER: lambda found, value: bool(found == value or found.startswith(value + ".")),
    Is.MATCHING: lambda found, value: regex.search(value, found) is not None,
    Is.ABOVE: lambda found, value: bool(found > value),
    Is.BELOW: lambda found, value: bool(found < value),
    Is.FROM: lambda found, value: bool(found >= value),
    Is.UP_TO: lambda found, value: bool(found <= value),
}


def holds(clause: Clause, candidate: Candidate) -> bool:
    """Whether the candidate passes the clause."""
    match clause:
        case Test(column, what, value):
            return _passes(candidate.row[column], what, value)
        case HasLabel(key, test):
            return any(label.key == key and _passes(label.value, test.what, test.value) for label in candidate.labels)
        case HasRun(test):
            return any(_passes(run[test.column], test.what, test.value) for run in candidate.task_runs)
        case Not(inner):
            return not holds(inner, candidate)
        case Every(clauses):
            return all(holds(inner, candidate) for inner in clauses)
        case Some(clauses):
            return any(holds(inner, candidate) for inner in clauses)


def _passes(found: Any, what: Is, value: Any) -> bool:
    if what is Is.ABSENT:
        return found is None
    return found is not None and _TESTS[what](found, value)


def sorting_key(found: Any) -> tuple[bool, Any]:
    """What is absent counts as latest."""
    return (found is None, 0 if found is None else found)
