#!/usr/bin/env bash
# loadgen beside hey, wrk, ab, h2load and oha: closed loops of 50 users on the same servers.
#
#   loadgen/benches/peers.sh               what they cost on nginx (`cpu`), and whether they agree on a target that holds 50 ms (`agreement`)
#   loadgen/benches/peers.sh memory        10 million requests in 100 MB; takes minutes
#   ROUNDS=5 REQUESTS=100000 …             how much of it
#   LOADGEN=path GALTON=path …             built already
#   OHA=path …                             where oha is. It is in no Debian: BUILD_OHA=1 builds it, for half an hour or more
#
# Rounds of all take turns, so that a machine that is busy for a while slows down all; medians and ratios within a round are shown.
# CPU is user and system time by the kernel's account of each process. Prints at last `N passed, N failed`: a peer that is absent
# is a comparison that failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
for tool in nginx:nginx-light hey:hey wrk:wrk ab:apache2-utils h2load:nghttp2-client python3:python3; do
  PATH=$PATH:/usr/sbin command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

built=${CARGO_TARGET_DIR:-target}/release
if [ -z "${LOADGEN:-}" ]; then
  cargo build --release --locked --quiet -p galton-loadgen
  LOADGEN=$built/loadgen
fi
case " ${*:-agreement} " in *" agreement "*)
  if [ -z "${GALTON:-}" ]; then
    cargo build --release --locked --quiet -p galton
    GALTON=$built/galton
  fi ;;
esac
if [ "${BUILD_OHA:-0}" = 1 ] && [ -z "${OHA:-}" ]; then
  cargo install oha --locked --no-default-features --quiet --root "$built/oha"
  OHA=$built/oha/bin/oha
fi
export LOADGEN GALTON="${GALTON:-}" OHA="${OHA:-}"
# No __pycache__ in the tree.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/python
exec python3 loadgen/benches/peers.py "$@"
