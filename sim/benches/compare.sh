#!/usr/bin/env bash
# How fast `galton simulate` is beside a SimPy model of the same scenario, and whether both come to the same losses.
#
#   sim/benches/compare.sh            builds galton, makes a virtual environment with SimPy, and takes about a quarter of an hour
#   REPEATS=1 REQUESTS=300000 …       less of it
#   GALTON=path …                     takes a galton that is built already
#   ASSERT_RATIOS=1 …                 counts a ratio below the one that is wanted as failed: for a machine that is quiet
#
# Both simulate the same number of requests: SimPy keeps all that it recorded for its percentiles, and a request of a long run takes
# it longer (at 20 targets 35 µs in a million, 23 µs in 20 000; Python's garbage collector is a tenth of it or less, with 20 000 and with
# 300 000).
# Runs of both take turns, so that a machine that is busy for a while slows down both; medians are compared. A run of Galton is
# timed as a whole process, reading the scenario and writing the report included; of SimPy without the start of Python. Prints a line per
# scenario, and at last `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."

repeats=${REPEATS:-3}
requests=${REQUESTS:-1000000}
assert_ratios=${ASSERT_RATIOS:-0}
simpy_version=4.1.2
# Losses at a load of 1 have a standard error of about 0.003 at 60 000 requests (batch means, as those that are lost come together).
loss_requests_galton=1000000 loss_requests_simpy=60000 loss_tolerance=0.01

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

check() { # WHAT CONDITION: counts whether awk finds the condition true
  if awk "BEGIN { exit !($2) }"; then
    passed=$((passed + 1))
    echo "ok      $1"
  else
    failed=$((failed + 1))
    echo "FAILED  $1"
  fi
}

if [ -z "${GALTON:-}" ]; then
  cargo build --profile bench --locked --quiet -p galton
  GALTON=${CARGO_TARGET_DIR:-target}/release/galton
fi
python3 -m venv "$work/venv"
python="$work/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check "simpy==$simpy_version"

rate_of() { "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["traffic"]["arrival"]["rate_per_sec"])' "$1"; }

simpy() { # SCENARIO ARCHITECTURE REQUESTS [KEY=VALUE]: requests/s, loss and mean response in ms
  "$python" sim/benches/simpy_model.py "$1" --requests "$3" --set "load_balancer.architecture=$2" ${4:+--set "$4"} |
    "$python" -c 'import json, sys
r = json.load(sys.stdin)
print(r["requests_per_sec"], r["loss"], r["mean_response_ms"])'
}

galton() { # SCENARIO ARCHITECTURE REQUESTS [RATE]: requests/s, loss and mean response in ms
  local rate=${4:-$(rate_of "$1")} out
  out=$(mktemp -d -p "$work")
  local duration_ms=$((1000 * $3 / rate)) started ended
  started=$(date +%s.%N)
  "$GALTON" simulate "$1" --arch "$2" --progress none --output-dir "$out" \
    --set "simulation.duration_ms=$duration_ms" --set "traffic.arrival.rate_per_sec=$rate" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; return 1; }
  ended=$(date +%s.%N)
  "$python" -c 'import glob, json, sys
r = json.load(open(glob.glob(sys.argv[1] + "/*/result.json")[0]))
offered = r["counts"]["offered"]
lost = sum(r["counts"]["rejected"].values())
print(offered / float(sys.argv[2]), lost / offered, r["latency"]["response"]["mean"] / 1e6)' \
    "$out" "$(awk "BEGIN { print $ended - $started }")"
  rm -rf "$out"
}

median() { sort -g | awk '{ a[NR] = $1 } END { print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'; }

compare() { # TARGETS ARCHITECTURE LEAST_RATIO
  local scenario=sim/benches/targets_$1.json n
  : >"$work/galton" && : >"$work/simpy"
  for n in $(seq "$repeats"); do
    galton "$scenario" "$2" "$requests" >>"$work/galton"
    simpy "$scenario" "$2" "$requests" >>"$work/simpy"
  done
  local fast slow ratio
  fast=$(awk '{ print $1 }' "$work/galton" | median)
  slow=$(awk '{ print $1 }' "$work/simpy" | median)
  ratio=$(awk "BEGIN { print $fast / $slow }")
  awk -v targets="$1" -v policy="$2" -v fast="$fast" -v slow="$slow" -v ratio="$ratio" \
    -v wanted="$3" 'BEGIN { printf "%4d targets  %-11s  galton %9.0f requests/s   SimPy %6.0f requests/s   ratio %5.0f (wanted: %d)\n",
      targets, policy, fast, slow, ratio, wanted }'
  if [ "$assert_ratios" = 1 ]; then
    check "$1 targets, $2: at least $3 times as fast" "$ratio >= $3"
  fi
}

# At three quarters of the capacity hardly anything is lost: what both come to is compared with all of it asked for.
same_answers() { # ARCHITECTURE
  local scenario=sim/benches/targets_20.json rate=2000 of_galton of_simpy
  read -r _ of_galton response_galton < <(galton "$scenario" "$1" "$loss_requests_galton" "$rate")
  read -r _ of_simpy response_simpy < <(simpy "$scenario" "$1" "$loss_requests_simpy" "traffic.arrival.rate_per_sec=$rate")
  printf '  20 targets  %-11s  at a load of 1: galton loses %.4f, SimPy %.4f; mean response %.2f and %.2f ms\n' \
    "$1" "$of_galton" "$of_simpy" "$response_galton" "$response_simpy"
  check "$1: losses within $loss_tolerance of each other" "($of_galton - $of_simpy) ^ 2 <= $loss_tolerance ^ 2"
  check "$1: mean responses within 1 % of each other" "($response_galton / $response_simpy - 1) ^ 2 <= 0.01 ^ 2"
}

for architecture in round_robin least_conns; do
  same_answers "$architecture"
done
compare 20 round_robin 200
compare 20 least_conns 200
# Round robin looks at no more targets in a large fleet than in a small one, in SimPy neither.
compare 400 round_robin 200
compare 400 least_conns 1000
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
