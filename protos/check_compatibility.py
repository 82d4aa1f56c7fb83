"""Compare the contract with the one last accepted, `baseline.binpb`: what would break its users is named.

Without arguments: says what is wrong and fails. `--accept` makes the present contract the baseline: after additions, or
for a break that every producer and consumer has agreed to.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from contract_breaks import breaks
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

ROOT: Final = Path(__file__).parent
BASELINE: Final = ROOT / "baseline.binpb"
COMMAND: Final = "python protos/check_compatibility.py --accept"


def current() -> FileDescriptorSet:
    """The contract as the .proto files say it now. Raises ValueError, after protoc's own words, if they are wrong."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("fraud/**/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "contract.binpb"
        if protoc.main(["protoc", f"-I{ROOT}", f"--descriptor_set_out={out}", "--include_imports", *sources]) != 0:
            raise ValueError("protoc refused the .proto files")
        return FileDescriptorSet.FromString(out.read_bytes())


def main(arguments: list[str]) -> int:
    new = current()
    old = FileDescriptorSet.FromString(BASELINE.read_bytes()) if BASELINE.exists() else FileDescriptorSet()
    found = breaks(old, new)
    for broken in found:
        print(broken, file=sys.stderr)
    if "--accept" in arguments:
        BASELINE.write_bytes(new.SerializeToString(deterministic=True))
        return 0
    if found:
        print(f"{len(found)} breaking changes. If every user has agreed to them: {COMMAND}", file=sys.stderr)
    elif old != new:
        print(f"The contract has grown, which breaks nobody. Make that the baseline: {COMMAND}", file=sys.stderr)
    return int(old != new)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
