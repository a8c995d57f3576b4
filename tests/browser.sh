#!/usr/bin/env bash
# Runs a scenario, opens its report.html from disk in headless Chromium, and looks at it: every plot draws, nothing is
# fetched, no error on the console. Installs Debian's chromium and the package playwright-core where they are missing.
# Keeps the screenshot as report.png in the directory given, if one is.
set -euo pipefail
cd "$(dirname "$0")/.."
keep=${1:-}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }
npm install --silent --no-audit --no-fund --prefix "$dir" playwright-core@1 >/dev/null

cargo run --quiet --release --locked -- run scenarios/quickstart.json --progress none --output-dir "$dir/runs"
report=$(ls "$dir"/runs/*/report.html)
cp tests/browser.mjs "$dir/"
node "$dir/browser.mjs" "$report" "$dir/report.png"
[ -z "$keep" ] || cp "$dir/report.png" "$keep/"
