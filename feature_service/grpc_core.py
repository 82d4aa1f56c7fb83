"""What gRPC's core is told before it is loaded: imported first by whatever serves, for its effect."""

import os

# A call is read by the thread that reports it. With gRPC's event engine, its default since 2026, a pool of threads
# reads calls and hands them on, which costs up to twice as many changes of threads for each
# (`python -m loadtests.measure_transport`). Whoever has set the variable knows better.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
