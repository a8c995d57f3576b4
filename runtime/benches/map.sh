#!/usr/bin/env bash
# What a pick and its release cost on the load map, by number of targets and of processes. On a quiet machine, half a minute.
#
#   runtime/benches/map.sh
#
# Prints a table, and at last `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo bench --locked --quiet -p galton-runtime --bench load_map
