#!/bin/bash
# What compilers and tests do not see: packaging/check.sh BUILD
#   1. clang-format: every C++ file is as .clang-format writes it.
#   2. clang: -Wall -Wextra -Wthread-safety, and the rules of .clang-tidy, on every file of src/.
#   3. shell scripts parse; JavaScript parses.
# Step 2 takes seconds for a file, so its good verdicts are kept (KVCS_CHECK_CACHE, default
# ~/.cache/kvcs-check) under a digest of the whole preprocessed text, the rules and the tool.
# CPPFLAGS comes from make. A failure prints what was found; exit 1.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:?usage: packaging/check.sh BUILD}
export CPPFLAGS=${CPPFLAGS:--Isrc -I$build/gen $(pkg-config --cflags cpp-httplib)}
export CHECK_CACHE=${KVCS_CHECK_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kvcs-check}
export TIDY_KEY
TIDY_KEY=$(clang-tidy --version | sha256sum; sha256sum .clang-tidy)
jobs=$(nproc)
mkdir -p "$CHECK_CACHE"
find "$CHECK_CACHE" -type f -mtime +30 -delete

sources() { git ls-files -co --exclude-standard -- "$@" | sort -u | while read -r f; do
  [ ! -f "$f" ] || echo "$f"; done; }

check_file() {
  local file=$1 key log
  # shellcheck disable=SC2206 — flags are words.
  local flags=(-std=c++20 $CPPFLAGS -Wall -Wextra -Wthread-safety)
  # The analyzer's deep mode takes 2.5 times as long, most of it inside nlohmann's templates.
  flags+=(-Xclang -analyzer-config -Xclang mode=shallow)
  # With comments (-C), because NOLINT is one.
  key=$( (echo "$TIDY_KEY ${flags[*]}"; clang++ -E -C "${flags[@]}" "$file" 2>&1) | sha256sum | cut -c1-64)
  if [ -e "$CHECK_CACHE/$key" ]; then
    touch "$CHECK_CACHE/$key"
    return 0
  fi
  if log=$(clang-tidy --quiet "$file" -- "${flags[@]}" 2>&1); then
    touch "$CHECK_CACHE/$key"
  else
    printf '%s\n' "$log" | grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed |^Use -header' >&2
    echo "check: $file: clang-tidy found something" >&2
    return 1
  fi
}
export -f check_file

failed=0
begin=$SECONDS
sources '*.cc' '*.h' | xargs clang-format --dry-run -Werror || failed=1
echo "check: clang-format: $(sources '*.cc' '*.h' | wc -l) files"

sources 'src/*.cc' | xargs -P "$jobs" -I{} bash -c 'check_file {}' || failed=1
echo "check: clang -Wthread-safety and clang-tidy: $(sources 'src/*.cc' | wc -l) files, $((SECONDS - begin)) s"

for file in $(sources '*.sh' '.ci/run'); do
  case "$(head -n 1 "$file")" in
    *bash*) bash -n "$file" || failed=1 ;;
    *) sh -n "$file" || failed=1 ;;
  esac
done
for file in $(sources 'tests/*.mjs' 'web/*.mjs'); do node --check "$file" || failed=1; done

[ $failed = 0 ] || { echo "check: failed" >&2; exit 1; }
echo "check: ok"
