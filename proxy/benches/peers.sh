#!/usr/bin/env bash
# The proxy beside nginx, HAProxy and a bare hyper proxy, in front of the same 8 Galton targets, one worker each.
#
#   proxy/benches/peers.sh                 all of it, about ten minutes
#   proxy/benches/peers.sh cpu             CPU per request with every connection busy
#   proxy/benches/peers.sh latency         what a proxy adds to the response time at 1000 requests/s
#   proxy/benches/peers.sh memory          resident memory per idle keep-alive connection
#   ROUNDS=7 SECONDS_PER_RUN=3 …           how much of it
#   GALTON=path LOADGEN=path BARE=path …   built already
#
# All take turns within a round, so that a machine that is busy for a while slows down all; medians and ratios within a round are
# shown. CPU is what the kernel's scheduler counts of the proxy's threads. Prints at last `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
for tool in nginx:nginx-light haproxy:haproxy wrk:wrk python3:python3; do
  PATH=$PATH:/usr/sbin command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

built=${CARGO_TARGET_DIR:-target}/release
if [ -z "${GALTON:-}" ] || [ -z "${LOADGEN:-}" ]; then
  cargo build --profile bench --locked --quiet
  GALTON=$built/galton LOADGEN=$built/loadgen
fi
if [ -z "${BARE:-}" ]; then
  cargo build --profile bench --locked --quiet -p galton-proxy --example bare
  BARE=$built/examples/bare
fi
# Ten thousand connections need as many descriptors.
ulimit -n "$(ulimit -Hn)"
ulimit -n 65536 2>/dev/null || true
export GALTON LOADGEN BARE PATH=$PATH:/usr/sbin
# No __pycache__ in the tree. What the benches share is with the load generator's.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=loadgen/benches:tests/python
exec python3 proxy/benches/peers.py "$@"
