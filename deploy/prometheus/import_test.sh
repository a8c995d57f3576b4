#!/usr/bin/env bash
# What `galton export` writes, through Prometheus' own tools: a live run and a simulated one are imported, a server is started on
# the blocks and asked. Needs prometheus, promtool, curl, jq; takes the program from $GALTON.
set -euo pipefail
cd "$(dirname "$0")/../.."
galton=${GALTON:-target/release/galton}
scratch=$(mktemp -d)
server=
end() {
  if [ -n "$server" ]; then kill "$server" && wait "$server" || true; fi
  rm -rf "$scratch"
}
trap end EXIT

passed=0 failed=0
expect() { # what, found, expected
  if [ "$2" = "$3" ]; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED: $1: $2, not $3"
  fi
}

shorter=(--set simulation.duration_ms=8000 --set traffic.arrival.ramp.steps='[{"t_ms": 0, "rate_per_sec": 40}]')
"$galton" run scenarios/quickstart.json "${shorter[@]}" --output-dir "$scratch/live" --progress none >/dev/null
"$galton" simulate scenarios/quickstart.json "${shorter[@]}" --output-dir "$scratch/sim" >/dev/null
live=$(echo "$scratch"/live/*) sim=$(echo "$scratch"/sim/*)

# Prometheus writes the last three hours itself, and deletes what is older than its retention.
at=$(($(date +%s) - 21600))
"$galton" export "$live" "$sim/result.json" --at "$at" --output "$scratch/runs.om"
promtool tsdb create-blocks-from openmetrics "$scratch/runs.om" "$scratch/data" >/dev/null

echo 'global: {}' >"$scratch/prometheus.yml"
port=$((20000 + RANDOM % 10000))
prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/data" --storage.tsdb.retention.time=1d --log.level=error \
  --web.listen-address="127.0.0.1:$port" &
server=$!
for _ in $(seq 100); do
  if curl -sf "http://127.0.0.1:$port/-/ready" >/dev/null; then break; fi
  sleep 0.1
done
ask() { # expression, seconds after the start
  curl -sf "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" --data "time=$((at + $2))" |
    jq -r '[.data.result[] | "\(.metric.source // "")=\(.value[1])"] | sort | join(" ")'
}
# The plan is the same: so is what was offered, bucket by bucket, by the start that both have.
for second in 0 2 5; do
  rows=$((second * 1000000000))
  rate() { jq ".series | .bucket_ns as \$b | .rows[] | select(.[0] == $rows) | .[1] / (\$b / 1e9)" "$1/result.json"; }
  expect "offered after $second s" "$(ask galton_run_offered_per_second $second)" "live=$(rate "$live") sim=$(rate "$sim")"
done
expect "labels" "$(ask 'count by (source, scenario) (galton_run_targets{scenario="quickstart"})' 3)" "live=1 sim=1"
expect "percentiles" "$(ask 'count by (source) (galton_run_response_seconds{quantile="0.5"} > 0.05 < 1)' 3)" "live=1 sim=1"
# Not carried on behind the end, as Prometheus would for five minutes.
expect "the end" "$(ask 'galton_run_in_flight >= 0' 120)" ""
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
