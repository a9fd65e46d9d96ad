#!/bin/bash
# Runs the cases that tests/PROOF.md names: tests/proof.sh BUILD [WORDS]
# With WORDS only those of the promises in which these words stand. The only last line counts them.
# Exit 1 when one of them fails or is not run.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: tests/proof.sh BUILD [WORDS]}
words=${2:-}
export KVCS_SOURCE_DIR=$PWD KVCS_BINARY=$PWD/$build/kvcs

# "FILE: CASE" of each case below a promise that has the words.
named=$(awk -v words="$words" '/^- /{ here = index($0, words) > 0 || words == "" }
  /^  - /{ if (here) print substr($0, 5) }' tests/PROOF.md | sort -u)
[ -n "$named" ] || { echo "proof: no promise in tests/PROOF.md has the words '$words'"; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0
count() {
  if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  [ "$1" = 0 ] && echo "  ok  $2" || echo "failed: $2"
}
while IFS= read -r one; do
  file=${one%%: *}
  name=${one#*: }
  if [[ $file == *.cc ]]; then
    # A name is no pattern: what has a meaning to Catch is escaped.
    pattern=$(printf '%s' "$name" | sed 's/[][,*~"\\]/\\&/g')
    "$build/kvcs_tests" "$pattern" 2> /dev/null < /dev/null | tail -n 1 | grep -q '^1 passed, 0 failed$'
  else
    # Whole files, once: in some a case stands on those before it.
    log=$scratch/${file//\//-}
    [ -e "$log" ] || node --test --test-reporter=tap "$file" > "$log" 2>&1 < /dev/null
    awk -v name="$name" '/^ *(not )?ok / && index($0, name) && !/# SKIP/{
      if (/^ *not ok/) bad = 1; else good = 1 } END { exit !(good && !bad) }' "$log"
  fi
  count $? "$one"
done <<< "$named"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
