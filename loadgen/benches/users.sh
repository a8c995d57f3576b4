#!/usr/bin/env bash
# Ten thousand users who think, through a proxy to Galton targets: nothing may be lost, and memory may not grow.
#
#   loadgen/benches/users.sh                  five minutes at 5000 requests/s
#   SECONDS_LONG=60 USERS=2000 RATE=1000 …    how much of it
#   LOADGEN=path GALTON=path …                built already
#
# Prints at last `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v python3 >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 >/dev/null; }
if [ -z "${LOADGEN:-}" ] || [ -z "${GALTON:-}" ]; then
  cargo build --release --locked --quiet
  LOADGEN=${CARGO_TARGET_DIR:-target}/release/loadgen GALTON=${CARGO_TARGET_DIR:-target}/release/galton
fi
export LOADGEN GALTON
# No __pycache__ in the tree.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/python
exec python3 loadgen/benches/users.py
