#!/usr/bin/env bash
# The stale study: what it costs round robin to learn late of new targets, simulated with one live run on each point.
# Three minutes on a quiet machine. Replaces docs/studies/stale.svg and prints, last, the rows of the table in docs/studies/stale.md.
# Arguments go to galton sweep: --live 0 only simulates.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cargo build --quiet --release --locked
galton=${CARGO_TARGET_DIR:-target}/release/galton

"$galton" calibrate --progress none --output "$dir/profile.json"
live=(--live 1)
[ $# -eq 0 ] || live=("$@")
"$galton" sweep docs/studies/stale.json --vary load_balancer.rr.sync_delay_ms=0,10,30,100,300,1000 \
  --reference load_balancer.architecture=least_conns \
  --figures retries-per-request,rejected,overhead-mean,response-p99 \
  --profile "$dir/profile.json" --progress none --output-dir "$dir" "${live[@]}"
cp "$dir"/sweep-*/sweep.svg docs/studies/stale.svg

# The rows of the table.
awk -F, '
  NR > 1 { key = $1 == "reference" ? "least connections" : $2; if (!(key in seen)) { order[++n] = key; seen[key] = 1 } }
  function cells(scale, format, unit) {
    rows[key] = rows[key] sprintf(" " format unit " [" format ", " format "] | ", $5 * scale, $6 < 0 ? 0 : $6 * scale, $7 * scale)
    rows[key] = rows[key] ($10 == "" ? "|" : sprintf(format unit " |", $10 * scale))
  }
  $3 == "retries per request" { cells(1, "%.3f", "") }
  $3 == "rejected" { cells(100, "%.2f", " %%") }
  $3 == "overhead mean" { cells(0.001, "%.0f", " µs") }
  END { for (i = 1; i <= n; i++) print "| " order[i] " |" rows[order[i]] }
' "$dir"/sweep-*/sweep.csv
