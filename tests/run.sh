#!/bin/bash
# Runs the tests of one build: tests/run.sh BUILD [e2e|unit]
#   unit  BUILD/kvcs_tests (Catch2)
#   e2e   tests/e2e/*.test.mjs and web/test/*.test.mjs by node's test runner, through BUILD/kvcs;
#         with `e2e` or KVCS_TEST_COMMANDS=1 tests/e2e/commands/ too, whose modules are a gigabyte,
#         tests/e2e/engine/, which needs Node 20 for llama.cpp and is skipped without it, and the
#         cases [every-n], which fail each call of a script in turn, and the rigs of
#         transfers whole
# A test that does not end is ended by a watchdog, which names it; KVCS_TEST_LIMIT_S is the seconds
# that each may take. Prints each runner's output, then the names of what failed and, as the only
# last line, "N passed, N failed".
# Exit 1 on a failure, and when a suite died before it could count.
set -uo pipefail
cd "$(dirname "$0")/.."

build=${1:?usage: tests/run.sh BUILD [e2e|unit]}
which=${2:-all}
export KVCS_SOURCE_DIR=$PWD
export KVCS_BINARY=$PWD/$build/kvcs
# RocksDB and others are not built with ThreadSanitizer, which takes their locks for races.
export TSAN_OPTIONS=${TSAN_OPTIONS:-ignore_noninstrumented_modules=1 halt_on_error=1 second_deadlock_stack=1 die_after_fork=0 suppressions=$PWD/tests/tsan.supp}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1 strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1 halt_on_error=1}

scratch=$(mktemp -d)
failures=$scratch/failures
: > "$failures"
trap 'rm -rf "$scratch"' EXIT
commands=${KVCS_TEST_COMMANDS:-0}
# Rigs of the end-to-end tests that take long go a short way without.
[ "$which$commands" = all0 ] || export KVCS_TEST_WHOLE=1
passed=0
failed=0

# count EXIT PASSED FAILED NAME: a suite that fails without a failed test died, and counts as one.
count() {
  local status=$1 suite_passed=${2:-0} suite_failed=${3:-0}
  if [ "$status" != 0 ] && [ "$suite_failed" = 0 ]; then
    echo "run: $4 ended with exit status $status and counted no failure"
    suite_failed=1
  fi
  if [ "$status" = 0 ] && [ "$suite_passed" = 0 ] && [ "$suite_failed" = 0 ]; then
    echo "run: $4 ran no test"
    suite_failed=1
  fi
  passed=$((passed + suite_passed))
  failed=$((failed + suite_failed))
}

run_catch() {
  local filter=() log=$scratch/catch
  [ "$which" != unit ] || filter=("~[e2e]~[.]")
  [ "$which" != e2e ] || filter=("[e2e]")
  [ "$which$commands" != all0 ] || filter=("~[every-n]~[.]")
  if [ "$which" = e2e ] && ! "$build/kvcs_tests" --list-test-names-only "[e2e]" | grep -q .; then
    return
  fi
  "$build/kvcs_tests" "${filter[@]}" > "$log" 2> "$log.err"
  local status=$?
  # The last line is the listener's count; the daemon's log lines matter only beside a failure.
  [ $status = 0 ] || tail -n 200 "$log.err"
  sed '$d' "$log"
  grep -E '^(failed|watchdog): ' "$log" >> "$failures"
  local counts='^([0-9]+) passed, ([0-9]+) failed$'
  [[ "$(tail -n 1 "$log")" =~ $counts ]] || { tail -n 1 "$log"; BASH_REMATCH=(x 0 0); }
  count $status "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" kvcs_tests
}

run_node() {
  local folder=$1 log=$scratch/node files
  mapfile -t files < <(find "$folder" -maxdepth 1 -name '*.test.mjs' 2> /dev/null | sort)
  [ ${#files[@]} != 0 ] || return 0
  # Each test has a limit of its own; that of the whole is for a file whose thread spins.
  NODE_OPTIONS="--import=$PWD/tests/e2e/watchdog.mjs" timeout --kill-after=20 3600 \
    node --test --test-reporter=tap "${files[@]}" > "$log" 2>&1
  local status=$?
  # Node's own closing lines, as numbers.
  local good bad
  good=$(sed -nE 's/^# pass ([0-9]+)$/\1/p' "$log" | tail -n 1)
  bad=$(sed -nE 's/^# (fail|cancelled) ([0-9]+)$/\2/p' "$log" | awk '{n += $1} END {print n + 0}')
  if [ $status != 0 ]; then
    tail -n 300 "$log"
    # Again, what each of them says, however long ago it was.
    awk '/^ *not ok /{ left = 30 } left-- > 0' "$log"
    sed -nE 's/^ *not ok [0-9]+ - /failed: /p' "$log" >> "$failures"
  else
    grep -E '^(not )?ok |^# Subtest' "$log" | grep -E '^ok' | sed 's/^ok [0-9]* - /  ok  /'
  fi
  count $status "${good:-0}" "${bad:-0}" "$folder"
}

[ "$which" = e2e ] && e2e_only=1 || e2e_only=0
run_catch
if [ "$which" != unit ]; then
  run_node tests/e2e
  if [ $e2e_only$commands != 00 ]; then
    run_node tests/e2e/commands
    run_node tests/e2e/engine
  fi
  [ $e2e_only = 1 ] || run_node web/test
fi
cat "$failures"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
