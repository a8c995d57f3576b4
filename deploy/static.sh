#!/usr/bin/env bash
# Builds `galton` and `loadgen` as static binaries, which need nothing on the machine or in the image that they run on, and
# checks that they are. They are in target/x86_64-unknown-linux-gnu/release/.
#   PROFILE=dev …   another profile of cargo's
set -euo pipefail
cd "$(dirname "$0")/.."
triple=x86_64-unknown-linux-gnu
profile=${PROFILE:-release}
RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile "$profile" --locked --target "$triple"
# cargo's name for the folder of its dev profile
out=target/$triple/${profile/#dev/debug}

passed=0 failed=0
for name in galton loadgen; do
  binary=$out/$name
  # A dynamic executable names its interpreter in a program header.
  if "$binary" --version && ! grep -q -a 'ld-linux-x86-64' <(head -c 4096 "$binary"); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $binary is not static, or does not run"
  fi
done
if "$out/galton" check scenarios/*.json; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
