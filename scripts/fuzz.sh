#!/usr/bin/env bash
# Builds the fuzz targets (fuzz/ has those of the appliance, liquibase-compat/fuzz/ those of the library) and runs each, two at a time for each processor.
#   scripts/fuzz.sh [SECONDS [TARGET...]]        default: 20 seconds, every target
# It needs the stable toolchain and a C++ compiler only: the flags below are those that cargo-fuzz sets, without its address sanitizer, which
# needs a nightly toolchain (neither crate has unsafe code; `cargo +nightly fuzz run TARGET` looks into their dependencies too). A target fails on a
# panic, on an input that takes 30 seconds, and on 2 GiB of memory; the input that caused it stays in target/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true
crates="liquibase-compat/fuzz fuzz"
work=target/fuzz
if [ $# -eq 0 ]; then
  for crate in $crates; do
    for source in "$crate"/fuzz_targets/*.rs; do set -- "$@" "$(basename "$source" .rs)"; done
  done
fi

flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# With --target, cargo keeps the flags away from build scripts and procedural macros.
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
# Little optimisation: it would take the compiler longer than it saves in runs of seconds.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off
for crate in $crates; do
  RUSTFLAGS=$flags cargo build --release --quiet --locked --manifest-path "$crate/Cargo.toml" --target-dir "$work" --target "$host"
done

# The changelogs of the tests are the first inputs, so that a run does not spend its time on finding the syntax.
for format in xml yaml json sql csv; do
  mkdir -p "$work/seeds/$format"
  find liquibase-compat/tests/data -name "*.$format" -size -8k -print0 | sort -z | while IFS= read -r -d '' file; do
    cp "$file" "$work/seeds/$format/$(sha1sum "$file" | cut -c1-16)"
  done
done

# Requests, bodies and configurations that are valid or nearly so.
seed() { # TARGET TEXT
  mkdir -p "$work/seeds/$1"
  printf %b "$2" >"$work/seeds/$1/$(printf %s "$2" | sha1sum | cut -c1-16)"
}
for query in 'id=1&date=2026-01-31' 'id=%C3%BC+x&limit=100&from=2026-01-01&to=2026-12-31&status=Present&name=A' 'after=eyJpIjoiMSIsImQiOjEsInQiOm51bGx9'; do
  seed query "$query"
  seed target "GET/api/v1/attendance/search/all?$query"
done
seed cursor '{"i":"1","d":9527,"t":null}'
seed cursor '{"i":null,"d":null,"t":"(0,1)"}'
seed body '{"id":"1","name":"Asha","status":"Present","date":"2026-01-31"}'
seed body '\357\273\277{"id":7,"name":"\\u00fc","status":"Half Day","date":"Tue, 01 Aug 2023 00:00:00 GMT"}'
seed framing 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n'
seed framing 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n'
seed cached_value '"58e0494c51d30eb3494f7c9198986bb9"\n\n[]\n'
mkdir -p "$work/seeds/configuration"
find tests packaging -name '*.yaml' -size -16k -exec cp -t "$work/seeds/configuration" {} +

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
printf '%s\n' "$@" | xargs -n 1 -P "$((2 * $(nproc)))" bash -c 'set -euo pipefail; run_target "$1"' fuzz
