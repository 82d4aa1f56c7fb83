"""A callers file is taken as a whole or not at all, and what is wrong with it is named without its secrets."""

import hashlib
from pathlib import Path

import pytest

from feature_service.callers.callers_file import CallersFileError, parse_callers, read_callers
from feature_service.callers.known import Rate

PATH = Path("callers.toml")
HASH = hashlib.sha256(b"token").hexdigest()
WHOLE = f"""
[[callers]]
name = "payments"
certificates = ["payments.bank.example", "spiffe://bank/payments"]
token_sha256 = ["{HASH}"]
permissions = ["score"]
requests_per_s = 2.5
max_request_bytes = 65536

[[callers]]
name = "analysts"
certificates = ["analysts"]
permissions = ["read_features", "administer"]
requests_per_s = 5
burst = 50
"""


def test_it_says_who_is_recognised_by_what_and_may_do_what() -> None:
    known = parse_callers(WHOLE.encode(), PATH)

    payments, analysts = known.callers
    assert payments.name == "payments"
    assert payments.permissions == frozenset({"score"})
    assert payments.max_request_bytes == 65_536
    assert analysts.permissions == frozenset({"read_features", "administer"})
    assert payments.rate == Rate(requests_per_s=2.5, burst=3)  # a second's worth
    assert analysts.rate == Rate(requests_per_s=5, burst=50)
    assert known.of_certificate([b"spiffe://bank/payments"]) is payments
    assert known.of_certificate([b"analysts"]) is analysts
    assert known.of_token(b"token") is payments


def test_the_example_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[4] / "docs" / "security.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]

    known = parse_callers(example.encode(), PATH)

    assert [caller.name for caller in known.callers] == ["terminal-payments", "stream-processor"]
    assert known.of_token(b"example") is known.callers[0]


def entry(**fields: str) -> str:
    given = {"name": '"a"', "certificates": '["a"]', "permissions": '["score"]', **fields}
    return "[[callers]]\n" + "".join(f"{key} = {value}\n" for key, value in given.items() if value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "callers: Field required"),
        ("callers = []", "callers: "),
        ("[[callers", "not TOML"),
        ("\udcff", "not UTF-8"),
        (entry(permissions='["scores"]'), r"callers\.0\.permissions\.0: "),
        (entry(permissions="[]"), r"callers\.0\.permissions: "),
        (entry(permission='["score"]'), r"callers\.0\.permission: Extra"),
        (entry(name='"a b"'), r"callers\.0\.name: "),
        (entry(token_sha256='["secret-token-itself"]'), r"callers\.0\.token_sha256\.0: "),
        (entry(requests_per_s="0"), r"callers\.0\.requests_per_s: "),
        (entry(requests_per_s='"5"'), r"callers\.0\.requests_per_s: "),
        (entry(requests_per_s="inf"), r"callers\.0\.requests_per_s: "),
        (entry(max_request_bytes="0"), r"callers\.0\.max_request_bytes: "),
        (entry(burst="5"), "a: `burst` without `requests_per_s`"),
        (entry(certificates=""), "a: nothing recognises it"),
        (entry() + entry(), "a: two callers have this name"),
        (entry() + entry(name='"b"'), "b: the certificate name 'a' is given twice"),
        (entry(token_sha256=f'["{HASH}", "{HASH}"]'), "a: one of its token hashes is given twice"),
        (entry(token_sha256=f'["{hashlib.sha256(b"").hexdigest()}"]'), "a: .* empty token"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(text: str, words: str) -> None:
    with pytest.raises(CallersFileError, match=rf"callers\.toml: {words}") as refused:
        parse_callers(text.encode(errors="surrogateescape"), PATH)

    assert HASH not in str(refused.value)
    assert "secret-token-itself" not in str(refused.value)
    assert refused.value.__cause__ is None  # a logged traceback would show the file's content


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallersFileError, match="nowhere"):
        read_callers(tmp_path / "nowhere")
