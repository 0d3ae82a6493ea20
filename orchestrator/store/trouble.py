"""What databases say when they cannot serve, as one clear message with the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from orchestrator.errors import OrchestratorError, Refused, StoreUnavailable

_REMEDIES = (
    ("file is not a database", "it is not an SQLite database; name another file, or move this one away"),
    ("malformed", "the file is damaged; move it away and put a backup (or the newest copy beside it, .bak-...) in its place"),
    ("file is encrypted", "it is not an SQLite database; name another file, or move this one away"),
    ("readonly database", "it may not be written; make the file and its folder writable for this user"),
    ("read-only", "it may not be written; make it writable for this user"),
    ("unable to open database file", "it cannot be opened; make the file and its folder readable and writable for this user"),
    ("disk is full", "the disk is full; free some space"),
    ("disk i/o error", "the disk does not answer as it should; look at the machine's own messages"),
    ("locked", "another process has held it for too long; end that process"),
    ("no space left", "the database's disk is full; free some space"),
    ("authentication failed", "the user or password is wrong; correct the URL"),
    ("does not exist", "create it, or correct the URL"),
    ("connection", "the server does not answer; start it, or correct the URL"),
)


def unavailable(where: str, err: BaseException) -> StoreUnavailable:
    """The one message for a database error. `where` names the file or the server, without a password."""
    said = " ".join(str(getattr(err, "orig", None) or err).split())
    remedy = next((remedy for word, remedy in _REMEDIES if word in said.lower()), "")
    return StoreUnavailable(f"The database {where} cannot be used: {remedy or said}" + (f" ({said})" if remedy else ""))


@contextmanager
def telling(where: str) -> Iterator[None]:
    """Turns what the database or its driver raises into StoreUnavailable, or Refused where the asker's own value was at fault."""
    try:
        yield
    except OrchestratorError:
        raise
    except (OverflowError, UnicodeError) as err:  # a number beyond 64 bits, half a surrogate pair
        raise Refused(f"The database {where} cannot hold this value: {err}") from err
    except (sa.exc.SQLAlchemyError, OSError) as err:
        raise _told(where, getattr(err, "orig", None) or err) from err
    except Exception as err:
        if not _is_driver_error(err):
            raise
        raise _told(where, err) from err


def _told(where: str, err: BaseException) -> OrchestratorError:
    if any(kind.__name__ == "DataError" for kind in type(err).__mro__) or "user-defined function raised" in str(err):
        return Refused(f"The database {where} cannot work with this value: {' '.join(str(err).split())}")
    return unavailable(where, err)


def _is_driver_error(err: Exception) -> bool:
    """Whether this is the `Error` that every database driver has by PEP 249, whichever driver is used."""
    return any(kind.__name__ == "Error" and kind.__module__.partition(".")[0] in {"sqlite3", "psycopg"} for kind in type(err).__mro__)
