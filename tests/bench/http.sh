#!/bin/bash
# HTTP rows of the performance table, nginx beside, which serves the same bytes: http.sh BUILD_DIR.
# Our side is the daemon's HTTP server with nothing behind it.
. "$(dirname "$0")/common.bash"
need wrk nginx curl python3

mkdir -p "$work/www"
head -c 268435456 /dev/zero > "$work/www/file"
start_nginx peer "location = /small { default_type application/json; return 200 '{\"message\":\"Hello, World!\"}'; }
  location = /file { root $work/www; default_type application/octet-stream; }"
peer=$nginx_port peer_process=$nginx
mkfifo "$work/stdin"
"$build/tests/bench/http_server" "$work/www/file" < "$work/stdin" > "$work/port" &
our_process=$!
started+=("$our_process")
exec 7> "$work/stdin"
until_true test -s "$work/port"
ours=$(cat "$work/port")

small() { load "http://127.0.0.1:$1/small" "$2" "$3"; }
small_row() { # name connections
  seconds=1 small "$ours" "$our_process" "$2"
  small "$peer" "$peer_process" "$2"
  local peer_rate=$rate peer_p50=$p50_us peer_p99=$p99_us peer_cpu=$cpu_us
  small "$ours" "$our_process" "$2"
  row "$1" "$(per_second "$rate")" "$(per_second "$peer_rate")" "$(ratio "$rate" "$peer_rate")" \
    "p50 $p50_us vs $peer_p50 us, p99 $p99_us vs $peer_p99 us, cpu us $cpu_us vs $peer_cpu"
}
download() { # port parallel -> MiB/s
  local start end i pids=()
  start=$(date +%s%N)
  for ((i = 0; i < $2; i++)); do
    curl -sf -o /dev/null "http://127.0.0.1:$1/file" &
    pids[i]=$!
  done
  for i in "${pids[@]}"; do wait "$i" || { echo 0; return; }; done
  end=$(date +%s%N)
  calc "$2 * 256e9 / ($end - $start)" 0
}
file_row() { # name parallel; the better of three turns each, taken alternately
  local n=0 o=0 turn one before cpu
  download "$ours" 1 > /dev/null
  before=$(ticks "$our_process")
  for turn in 1 2 3; do
    one=$(download "$peer" "$2"); [ "$one" -le "$n" ] || n=$one
    one=$(download "$ours" "$2"); [ "$one" -le "$o" ] || o=$one
  done
  cpu=$(calc "($(ticks "$our_process") - $before) * 10 / (3 * $2)")
  row "$1" "$o MiB/s" "$n MiB/s" "$(ratio "$o" "$n")" "256 MiB each, cpu $cpu ms a file"
}

row "http (peer: nginx)" ours nginx ratio ""
small_row "GET small JSON, 32 connections (target 0.80)" 32
small_row "GET small JSON, 256 connections (target 0.80)" 256
small "$ours" "$our_process" 32
alone_rate=$rate alone_p99=$p99_us
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
idle_process=$!
started+=("$idle_process")
until_true test -s "$work/idle"
small "$ours" "$our_process" 32
row "32 connections beside 5,000 idle (target 0.80)" "$(per_second "$rate")" "$(per_second "$alone_rate")" \
  "$(ratio "$rate" "$alone_rate")" "peer: ourselves without them; p99 $p99_us vs $alone_p99 us, cpu us $cpu_us"
row "resident memory with 5,000 idle" "$(($(memory_kb "$our_process" VmRSS) / 1024)) MiB" - "" ""
stop "$idle_process"
file_row "GET 256 MiB file, 1 at a time (target 0.80)" 1
file_row "GET 256 MiB file, 8 in parallel (target 0.80)" 8
