from scorer.admission import Admission


def test_beyond_the_limit_there_is_no_room_until_somebody_leaves() -> None:
    admission = Admission(2)

    assert admission.enter()
    assert admission.enter()
    assert not admission.enter()
    admission.leave()
    assert admission.enter()
