#!/bin/sh
# The Python of the contract, into generated/. Needs the packages grpcio, grpcio-tools and protobuf.
set -eu
cd "$(dirname "$0")"
protos=../../../protos

mkdir -p generated
python -m grpc_tools.protoc -I$protos --python_out=generated --grpc_python_out=generated \
    $protos/fraud/v1/transaction.proto $protos/fraud/v1/decision.proto $protos/fraud/v1/scoring.proto
