#!/bin/bash
# Runs every benchmark of a build and prints one table: run.sh BUILD_DIR [NAME…], NAME one of those
# below. A row is: name, ours, peer or limit, their ratio, remarks; a target stands in the name.
# What cannot run here says why and does not fail. Compare within one run only.
set -u
build=${1:?usage: $0 BUILD_DIR [NAME…]}
shift
here=$(dirname "$0")
all=(start http hello upload transfer ai gateway kv_bench search_bench list_bench upstream_bench kvfile_bench)
[ $# != 0 ] || set -- "${all[@]}"
for name in "$@"; do
  if [ -x "$here/$name.sh" ]; then
    "$here/$name.sh" "$build" || echo "$name failed"
  else
    "$build/tests/bench/$name" || echo "$name failed"
  fi
  echo
done
