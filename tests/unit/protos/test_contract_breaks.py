from collections.abc import Callable

import pytest
from check_compatibility import BASELINE, current
from contract_breaks import breaks
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

Change = Callable[[FileDescriptorSet], None]


@pytest.fixture(scope="module")
def contract() -> FileDescriptorSet:
    return current()


def changed(contract: FileDescriptorSet, change: Change) -> FileDescriptorSet:
    copy = FileDescriptorSet()
    copy.CopyFrom(contract)
    change(copy)
    return copy


def file(contract: FileDescriptorSet, name: str) -> FileDescriptorProto:
    return next(file for file in contract.file if file.name == f"fraud/v1/{name}.proto")


def message(contract: FileDescriptorSet, name: str) -> DescriptorProto:
    return next(message for file in contract.file for message in file.message_type if message.name == name)


def field(contract: FileDescriptorSet, where: str) -> FieldDescriptorProto:
    owner, name = where.split(".")
    return next(field for field in message(contract, owner).field if field.name == name)


def remove_field(contract: FileDescriptorSet) -> None:
    message(contract, "Transaction").field.remove(field(contract, "Transaction.mcc"))


def renumber_field(contract: FileDescriptorSet) -> None:
    field(contract, "Transaction.mcc").number = 99


def swap_two_numbers(contract: FileDescriptorSet) -> None:
    field(contract, "Transaction.merchant_country").number = 15
    field(contract, "Transaction.card_country").number = 14


def rename_field(contract: FileDescriptorSet) -> None:
    field(contract, "Transaction.mcc").name = "category"


def retype_field(contract: FileDescriptorSet) -> None:
    field(contract, "Transaction.mcc").type = FieldDescriptorProto.TYPE_STRING


def retype_message_field(contract: FileDescriptorSet) -> None:
    field(contract, "Decision.transaction").type_name = ".fraud.v1.Location"


def make_repeated(contract: FileDescriptorSet) -> None:
    field(contract, "Decision.model_version").label = FieldDescriptorProto.LABEL_REPEATED


def drop_presence(contract: FileDescriptorSet) -> None:
    amount = field(contract, "Transaction.amount_minor")
    amount.proto3_optional = False
    amount.ClearField("oneof_index")


def leave_oneof(contract: FileDescriptorSet) -> None:
    field(contract, "ScoreBatchResult.rejection").ClearField("oneof_index")


def rename_in_json(contract: FileDescriptorSet) -> None:
    field(contract, "Transaction.mcc").json_name = "MCC"


def remove_message(contract: FileDescriptorSet) -> None:
    owner = file(contract, "transaction")
    owner.message_type.remove(message(contract, "Location"))


def remove_enum(contract: FileDescriptorSet) -> None:
    del file(contract, "decision").enum_type[:]


def remove_enum_value(contract: FileDescriptorSet) -> None:
    del file(contract, "decision").enum_type[0].value[4]


def renumber_enum_value(contract: FileDescriptorSet) -> None:
    file(contract, "decision").enum_type[0].value[4].number = 5


def remove_service(contract: FileDescriptorSet) -> None:
    del file(contract, "scoring").service[:]


def remove_rpc(contract: FileDescriptorSet) -> None:
    del file(contract, "scoring").service[0].method[1]


def stream_an_rpc(contract: FileDescriptorSet) -> None:
    file(contract, "scoring").service[0].method[0].server_streaming = True


def answer_otherwise(contract: FileDescriptorSet) -> None:
    file(contract, "scoring").service[0].method[0].output_type = ".fraud.v1.Decision"


def move_file(contract: FileDescriptorSet) -> None:
    file(contract, "label").name = "fraud/v1/labels.proto"


