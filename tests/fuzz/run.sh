#!/bin/bash
# Runs fuzzers of one build, two at a time: tests/fuzz/run.sh BUILD TARGET…
# Each starts from tests/fuzz/corpus/TARGET and runs FUZZ_SECONDS (60). What they learn goes to
# BUILD/corpus/TARGET; what breaks one goes to BUILD/findings/TARGET-…, is named, and fails the run.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/fuzz/run.sh BUILD TARGET...}
shift
seconds=${FUZZ_SECONDS:-60}
# Outputs of importers are renamed into place and synced; on a disk that is all that would be timed.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1 allocator_may_return_null=0}
mkdir -p "$build/findings"

run_one() {
  local target=$1 log=$build/fuzz_$1.log
  mkdir -p "$build/corpus/$target"
  if nice "$build/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
    -max_len=4096 -print_final_stats=1 -artifact_prefix="$build/findings/$target-" \
    "$build/corpus/$target" "tests/fuzz/corpus/$target" > "$log" 2>&1; then
    printf '  ok      %-16s %s\n' "$target" \
      "$(awk '/number_of_executed_units/ {n = $2} /cov:/ {for (i = 1; i < NF; i++) if ($i == "cov:") c = $(i + 1)} END {print n " runs, " c " edges"}' "$log")"
  else
    grep -v '^#[0-9]' "$log" | head -n 60
    printf '  FAILED  %s; the input is in %s\n' "$target" "$build/findings/"
    return 1
  fi
}

failed=0
running=0
for target in "$@"; do
  if [ "$running" = 2 ]; then
    wait -n || failed=$((failed + 1))
    running=1
  fi
  run_one "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=$((failed + 1))
  running=$((running - 1))
done
echo "fuzz: $# targets, $failed failed"
[ "$failed" = 0 ]
