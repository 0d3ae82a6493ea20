"""How minted tokens are written, known again, and what ends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.model.access_token import AccessToken, Role, digest_of, is_text_of, prefix_of, uid_in, written

NOW = datetime(2030, 1, 31, tzinfo=UTC)
UID, SECRET = "0123456789ab", "s" * 43
TEXT = written(Role.JOIN, UID, SECRET)


def token(**more: Any) -> AccessToken:
    about = {"uid": UID, "role": "join", "name": "box", "tokenPrefix": prefix_of(Role.JOIN, UID), "digest": digest_of(TEXT), "createdAt": NOW}
    return AccessToken.model_validate({**about, **more})


def test_a_token_is_known_by_its_whole_text_only() -> None:
    assert is_text_of(token(), TEXT)
    for other in (TEXT[:-1], TEXT + "s", written(Role.JOIN, UID, "t" * 43), written(Role.VIEW, UID, SECRET), "", token().digest):
        assert not is_text_of(token(), other)


def test_nothing_that_is_kept_or_printed_holds_its_secret() -> None:
    assert SECRET not in token().model_dump_json()
    assert token().digest not in repr(token())


def test_a_text_names_its_uid() -> None:
    assert uid_in(TEXT) == uid_in(written(Role.VIEW, UID, SECRET)) == UID
    for other in ("", "orj_", TEXT[:-1], TEXT + "s", "ora_" + TEXT[4:], "run.abc.1.sig", f" {TEXT}", f"{TEXT}\n"):
        assert uid_in(other) is None


def test_a_token_ends_when_it_expires_or_is_revoked() -> None:
    assert token().refusal(NOW) is None
    assert token(expiresAt=NOW + timedelta(seconds=1)).refusal(NOW) is None
    assert token(expiresAt=NOW).refusal(NOW) == "this token (box) has expired"
    assert token(revoked=True).refusal(NOW) == "this token (box) has been revoked"


def test_a_join_token_joins_its_own_group_only() -> None:
    assert [token().refusal_of(group) for group in ("", "gpu")] == [None, None]
    assert token(group="gpu").refusal_of("gpu") is None
    assert token(group="gpu").refusal_of("") == "this token (box) joins machines to worker group 'gpu', not to the default worker group"
    assert token(group="").refusal_of("gpu") == "this token (box) joins machines to the default worker group, not to worker group 'gpu'"
    assert token(role="view").refusal_of("gpu") == "this token (box) is for looking: no machine joins with it"


@pytest.mark.parametrize("wrong", [{"role": "admin"}, {"role": "root"}, {"role": "view", "group": "gpu"}, {"name": ""}, {"uid": "0123456789AB"}])
def test_what_no_token_may_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        token(**wrong)
