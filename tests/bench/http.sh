#!/bin/bash
# HTTP rows of the performance table, nginx beside: http.sh BUILD_DIR. Prints rows of
# name | ours | peer | ratio | CPU. Everything runs on loopback in a temporary directory and is
# stopped at the end. BENCH_SECONDS (default 3) is the length of one wrk run.
set -eu
build=$1
seconds=${BENCH_SECONDS:-3}
for tool in wrk nginx curl python3; do
  command -v "$tool" >/dev/null || { echo "http: needs $tool; skipped"; exit 0; }
done
work=$(mktemp -d)
stop() {
  [ -z "${idle_pid:-}" ] || kill "$idle_pid" 2>/dev/null || true
  [ -z "${nginx_pid:-}" ] || kill "$nginx_pid" 2>/dev/null || true
  [ -z "${our_pid:-}" ] || kill "$our_pid" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
ulimit -n 20000 2>/dev/null || true

mkdir -p "$work/www" "$work/logs"
printf '{"message":"Hello, World!"}' > "$work/www/small.json"
head -c 268435456 /dev/zero > "$work/www/file"
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
cat > "$work/nginx.conf" <<N
user $(id -un) $(id -gn); worker_processes auto; daemon off; pid $work/nginx.pid; error_log $work/logs/error.log;
worker_rlimit_nofile 20000;
events { worker_connections 9000; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_timeout 75s; keepalive_requests 100000000;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server {
    listen 127.0.0.1:$port backlog=4096;
    location = /small { default_type application/json; return 200 '{"message":"Hello, World!"}'; }
    location = /file { root $work/www; default_type application/octet-stream; }
  }
}
N
nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null &
nginx_pid=$!
mkfifo "$work/stdin"
"$build/tests/bench/http_server" "$work/www/file" < "$work/stdin" > "$work/port" &
our_pid=$!
exec 7> "$work/stdin"
curl -s --retry 20 --retry-connrefused --retry-delay 1 -o /dev/null "http://127.0.0.1:$port/small"
until [ -s "$work/port" ]; do read -r -t 0.05 < <(:) || true; done
ours=$(cat "$work/port")

# CPU ticks (10 ms) of a process and its children so far.
ticks() {
  local pid sum=0 n
  for pid in "$1" $(cat /proc/"$1"/task/*/children 2>/dev/null); do
    n=$(sed 's/.*) //' "/proc/$pid/stat" | awk '{print $12 + $13}')
    sum=$((sum + n))
  done
  echo "$sum"
}
# "requests/s p50 p99 cpu-us-per-request"
load() { # port pid connections
  local before after out requests
  before=$(ticks "$2")
  out=$(wrk -t2 -c"$3" -d"${seconds}s" --latency "http://127.0.0.1:$1/small")
  after=$(ticks "$2")
  requests=$(echo "$out" | awk '/requests in/ {print $1}')
  echo "$(echo "$out" | awk '/^Requests\/sec/ {r=$2} /50%/ {a=$2} /99%/ {b=$2} END {print r, a, b}')" \
    "$(echo "$after $before $requests" | awk '{printf "%.1f", ($1-$2)*10000/$3}')"
}
row() { printf '%-44s %14s %14s %7s  %s\n' "$@"; }
small_row() { # name connections
  local n o
  wrk -t2 -c"$2" -d1s "http://127.0.0.1:$ours/small" > /dev/null
  n=$(load "$port" "$nginx_pid" "$2")
  o=$(load "$ours" "$our_pid" "$2")
  set -- "$1" $o $n
  row "$1" "$2/s" "$6/s" "$(echo "$2 $6" | awk '{printf "%.2f", $1/$2}')" \
    "p50 $3 vs $7, p99 $4 vs $8, cpu us $5 vs $9"
}
download() { # port parallel -> MiB/s
  local start end i
  start=$(date +%s%N)
  for ((i = 0; i < $2; i++)); do
    curl -sf -o /dev/null "http://127.0.0.1:$1/file" &
    pids[i]=$!
  done
  for i in "${pids[@]}"; do wait "$i" || { echo 0; return; }; done
  end=$(date +%s%N)
  pids=()
  echo "$2 $start $end" | awk '{printf "%.0f", $1*256e9/($3-$2)}'
}
file_row() { # name parallel; the better of three turns each, taken alternately
  local n=0 o=0 turn one
  download "$ours" 1 > /dev/null
  for turn in 1 2 3; do
    one=$(download "$port" "$2"); [ "$one" -le "$n" ] || n=$one
    one=$(download "$ours" "$2"); [ "$one" -le "$o" ] || o=$one
  done
  row "$1" "$o MiB/s" "$n MiB/s" "$(echo "$o $n" | awk '{printf "%.2f", $1/$2}')" "256 MiB each"
}

row "http (peer: nginx)" ours nginx ratio ""
small_row "GET small JSON, 32 connections" 32
small_row "GET small JSON, 256 connections" 256
alone=$(load "$ours" "$our_pid" 32)
python3 - "$ours" > "$work/idle" <<'P' &
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
held = []
for _ in range(5000):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET /small HTTP/1.1\r\nHost: h\r\n\r\n")
    held.append(s)
for s in held:
    s.recv(65536)
print("ready", flush=True)
time.sleep(600)
P
idle_pid=$!
until [ -s "$work/idle" ]; do read -r -t 0.1 < <(:) || true; done
beside=$(load "$ours" "$our_pid" 32)
set -- $beside $alone
row "32 connections beside 5,000 idle ones" "$1/s" "$5/s" \
  "$(echo "$1 $5" | awk '{printf "%.2f", $1/$2}')" "peer: ourselves without them; p99 $3 vs $7"
row "resident memory with 5,000 idle" "$(awk '/VmRSS/ {print int($2/1024)}' /proc/$our_pid/status) MiB" "" "" ""
kill "$idle_pid"
idle_pid=
file_row "GET 256 MiB file, 1 at a time" 1
file_row "GET 256 MiB file, 8 in parallel" 8
