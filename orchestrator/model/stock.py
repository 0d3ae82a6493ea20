"""What is out there under an installation's labels, at every back end that its machines reach."""

from __future__ import annotations

from orchestrator.model.dispatch import Dispatch
from orchestrator.model.job import Found
from orchestrator.model.values import Frozen


class StockAsk(Frozen):
    """What a place is asked: what is there, and with `doomed` to remove what bears these job keys.

    `known` are back ends that must be told where they are: each a dispatch whose `taskRunner` reached one before.
    """

    known: tuple[Dispatch, ...] = ()
    doomed: tuple[str, ...] = ()


class Stocked(Frozen):
    """One thing found: by which runner, at which back end."""

    runner: str
    backend: str
    found: Found


class Trouble(Frozen):
    """A back end that could not be asked, and why. It is asked again the next time."""

    backend: str
    message: str


class Stock(Frozen):
    """A place's answer. `folders` are the job keys of its working directories, `removed` the keys of what was taken away."""

    stocked: tuple[Stocked, ...] = ()
    folders: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
