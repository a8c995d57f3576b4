#!/usr/bin/env bash
# How well open loops keep their times. On a quiet machine.
#
#   loadgen/benches/pacing.sh                    all of it, about four minutes
#   loadgen/benches/pacing.sh accuracy           send lag at 200, 1000 and 5000 requests/s, and the gaps that the server sees against the plan's
#   loadgen/benches/pacing.sh fixed              fixed gaps of loadgen and of oha, as the server sees them
#   loadgen/benches/pacing.sh stall              a server that stands still for 1.4 s: who tells?
#   LOADGEN=path OHA=path SECONDS_PER_RATE=20 …  built already; how long each rate is kept
#
# The server is recorder.py, whose times are the kernel's. Prints at last `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v python3 >/dev/null || ! command -v hey >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 hey >/dev/null
fi
if [ -z "${LOADGEN:-}" ]; then
  cargo build --release --locked --quiet -p galton-loadgen
  LOADGEN=${CARGO_TARGET_DIR:-target}/release/loadgen
fi
export LOADGEN
# No __pycache__ in the tree.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/python
exec python3 loadgen/benches/pacing.py "$@"
