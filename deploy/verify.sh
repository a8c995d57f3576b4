#!/usr/bin/env bash
# Brings the compose file up and holds it against what it promises. Needs root (a Docker engine) and Debian's packages, which it
# installs; no registry: images that cannot be pulled are stood in for (standin.sh). Fails when any part is missing.
#   KEEP=1  leaves everything up, to look at
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
passed=0 failed=0
check() { # NAME COMMAND…
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then
    passed=$((passed + 1)) && printf 'ok      %s%s\n' "$name" "${out:+: $(tail -1 <<<"$out")}"
  else
    failed=$((failed + 1)) && printf 'FAILED  %s\n%s\n' "$name" "$out"
  fi
}
# Waits for a condition, at most SECONDS.
within() { # SECONDS COMMAND…
  local until=$((SECONDS + $1))
  shift
  while ! "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$until" ]; then "$@" && return 0 || return 1; fi
    sleep 0.3
  done
}

say "what it needs"
missing=()
for pair in docker-compose:docker-compose dockerd:docker.io prometheus:prometheus curl:curl python3:python3 gcc:gcc; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
engine=""
if ! docker info >/dev/null 2>&1; then
  dockerd >/tmp/galton-dockerd.log 2>&1 &
  engine=$!
  within 60 docker info
fi

export COMPOSE_PROJECT_NAME=galton-verify BIND=127.0.0.1
export FRONT_PORT=${FRONT_PORT:-18080} SCALER_PORT=${SCALER_PORT:-19100} PROMETHEUS_PORT=${PROMETHEUS_PORT:-19090}
export GALTON_IMAGE=galton:verify
front=http://127.0.0.1:$FRONT_PORT scaler=http://127.0.0.1:$SCALER_PORT prometheus=http://127.0.0.1:$PROMETHEUS_PORT
compose() { docker-compose --file docker-compose.yml "$@"; }
# Grafana's image cannot be stood in for: its files are checked by check.sh, its queries below.
services=(scaler proxy front loadgen prometheus)

finish() {
  if [ "${KEEP:-}" != 1 ]; then
    compose down --volumes --timeout 15 >/dev/null 2>&1 || true
    if [ -n "$engine" ]; then kill "$engine" && wait "$engine" || true; fi
  fi
}
trap finish EXIT

say "images"
bash standin.sh
began=$SECONDS
compose build --quiet scaler
echo "built in $((SECONDS - began)) s"
size=$(docker image inspect --format '{{.Size}}' "$GALTON_IMAGE")
small() { echo "$((size / 1000000)) MB" && [ "$size" -le 15000000 ]; }
check "the image has at most 15 MB" small
check "it runs as nobody in particular" test "$(docker image inspect --format '{{.Config.User}}' "$GALTON_IMAGE")" = 65532:65532

say "up"
compose down --volumes --timeout 5 >/dev/null 2>&1 || true
began=$SECONDS
compose up --detach --no-build "${services[@]}" 2>&1 | grep -v '^Creating' || true
ids() { compose ps --quiet "$@"; }
healthy() { # SERVICE…: all containers of these services say so
  local id
  for id in $(ids "$@"); do
    [ "$(docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{end}}' "$id")" = healthy ] || return 1
  done
  [ -n "$(ids "$@")" ]
}
check "all services are healthy" within 90 healthy scaler proxy front loadgen
echo "healthy $((SECONDS - began)) s after up"
check "Prometheus is ready" within 30 curl -fsS "$prometheus/-/ready"

say "what it does"
python=(python3 verify.py --front "$front" --scaler "$scaler" --prometheus "$prometheus")
check "requests through the published port are spread over proxies and targets" within 60 "${python[@]}" balanced
check "the load takes the fleet up, and every proxy routes to it" "${python[@]}" scaled-up
# A fleet that changes is known to Prometheus some seconds later: there is a moment at which both agree.
check "Prometheus has discovered every process, and no other" within 90 "${python[@]}" discovered
# A live and a simulated run for the dashboard that lays them over each other; older than what a running Prometheus still writes.
import_runs() {
  local runs container
  runs=$(mktemp -d) && chmod 777 "$runs" && container=$(ids prometheus) || return 1
  for command in "run --time-scale 10 --progress none" simulate; do
    # shellcheck disable=SC2086 # flags
    docker run --rm --volume "$runs:/runs" --volume "$PWD/../scenarios:/scenarios:ro" "$GALTON_IMAGE" \
      $command /scenarios/quickstart.json --output-dir /runs || return 1
  done
  # shellcheck disable=SC2046 # a list
  docker run --rm --volume "$runs:/runs" "$GALTON_IMAGE" export $(cd "$runs" && printf '/runs/%s ' quickstart-*) \
    --at "$(($(date +%s) - 21600))" --output /runs/runs.om &&
    docker cp "$runs/runs.om" "$container:/prometheus/runs.om" &&
    docker exec "$container" promtool tsdb create-blocks-from openmetrics /prometheus/runs.om /prometheus &&
    rm -rf "$runs"
}
check "a live and a simulated run are imported" import_runs
check "every expression of every dashboard and rule has data" within 100 python3 expressions.py "$prometheus"

say "more proxies"
compose up --detach --no-build --no-recreate --scale proxy=3 "${services[@]}" >/dev/null 2>&1
check "three proxies are there" within 60 "${python[@]}" hosts 3
check "they share one map" "${python[@]}" one-map
check "Prometheus has discovered the third one, too" within 90 "${python[@]}" discovered

say "killed"
pid_of() { docker inspect --format '{{.State.Pid}}' "$(ids "$1" | head -1)"; }
victim=$(pid_of proxy)
kill -KILL "$victim"
check "a proxy that is killed comes back" within 60 "${python[@]}" hosts 3
check "and serves" within 30 "${python[@]}" balanced
"${python[@]}" books >"/tmp/galton-books.$$"
kill -KILL "$(pid_of scaler)"
check "after the scaler is killed the initial fleet is back" within 90 "${python[@]}" initial-fleet
check "every proxy learns it" within 90 "${python[@]}" hosts 3
check "requests are served again" within 60 "${python[@]}" balanced
check "what was lost is on the load generator's books" "${python[@]}" losses "/tmp/galton-books.$$"
rm -f "/tmp/galton-books.$$"
check "all services are healthy again" within 90 healthy scaler proxy front loadgen

if [ "${KEEP:-}" != 1 ]; then
  say "down"
  compose down --volumes --timeout 15 >/dev/null 2>&1
  nothing() { [ -z "$(docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ] &&
    [ -z "$(docker volume ls --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ]; }
  check "down leaves nothing" nothing
fi
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
