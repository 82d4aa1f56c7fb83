#!/bin/sh
# The Go of the contract, into fraudv1/, and the program. Needs Go and protoc; go.mod pins the rest.
set -eu
cd "$(dirname "$0")"
protos=../../../protos
package=example.com/payments/fraudv1

# The files name no Go package, so this does.
map() { for file in transaction decision scoring; do printf -- "--$1_opt=Mfraud/v1/%s.proto=$package " $file; done; }

GOBIN="$PWD/bin" go install tool
# shellcheck disable=SC2046 # one word for each file
PATH="$PWD/bin:$PATH" protoc -I$protos \
    --go_out=. --go_opt=module=example.com/payments $(map go) \
    --go-grpc_out=. --go-grpc_opt=module=example.com/payments $(map go-grpc) \
    fraud/v1/transaction.proto fraud/v1/decision.proto fraud/v1/scoring.proto
go build -o bin/score .
