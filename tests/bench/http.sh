#!/bin/bash
# HTTP rows of the performance table, nginx beside, which serves the same bytes: http.sh BUILD_DIR.
# Our side is the daemon's HTTP server with nothing behind it.
. "$(dirname "$0")/common.bash"
need wrk nginx curl python3 openssl

mkdir -p "$work/www"
head -c 268435456 /dev/zero > "$work/www/file"
start_nginx peer "location = /small { default_type application/json; return 200 '{\"message\":\"Hello, World!\"}'; }
  location = /file { root $work/www; default_type application/octet-stream; }"
peer=$nginx_port peer_process=$nginx
mkfifo "$work/stdin"
# start_ours ARGUMENT…: sets $ours, its port, and $our_process.
start_ours() {
  rm -f "$work/port"
  "$build/tests/bench/http_server" "$work/www/file" "$@" < "$work/stdin" > "$work/port" &
  our_process=$!
  started+=("$our_process")
  exec 7> "$work/stdin"
  until_true test -s "$work/port"
  ours=$(cat "$work/port")
}
start_ours

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
file_row() { # name parallel turns; medians of turns taken alternately
  local turn before cpu peer_cpu n=() o=()
  download "$ours" 1 > /dev/null
  before=$(ticks "$our_process") peer_before=$(ticks "$peer_process")
  for ((turn = 0; turn < $3; turn++)); do
    n+=("$(download "$peer" "$2")")
    o+=("$(download "$ours" "$2")")
  done
  cpu=$(calc "($(ticks "$our_process") - $before) * 10 / ($3 * $2)")
  peer_cpu=$(calc "($(ticks "$peer_process") - $peer_before) * 10 / ($3 * $2)")
  row "$1" "$(median "${o[@]}") MiB/s" "$(median "${n[@]}") MiB/s" \
    "$(ratio "$(median "${o[@]}")" "$(median "${n[@]}")")" \
    "256 MiB each, medians of $3, cpu $cpu vs $peer_cpu ms a file"
}
# slow_row NAME REQUEST: 5,000 clients that send that and then nothing, and read nothing; what they
# cost, and what the others notice.
slow_row() {
  local resident threads
  stop "$our_process"
  start_ours
  small "$ours" "$our_process" 32
  small "$ours" "$our_process" 32
  alone_rate=$rate alone_p99=$p99_us
  resident=$(memory_kb "$our_process" VmRSS) threads=$(memory_kb "$our_process" Threads)
  rm -f "$work/slow"
  python3 - "$ours" "$2" > "$work/slow" << 'P' &
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
held = []
for _ in range(5000):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(("127.0.0.1", int(sys.argv[1])))
    s.sendall(sys.argv[2].encode().decode("unicode_escape").encode())
    held.append(s)
print("ready", flush=True)
time.sleep(600)
P
  slow_process=$!
  started+=("$slow_process")
  until_true test -s "$work/slow"
  small "$ours" "$our_process" 32  # While they are answered as far as they take it.
  small "$ours" "$our_process" 32
  row "$1: resident memory (goal 128)" "$((($(memory_kb "$our_process" VmRSS) - resident) / 1024)) MiB" - "" \
    "beyond what was; $(($(memory_kb "$our_process" Threads) - threads)) threads more"
  row "$1: p99 of 32 others (goal 1.5)" "$p99_us us" "$alone_p99 us" "$(ratio "$p99_us" "$alone_p99")" \
    "peer: ourselves without them; $(per_second "$rate") vs $(per_second "$alone_rate")"
  stop "$slow_process"
}
tls_row() { # name connections [WRK-ARGUMENT…]
  local name=$1 connections=$2 o=() n=() turn
  shift 2
  for turn in 1 2 3; do
    load "https://127.0.0.1:$tls_peer/small" "$peer_process" "$connections" "$@"
    n+=("$rate") peer_cpu=$cpu_us
    load "https://127.0.0.1:$ours/small" "$our_process" "$connections" "$@"
    o+=("$rate")
  done
  row "$name" "$(per_second "$(median "${o[@]}")")" "$(per_second "$(median "${n[@]}")")" \
    "$(ratio "$(median "${o[@]}")" "$(median "${n[@]}")")" "medians of three, cpu us $cpu_us vs $peer_cpu"
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
file_row "GET 256 MiB file, 1 at a time (target 0.90)" 1 9
file_row "GET 256 MiB file, 8 in parallel (target 0.80)" 8 3
slow_row "5,000 slow readers" 'GET /file HTTP/1.1\r\nHost: h\r\n\r\n'
slow_row "5,000 slow writers" 'POST /forget HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\na'

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2> /dev/null
stop "$peer_process"
tls_peer=$(free_port)
start_nginx tls "listen 127.0.0.1:$tls_peer ssl backlog=4096; ssl_certificate $work/cert.pem;
  ssl_certificate_key $work/key.pem; ssl_protocols TLSv1.3 TLSv1.2;
  location = /small { default_type application/json; return 200 '{\"message\":\"Hello, World!\"}'; }"
peer_process=$nginx
stop "$our_process"
start_ours 0 "$work/cert.pem" "$work/key.pem"
tls_row "TLS, 32 kept connections (target 0.95)" 32
tls_row "TLS, a new connection each (target 0.90)" 32 -H "Connection: close"
