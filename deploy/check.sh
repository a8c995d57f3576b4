#!/usr/bin/env bash
# All that can be known of Prometheus' and Grafana's files without bringing anything up, and an import of exported runs. Needs
# prometheus (promtool), python3, curl, jq; takes the program from $GALTON. Fails when anything it needs is missing.
set -euo pipefail
cd "$(dirname "$0")"
# The image is built from what .dockerignore lets through: all that the workspace names.
members=$(python3 -c 'import tomllib; print(*tomllib.load(open("../Cargo.toml", "rb"))["workspace"]["members"])')
for member in $members; do
  grep -qx "!$member" ../.dockerignore || { echo "FAILED: .dockerignore leaves out $member, a member of the workspace"; exit 1; }
done
# A run directory grows as long as the run lasts, and compose brings up one without an end.
if grep -q GALTON_RUN_DIR docker-compose.yml; then echo "FAILED: the scaler of docker-compose.yml records a run"; exit 1; fi
promtool check config prometheus/prometheus.yml
promtool test rules prometheus/tests/*.yml
python3 grafana/check.py
python3 asking_test.py
bash prometheus/import_test.sh
