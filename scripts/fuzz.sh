#!/usr/bin/env bash
# Builds the fuzz targets of liquibase-compat and runs each of them, two at a time.
#   scripts/fuzz.sh [SECONDS [TARGET...]]        default: 20 seconds, every target
# It needs the stable toolchain and a C++ compiler only: the flags below are those that cargo-fuzz sets, without its address sanitizer, which
# needs a nightly toolchain (the crate has no unsafe code; `cargo +nightly fuzz run TARGET` looks into its dependencies too). A target fails on a
# panic, on an input that takes 30 seconds, and on 2 GiB of memory; the input that caused it stays in target/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true
crate=liquibase-compat/fuzz
work=target/fuzz
if [ $# -eq 0 ]; then
  for source in "$crate"/fuzz_targets/*.rs; do set -- "$@" "$(basename "$source" .rs)"; done
fi

flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# With --target, cargo keeps the flags away from build scripts and procedural macros.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS=$flags CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_OPT_LEVEL=2 \
  cargo build --release --quiet --manifest-path "$crate/Cargo.toml" --target-dir "$work" --target "$host"

# The changelogs of the tests are the first inputs, so that a run does not spend its time on finding the syntax.
for format in xml yaml json sql; do
  mkdir -p "$work/seeds/$format"
  find liquibase-compat/tests/data -name "*.$format" -size -8k -print0 | sort -z | while IFS= read -r -d '' file; do
    cp "$file" "$work/seeds/$format/$(sha1sum "$file" | cut -c1-16)"
  done
done

run_target() { # TARGET: runs it; prints one line, or its log when it fails
  local target=$1 log=$work/$1.log seeds=()
  mkdir -p "$work/corpus/$target" "$work/artifacts/$target"
  [ ! -d "$work/seeds/$target" ] || seeds=("$work/seeds/$target")
  if "$work/$host/release/$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$work/artifacts/$target/" "$work/corpus/$target" "${seeds[@]}" >"$log" 2>&1; then
    echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, no failure"
  else
    tail -40 "$log"
    echo "fuzz $target: FAILED; the input is in $work/artifacts/$target" >&2
    return 1
  fi
}
export -f run_target
export seconds work host
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\n' "$@" | xargs -n 1 -P 2 bash -c 'set -euo pipefail; run_target "$1"' fuzz
