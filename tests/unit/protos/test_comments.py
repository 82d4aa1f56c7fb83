from pathlib import Path

from comments import comments
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

SOURCE = """
syntax = "proto3";
package test.v1;

// A thing.
//
// It has
// parts.
message Thing {
  // Of its own.
  message Part {
    string name = 1;  // for people
  }
  enum Kind {
    KIND_UNSPECIFIED = 0;  // not known
  }
  // Before
  Part part = 1;  // and after.
  int64 silent = 2;
}

service Things {
  // Gives one.
  rpc Get(Thing) returns (Thing);
}
"""


def test_what_is_said_of_each_thing_is_found_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "thing.proto").write_text(SOURCE)
    described = tmp_path / "thing.binpb"
    arguments = ["protoc", f"-I{tmp_path}", "--include_source_info", f"--descriptor_set_out={described}"]
    assert protoc.main([*arguments, "thing.proto"]) == 0

    found = comments(FileDescriptorSet.FromString(described.read_bytes()))

    assert found == {
        "test.v1.Thing": "A thing.\nIt has parts.",
        "test.v1.Thing.Kind.KIND_UNSPECIFIED": "not known",
        "test.v1.Thing.Part": "Of its own.",
        "test.v1.Thing.Part.name": "for people",
        "test.v1.Thing.part": "Before\nand after.",
        "test.v1.Things.Get": "Gives one.",
    }
