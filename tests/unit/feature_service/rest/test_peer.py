import pytest

from feature_service.rest.peer import certificate_names

SUBJECT = ((("organizationName", "Bank"),), (("commonName", "payments"),))


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        (None, []),
        ({}, []),
        ({"subject": SUBJECT}, [b"payments"]),
        (
            {"subject": SUBJECT, "subjectAltName": (("DNS", "a.example"), ("URI", "spiffe://b"))},
            [b"a.example", b"spiffe://b"],
        ),
    ],
)
def test_alternative_names_count_and_without_them_the_common_one(
    certificate: dict[str, object] | None, names: list[bytes]
) -> None:
    assert certificate_names(certificate) == names
