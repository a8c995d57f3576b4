#!/bin/sh
# Builds `galton` and `loadgen`, or those that are named, as static binaries, which need nothing on the machine or in the image that
# they run on, and checks that they are. They are in target/TRIPLE/release/. The image is built with it (Dockerfile).
#   deploy/static.sh [galton] [loadgen]
#   PROFILE=bench …   another profile of cargo's
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- galton loadgen
triple=$(rustc -vV | sed -n 's/^host: //p')
profile=${PROFILE:-release}
# cargo's names for the folders of its profiles
case $profile in
dev) out=target/$triple/debug ;;
bench) out=target/$triple/release ;;
*) out=target/$triple/$profile ;;
esac
bins=
for name in "$@"; do bins="$bins --bin $name"; done
# shellcheck disable=SC2086 # a list
RUSTFLAGS="-C target-feature=+crt-static ${RUSTFLAGS:-}" cargo build --profile "$profile" --locked --target "$triple" $bins

passed=0 failed=0
for name in "$@"; do
  # A dynamic executable names its interpreter in a program header.
  if "$out/$name" --version && ! head -c 4096 "$out/$name" | grep -q -a 'ld-linux'; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $out/$name is not static, or does not run"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
