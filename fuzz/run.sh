#!/usr/bin/env bash
# Feeds what Galton reads from others with anything that libFuzzer comes up with.
#
#   fuzz/run.sh [SECONDS] [TARGET …]    SECONDS (60) over all targets in turn, or over those named
#
# Works with the stable toolchain: coverage is LLVM's, no sanitizer is linked. A finding is written to fuzz/findings and
# ends it with 1. Inputs that reach new code are kept in fuzz/corpus, minimised at the end, at most a hundred of each target.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=($(ls fuzz/corpus))
triple=$(rustc -vV | sed -n 's/^host: //p')
out=${CARGO_TARGET_DIR:-target}/fuzz

# As cargo-fuzz does it. With a target triple, so that build scripts are left as they are.
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"
RUSTFLAGS="$flags" cargo build --release --locked --quiet --target "$triple" --target-dir "$out" \
  -p galton-fuzz --features libfuzzer
fuzzer=$out/$triple/release/galton-fuzz

each=$((seconds / ${#targets[@]}))
[ "$each" -gt 0 ] || each=1
mkdir -p fuzz/findings
# Mapped files are written for every input.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
failed=0
for target in "${targets[@]}"; do
  found=$(mktemp -d)
  log=$found/log
  mkdir "$found/new" "$found/small"
  if GALTON_FUZZ=$target nice -n 19 "$fuzzer" "$found/new" "fuzz/corpus/$target" -max_total_time="$each" -timeout=10 \
    -rss_limit_mb=2048 -artifact_prefix=fuzz/findings/"$target"- -print_final_stats=1 >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    # Of old and new, as few as reach the same code.
    GALTON_FUZZ=$target nice -n 19 "$fuzzer" -merge=1 -artifact_prefix="$found/" "$found/small" \
      "fuzz/corpus/$target" "$found/new" >>"$log" 2>&1
    # And of those the smallest hundred: enough to start from, and not a burden on the tree.
    (cd "$found/small" && ls -Sr | tail -n +101 | xargs -r rm --)
    rm -rf "fuzz/corpus/$target"
    mv "$found/small" "fuzz/corpus/$target"
    printf '%-12s %6s s %12s runs, %s inputs kept\n' "$target" "$each" "$runs" "$(ls "fuzz/corpus/$target" | wc -l)"
  else
    failed=$((failed + 1))
    echo "$target: FAILED"
    tail -40 "$log"
  fi
  rm -rf "$found"
done
echo "$((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
