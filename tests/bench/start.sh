#!/bin/bash
# From the exec to the line server.ready: start.sh BUILD_DIR. On an empty directory everything is
# made and synced: stores, keys, the first organization.
. "$(dirname "$0")/common.bash"
turns=${BENCH_STARTS:-9}
# start_ms DATA_DIR: one start; the daemon is stopped again.
start_ms() {
  local begun ended
  cd "$bench/../.."
  begun=$(date +%s%N)
  exec 8< <(exec "$build/kvcs" serve --data-dir "$1" --listen 127.0.0.1:0 2>&1)
  process=$!
  while read -r line <&8; do
    [[ $line != *'"server.ready"'* ]] || break
  done
  ended=$(date +%s%N)
  kill "$process"
  while read -r line <&8; do :; done
  exec 8<&-
  calc "($ended - $begun) / 1e6" 1
}
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.0f", v[int((NR + 1) / 2)] }'; }
greatest() { sort -n | tail -n 1; }
for ((i = 0; i < turns; i++)); do start_ms "$work/fresh$i"; done > "$work/fresh"
for ((i = 0; i < turns; i++)); do start_ms "$work/fresh0"; done > "$work/again"
row "start" ours target ratio ""
for kind in fresh again; do
  name="ready on an empty directory"
  [ $kind = fresh ] || name="ready on a directory in use"
  row "$name" "$(median < "$work/$kind") ms" "300 ms" "$(ratio "$(median < "$work/$kind")" 300)" \
    "median of $turns, greatest $(greatest < "$work/$kind") ms"
done
