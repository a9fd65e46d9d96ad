# What the scripts beside this one share; source it. A script that uses it works in $work, a folder
# of its own that is removed at the end, together with every process that `background` started.
set -euo pipefail
build=$(realpath "${1:?usage: $0 BUILD_DIR}")
bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
seconds=${BENCH_SECONDS:-3} # Of one run of the load generator.
work=$(mktemp -d "${BENCH_DIR:-/var/tmp}/kvcs-bench-XXXXXX")
started=()

stop_all() {
  local pid
  for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait 2> /dev/null || true
  rm -rf "$work"
}
trap stop_all EXIT
ulimit -n 20000 2> /dev/null || ulimit -n "$(ulimit -Hn)"

# row NAME OURS PEER RATIO REMARKS: one line of the table.
row() { printf '%-44s %14s %14s %7s  %s\n' "$@"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "-" }'; }
# median NUMBER…: of an odd number of them.
median() { printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
calc() { awk "BEGIN { printf \"%.${2:-1}f\\n\", $1 }"; }
# need TOOL…: ends the script, and says why, when one is missing.
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" > /dev/null || { row "$(basename "$0" .sh)" - - - "skipped: needs $tool"; exit 0; }
  done
}

# background LOG COMMAND…: $pid is its process, stopped at the end.
background() {
  local log=$1
  shift
  "$@" > "$log" 2>&1 &
  pid=$!
  started+=("$pid")
}
stop() {
  kill "$1" 2> /dev/null || true
  wait "$1" 2> /dev/null || true
}
free_port() {
  python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'
}
# until_true COMMAND…: tries for 15 s.
until_true() {
  local try
  for ((try = 0; try < 300; try++)); do
    ! "$@" > /dev/null 2>&1 || return 0
    read -r -t 0.05 < <(:) || sleep 0.05
  done
  return 1
}

# member NAME: of a flat JSON object on stdin.
member() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

# start_daemon [ENV=VALUE…]: the daemon as shipped, on a new data directory. Sets $daemon (its
# process), $url, $port, $admin_key, $api_key. Its log, one line a request, goes to a file.
start_daemon() {
  cd "$bench/../.."
  background "$work/daemon.log" env "$@" "$build/kvcs" serve --data-dir "$work/data" --listen 127.0.0.1:0
  cd - > /dev/null
  daemon=$pid
  until_true grep -q '"server.ready"' "$work/daemon.log" || { tail -n 5 "$work/daemon.log"; return 1; }
  url=$(sed -n 's/.*"event":"server.ready","url":"\([^"]*\)".*/\1/p' "$work/daemon.log")
  port=${url##*:}
  admin_key=$(member admin_key < "$work/data/initial-credentials.json")
  api_key=$(member api_key < "$work/data/initial-credentials.json")
}
# admin METHOD PATH [BODY]: prints the answer.
admin() {
  curl -sS --fail-with-body -X "$1" "$url$2" -H "Authorization: Bearer $admin_key" \
    -H 'Content-Type: application/json' ${3:+--data-binary "$3"}
}
# One figure of /metrics.
metric() { curl -s "$url/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
# Until the ledger has written every row that it owes; a minute at most.
settle() {
  local round
  for round in 1 2 3 4; do
    ! until_true eval '[ "$(metric kvcs_ledger_outbox_age_seconds)" = 0 ]' || return 0
  done
}

# start_nginx NAME SERVER_BLOCK: on a free port, $nginx_port; $nginx is its process.
start_nginx() {
  nginx_port=$(free_port)
  mkdir -p "$work/$1"
  cat > "$work/$1/nginx.conf" << N
user $(id -un) $(id -gn); worker_processes ${nginx_workers:-auto}; daemon off; pid $work/$1/pid;
error_log $work/$1/error.log; worker_rlimit_nofile 20000;
events { worker_connections 9000; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_timeout 75s; keepalive_requests 100000000; client_max_body_size 64m;
  client_body_temp_path $work/$1/body; proxy_temp_path $work/$1/proxy;
  fastcgi_temp_path $work/$1/fastcgi; uwsgi_temp_path $work/$1/uwsgi; scgi_temp_path $work/$1/scgi;
  ${nginx_http:-}
  server { listen 127.0.0.1:$nginx_port backlog=4096; $2 }
}
N
  background "$work/$1/log" nginx -c "$work/$1/nginx.conf" -p "$work/$1"
  nginx=$pid
  until_true bash -c "exec 3<> /dev/tcp/127.0.0.1/$nginx_port" || { cat "$work/$1/error.log"; return 1; }
}

# CPU ticks (10 ms) of a process and its children so far.
ticks() {
  local one sum=0
  for one in "$1" $(cat /proc/"$1"/task/*/children 2> /dev/null); do
    sum=$((sum + $(sed 's/.*) //' "/proc/$one/stat" 2> /dev/null | awk '{print $12 + $13}')))
  done
  echo "$sum"
}
# memory_kb PROCESS FIELD
memory_kb() { awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"; }

# load URL PROCESS CONNECTIONS [WRK-ARGUMENTS…]: sets rate (requests/s), p50_us, p99_us, cpu_us (of
# the process per request), requests and failures (answers that were not 2xx, and socket errors).
load() {
  local target=$1 process=$2 connections=$3 before after out
  shift 3
  before=$(ticks "$process")
  out=$(wrk -t$((connections < 2 ? 1 : 2)) -c"$connections" -d"${seconds}s" --latency "$@" "$target")
  after=$(ticks "$process")
  requests=$(awk '/requests in/ { print $1 }' <<< "$out")
  rate=$(awk '/^Requests\/sec/ { print $2 }' <<< "$out")
  p50_us=$(awk '$1 == "50%" { print $2 }' <<< "$out" | to_us)
  p99_us=$(awk '$1 == "99%" { print $2 }' <<< "$out" | to_us)
  failures=$(awk '/Non-2xx/ { n += $NF } /Socket errors/ { gsub(",", ""); n += $4 + $6 + $8 + $10 }
                  END { print n + 0 }' <<< "$out")
  cpu_us=$(awk -v t=$((after - before)) -v n="$requests" 'BEGIN { print (n > 0 ? sprintf("%.1f", t * 10000 / n) : 0) }')
}
# cpu_row NAME: a row of what the daemon needs per request of the script's `ours`, with all that it
# does behind the answers, beside what nginx needs for `peer`; medians of five rounds of both. One
# round says little on a machine that is shared: for some seconds all may need half as much again.
cpu_row() {
  local round before ours=() peer=()
  for round in 1 2 3 4 5; do
    peer 32
    peer+=("$cpu_us")
    settle
    before=$(ticks "$daemon")
    ours 32
    settle
    ours+=("$(awk -v t=$(($(ticks "$daemon") - before)) -v n="$requests" 'BEGIN { printf "%.1f", t * 10000 / n }')")
  done
  row "$1" "$(median "${ours[@]}") us" "$(median "${peer[@]}") us" \
    "$(ratio "$(median "${ours[@]}")" "$(median "${peer[@]}")")" \
    "medians of five; ours ${ours[*]}, nginx ${peer[*]} us"
}
to_us() { awk '/us$/ { print $1 + 0; next } /ms$/ { print $1 * 1000; next } /s$/ { print $1 * 1e6 }'; }
per_second() { awk -v r="$1" 'BEGIN { printf "%.0f/s", r }'; }
