"""Callers are recognised by what their certificate or token says, and by nothing less."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from feature_service.callers.known import Caller, KnownCallers


def a_caller(name: str) -> Caller:
    return Caller(name=name, permissions=frozenset({"score"}))


FIRST, SECOND = a_caller("first"), a_caller("second")


def known(tokens: dict[bytes, Caller] | None = None) -> KnownCallers:
    hashes = {hashlib.sha256(token).digest(): caller for token, caller in (tokens or {}).items()}
    return KnownCallers(
        [FIRST, SECOND], by_certificate={"a.example": FIRST, "spiffe://bank/b": SECOND}, by_token_hash=hashes
    )


def test_the_first_known_name_of_a_certificate_counts() -> None:
    assert known().of_certificate([b"other.example", b"spiffe://bank/b", b"a.example"]) is SECOND


def test_a_certificate_without_a_known_name_is_nobody() -> None:
    assert known().of_certificate([b"A.example", b"a.example.", b"x.a.example", b"*.example", b""]) is None
    assert known().of_certificate([]) is None


@given(tokens=st.lists(st.binary(min_size=1), unique=True, max_size=20), other=st.binary())
def test_a_token_is_its_callers_and_no_other_is(tokens: list[bytes], other: bytes) -> None:
    callers = {token: a_caller(str(index)) for index, token in enumerate(tokens)}
    book = known(callers)

    assert [book.of_token(token) for token in tokens] == list(callers.values())
    assert book.of_token(other) is callers.get(other)


def test_hashes_that_begin_alike_are_told_apart() -> None:
    digest = hashlib.sha256(b"token").digest()
    alike = digest[:-1] + bytes([digest[-1] ^ 1])
    book = KnownCallers([FIRST, SECOND], by_certificate={}, by_token_hash={alike: FIRST, digest: SECOND})

    assert book.of_token(b"token") is SECOND


def test_it_says_what_callers_are_recognised_by() -> None:
    assert (known().use_certificates, known().use_tokens) == (True, False)
    assert known({b"token": FIRST}).use_tokens
