"""Generate the contract's Python, and its comments as JSON, beside the .proto files.

`--check` says whether what is committed is fresh.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from comments import comments
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).parent
PACKAGE = "fraud/v1"
GENERATED = ("*_pb2*.py*", "comments.json")


def generate(into: Path) -> None:
    # protoc finds its plugins on PATH; they are installed beside this Python.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / PACKAGE).glob("*.proto"))
    services = [source for source in sources if "service " in (ROOT / source).read_text()]
    arguments = ["protoc", f"-I{ROOT}", f"--python_out={into}", f"--mypy_out=quiet:{into}"]
    if protoc.main([*arguments, *sources]) != 0:
        raise SystemExit("protoc refused the .proto files: see above")
    grpc_arguments = ["protoc", f"-I{ROOT}", f"--grpc_python_out={into}", f"--mypy_grpc_out=quiet,only_async:{into}"]
    if protoc.main([*grpc_arguments, *services]) != 0:
        raise SystemExit("protoc refused the services: see above")
    with tempfile.TemporaryDirectory() as scratch:
        described = Path(scratch) / "contract.binpb"
        describe = ["protoc", f"-I{ROOT}", "--include_source_info", f"--descriptor_set_out={described}"]
        if protoc.main([*describe, *sources]) != 0:
            raise SystemExit("protoc refused to describe the contract: see above")
        found = comments(FileDescriptorSet.FromString(described.read_bytes()))
    (into / PACKAGE / "comments.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def stale() -> list[str]:
    """Names of generated files that differ from what the .proto files give now."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = {path.name: path.read_bytes() for path in (Path(scratch) / PACKAGE).iterdir()}
    committed = {path.name: path.read_bytes() for pattern in GENERATED for path in (ROOT / PACKAGE).glob(pattern)}
    return sorted(name for name in fresh | committed if fresh.get(name) != committed.get(name))


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        if names := stale():
            raise SystemExit(f"stale generated files: {', '.join(names)}. Run: make proto")
    else:
        generate(ROOT)