BREAKS: dict[Change, str] = {
    remove_field: "fraud.v1.Transaction.mcc: field removed.",
    renumber_field: "fraud.v1.Transaction.mcc: renumbered from 13 to 99.",
    swap_two_numbers: "fraud.v1.Transaction.merchant_country: renumbered from 14 to 15.",
    rename_field: "fraud.v1.Transaction.mcc: number 13 is now called category.",
    retype_field: "fraud.v1.Transaction.mcc: type changed from uint32 to string.",
    retype_message_field: "fraud.v1.Decision.transaction: type changed from fraud.v1.Transaction to fraud.v1.Location.",
    make_repeated: "fraud.v1.Decision.model_version: changed from singular to repeated.",
    drop_presence: "fraud.v1.Transaction.amount_minor: changed from optional to singular.",
    leave_oneof: "fraud.v1.ScoreBatchResult.rejection: moved from oneof result to no oneof.",
    rename_in_json: "fraud.v1.Transaction.mcc: JSON name changed from mcc to MCC.",
    remove_message: "fraud.v1.Location: message removed.",
    remove_enum: "fraud.v1.Action: enum removed.",
    remove_enum_value: "fraud.v1.Action.ACTION_DECLINE: enum value removed.",
    renumber_enum_value: "fraud.v1.Action.ACTION_DECLINE: renumbered from 4 to 5.",
    remove_service: "fraud.v1.ScoringService: service removed.",
    remove_rpc: "fraud.v1.ScoringService.ScoreBatch: rpc removed.",
    stream_an_rpc: "fraud.v1.ScoringService.Score: signature changed from (fraud.v1.ScoreRequest) returns",
    answer_otherwise: "fraud.v1.ScoringService.Score: signature changed from (fraud.v1.ScoreRequest) returns",
    move_file: "fraud/v1/label.proto: file removed.",
}


@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.__name__)
def test_a_break_is_named_with_its_place_and_what_to_do(contract: FileDescriptorSet, change: Change) -> None:
    found = breaks(contract, changed(contract, change))

    assert str(found[0]).startswith(BREAKS[change])
    assert found[0].remedy


def test_a_number_or_name_stays_reserved(contract: FileDescriptorSet) -> None:
    def reserve(contract: FileDescriptorSet) -> None:
        message(contract, "Label").reserved_range.add(start=13, end=15)
        message(contract, "Label").reserved_name.append("issuer")

    reserved = changed(contract, reserve)

    assert breaks(contract, reserved) == []
    assert [broken.what for broken in breaks(reserved, contract)] == [
        "name issuer is no longer reserved",
        "number 13 is no longer reserved",
        "number 14 is no longer reserved",
    ]


def test_a_break_inside_a_nested_message_is_found(contract: FileDescriptorSet) -> None:
    def nest(contract: FileDescriptorSet) -> None:
        inner = message(contract, "Label").nested_type.add(name="Case")
        inner.field.add(name="id", number=1, type=FieldDescriptorProto.TYPE_STRING, label=1)
        inner.enum_type.add(name="State").value.add(name="OPEN", number=0)

    nested = changed(contract, nest)

    assert breaks(contract, nested) == []
    assert [broken.where for broken in breaks(nested, contract)] == [
        "fraud.v1.Label.Case",
        "fraud.v1.Label.Case.State",
    ]


def test_additions_break_nobody(contract: FileDescriptorSet) -> None:
    def add(contract: FileDescriptorSet) -> None:
        message(contract, "Transaction").field.add(
            name="wallet", number=99, type=FieldDescriptorProto.TYPE_STRING, label=1
        )
        file(contract, "decision").enum_type[0].value.add(name="ACTION_HOLD", number=9)
        file(contract, "scoring").service[0].method.add(name="Explain", input_type=".fraud.v1.Transaction")
        contract.file.add(name="fraud/v1/case.proto", package="fraud.v1").message_type.add(name="Case")

    assert breaks(contract, changed(contract, add)) == []


def test_the_contract_is_the_accepted_one(contract: FileDescriptorSet) -> None:
    baseline = FileDescriptorSet.FromString(BASELINE.read_bytes())

    assert breaks(baseline, contract) == []
    assert baseline == contract, "compatible additions: python protos/check_compatibility.py --accept"
