#!/bin/sh
# Runs every benchmark given a build directory: run.sh BUILD_DIR. Scripts beside this one come
# first, then every *_bench binary; each prints rows of "name ours peer ratio remarks".
set -u
build=$1
here=$(dirname "$0")
for script in "$here"/*.sh; do
  [ "$script" = "$here/run.sh" ] || "$script" "$build" || echo "$script failed"
done
for binary in "$build"/tests/bench/*_bench; do
  [ -x "$binary" ] || continue
  "$binary" "$build" || echo "$binary failed"
done
