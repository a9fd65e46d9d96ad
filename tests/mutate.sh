#!/bin/bash
# Whether the tests bite: tests/mutate.sh BUILD [WORD...] applies the mutations of tests/mutations/*.txt
# one at a time, each to a copy of its file, and expects a test to fail each time. With words, only
# those mutations whose subject, name or file has one of them. `tests/mutate.sh --check` looks only
# whether each record still fits the sources.
#
# A record is five lines, and an empty one behind it; the file's name is the subject:
#   name:  what is wrong, in words
#   file:  src/…
#   old:   a line of that file, without its indentation, that occurs there once
#   new:   the line instead of it; nothing, to drop it
#   tests: which tests to run first, as Catch2 takes them; all are run when those pass. Where one
#          of them is [e2e], the daemon is linked with the mutation too.
#
# Prints "caught" or SURVIVED for each and, as the last line, "N caught, N survived". Exit 1 on a
# survivor, 2 on a record that cannot be used: one whose line is not there exactly once ends the run
# before it begins; one that does not compile, or whose tests do not exist, is printed as UNUSABLE.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# Tests of the source's form see a mutation without understanding it, and one that is expected to
# fail catches nothing. Hidden cases are for the tests that start them, and a selection by exclusion
# alone would run them.
exclude='~[tidy]~[!shouldfail]~[!mayfail]~[.]'

broken() {
  echo "mutate: $1" >&2
  exit 2
}

# Prints the file with the one line changed; fails when the line is not there exactly once.
mutated() {
  old=$1 new=$2 awk '
    BEGIN { old = ENVIRON["old"]; new = ENVIRON["new"] }
    {
      text = $0
      sub(/^[ \t]+/, "", text)
      if (text == old) {
        found++
        indent = substr($0, 1, length($0) - length(text))
        if (new != "") print indent new
      } else print
    }
    END { exit found == 1 ? 0 : 1 }' "$3"
}

names=() files=() olds=() news=() filters=() subjects=()
read_records() {
  local list line key value record=()
  for list in tests/mutations/*.txt; do
    name= file= old= new= tests= key=
    while IFS= read -r line || [ -n "$line" ]; do
      [[ "$line" != '#'* ]] || continue
      if [ -n "$line" ]; then
        key=${line%%:*} value=${line#*:}
        value=${value#"${value%%[! ]*}"}
        case $key in
          name | file | old | new | tests) printf -v "$key" %s "$value" ;;
          *) broken "$list: a line begins with '$key:'; name, file, old, new and tests are known" ;;
        esac
      fi
      [ "$key" = tests ] || continue
      for key in name file old tests; do
        [ -n "${!key}" ] || broken "$list: the record '$name' has no $key"
      done
      [ -f "$file" ] || broken "$list: '$name': there is no file $file"
      # What includes a header would have to be built again, and again when the header is as it was.
      [[ "$file" == *.cc ]] || broken "$list: '$name': $file is not a .cc file"
      mutated "$old" "$new" "$file" > /dev/null ||
        broken "$list: '$name': $file has this line not exactly once: $old"
      [ "$old" != "$new" ] || broken "$list: '$name' changes nothing"
      subjects+=("$(basename "$list" .txt)") names+=("$name") files+=("$file")
      olds+=("$old") news+=("$new") filters+=("$tests")
      name= file= old= new= tests= key=
    done < "$list"
    [ -z "$name" ] || broken "$list: the record '$name' does not end with its tests"
  done
  [ ${#names[@]} != 0 ] || broken "there are no records"
}

read_records
if [ "${1:-}" = --check ]; then
  echo "${#names[@]} mutations fit the sources"
  exit 0
fi
build=${1:?usage: tests/mutate.sh BUILD [WORD...]}
shift

# One file is compiled with its line changed and linked before the library, whose own object of that
# name is then left out: the tree and its objects stay as they are.
work=$build/mutate
log=$work/log
mkdir -p "$work"
export KVCS_SOURCE_DIR=$root KVCS_TEST_LIMIT_S=${KVCS_TEST_LIMIT_S:-60}

make_mutant() {
  make -s MODE="$(basename "$build")" "$@" > "$log.build" 2>&1
}

# run PROGRAM DAEMON FILTER: 0 when all of its tests pass, 1 at the first that fails, 2 when there is
# none.
run() {
  KVCS_BINARY=$root/$2 timeout -k 10 1200 "$1" --abort "$3" > "$log" 2> "$log.err"
  local status=$?
  [[ "$(tail -n 1 "$log")" != '0 passed, 0 failed' ]] || return 2
  [ $status = 0 ] || return 1
}

# Catch puts the name of a case between a line of dashes and its place.
first_failure() {
  local name
  name=$(awk '/^--------------------/ { getline; print; exit }' "$log" | cut -c 1-80)
  echo "${name:-a test that ended the process}"
}

# Tests separated by commas; what never counts is excluded from each.
with_exclusions() {
  echo "$exclude${1//,/,$exclude}"
}

# A test that fails by itself would seem to catch everything.
must_pass() {
  run "$build/kvcs_tests" "$build/kvcs" "$1" && return
  tail -n 40 "$log"
  broken "these tests do not pass without a mutation: $1"
}

wanted=()
union=
for i in "${!names[@]}"; do
  text="${subjects[i]} ${names[i]} ${files[i]}"
  fits=$([ $# = 0 ] && echo yes)
  for word in "$@"; do
    [[ "$text" != *"$word"* ]] || fits=yes
  done
  [ -n "$fits" ] || continue
  wanted+=("$i")
  [[ ",$union," == *",${filters[i]},"* ]] || union+=${union:+,}${filters[i]}
done
[ ${#wanted[@]} != 0 ] || broken "no record has one of these words: $*"
must_pass "$(with_exclusions "$union")"
all_pass=

caught=0
survived=0
unusable=0
tell() {
  printf '%-9s %s (%s; %d s)\n' "$1" "$title" "$2" $((SECONDS - started))
}
for i in "${wanted[@]}"; do
  started=$SECONDS
  title="${subjects[i]}: ${names[i]}"
  mutant=$work/$(basename "${files[i]}")
  mutated "${olds[i]}" "${news[i]}" "${files[i]}" > "$mutant"
  if ! make_mutant mutant-tests MUTANT="$mutant"; then
    unusable=$((unusable + 1))
    tell UNUSABLE "$(grep -m 1 -E 'error|multiple definition' "$log.build" || tail -n 1 "$log.build")"
    continue
  fi
  daemon=$build/kvcs
  if [[ "${filters[i]}" == *e2e* ]]; then
    make_mutant mutant-daemon && daemon=$work/kvcs
  fi
  by=
  run "$work/kvcs_tests" "$daemon" "$(with_exclusions "${filters[i]}")"
  case $? in
    0)
      [ -n "$all_pass" ] || must_pass "$exclude"
      all_pass=yes
      make_mutant mutant-daemon
      run "$work/kvcs_tests" "$work/kvcs" "$exclude" ||
        by="not by the tests of its record: $(first_failure)"
      ;;
    1) by=$(first_failure) ;;
    2)
      unusable=$((unusable + 1))
      tell UNUSABLE "no test fits '${filters[i]}'"
      continue
      ;;
  esac
  rm -f "$mutant"
  if [ -n "$by" ]; then
    caught=$((caught + 1))
    tell caught "$by"
  else
    survived=$((survived + 1))
    tell SURVIVED "${files[i]}"
  fi
done
echo "$caught caught, $survived survived"
[ $unusable = 0 ] || broken "$unusable records could not be used"
[ $survived = 0 ]
