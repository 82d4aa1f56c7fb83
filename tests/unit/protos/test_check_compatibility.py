from pathlib import Path

import check_compatibility
import pytest
from check_compatibility import current, main
from google.protobuf.descriptor_pb2 import FileDescriptorSet


@pytest.fixture
def baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "baseline.binpb"
    monkeypatch.setattr(check_compatibility, "BASELINE", path)
    return path


def write(baseline: Path, contract: FileDescriptorSet) -> None:
    baseline.write_bytes(contract.SerializeToString())


def test_an_accepted_contract_is_silent(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--accept"]) == 0
    assert main([]) == 0
    assert capsys.readouterr().err == ""


def test_a_break_fails_and_is_named(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = current()
    old.file[0].message_type.add(name="Gone")
    write(baseline, old)

    assert main([]) == 1
    assert "fraud.v1.Gone: message removed" in capsys.readouterr().err


def test_an_addition_fails_until_it_is_recorded(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = current()
    del old.file[0].message_type[-1]
    write(baseline, old)

    assert main([]) == 1
    assert "breaks nobody" in capsys.readouterr().err
    assert main(["--accept"]) == 0
    assert main([]) == 0
