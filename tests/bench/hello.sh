#!/bin/bash
# Our HTTP server beside a hello server over each Debian package that could stand in its place, all
# with the same answer and as many threads as processors (cpp-httplib: one per connection, as it
# must): hello.sh BUILD_DIR. Figures are medians of three short rounds, taken in turns.
. "$(dirname "$0")/common.bash"
need wrk python3
seconds=${BENCH_HELLO_SECONDS:-1}
names=(ours beast h2o microhttpd libevent httplib)
declare -A title=([beast]="Boost.Beast 1.74" [h2o]="libh2o 2.2" [microhttpd]="libmicrohttpd 0.9.75"
  [libevent]="libevent 2.1" [httplib]="cpp-httplib 0.11") process=() port=() rates=() cpus=() idle=()

mkfifo "$work/stdin"
"$build/tests/bench/http_server" /dev/null "$(nproc)" < "$work/stdin" > "$work/ours" 2> "$work/ours.log" &
process[ours]=$!
exec 7> "$work/stdin"
for name in "${names[@]:1}"; do
  "$build/tests/bench/hello/$name" > "$work/$name" 2>&1 &
  process[$name]=$!
done
started+=("${process[@]}")
for name in "${names[@]}"; do
  until_true test -s "$work/$name" || { row "hello" - - - "skipped: $name does not start"; exit 0; }
  port[$name]=$(cat "$work/$name")
done

# What 1,000 idle keep-alive connections cost: "MiB, threads".
for name in "${names[@]}"; do
  python3 - "${port[$name]}" > "$work/held" << 'P' &
import socket, sys, time
held = []
for _ in range(1000):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET /small HTTP/1.1\r\nHost: h\r\n\r\n")
    s.recv(65536)
    held.append(s)
print("ready", flush=True)
time.sleep(600)
P
  holder=$!
  started+=("$holder")
  until_true test -s "$work/held" || true
  idle[$name]="$(calc "$(memory_kb "${process[$name]}" VmRSS) / 1024") MiB $(memory_kb "${process[$name]}" Threads) threads"
  stop "$holder"
  : > "$work/held"
done

# How many of nine doubtful heads are answered with 200, each on a connection of its own. They are
# heads that RFC 9112 forbids, or lets a server read or refuse: what a proxy in front reads in
# another way is a way past that proxy.
answered_doubtful() {
  python3 - "$1" << 'P'
import socket, sys
start, host = b"GET /small HTTP/1.1\r\n", b"Host: h\r\n"
heads = [
    b"GET /small HTTP/1.1\nHost: h\n\n",                      # line ends without CR
    start + b"Host : h\r\n\r\n",                             # a space before the colon
    start + host + b"X: a\r\n b\r\n\r\n",                    # a folded line
    start + host + b"Host: i\r\n\r\n",                       # two hosts
    start + b"\r\n",                                         # no host
    start + host + b"X: a\0b\r\n\r\n",                       # NUL in a value
    start + host + b"X: a\rb\r\n\r\n",                       # CR in a value
    start + host + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    start + host + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]
answered = 0
for head in heads:
    try:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
        s.sendall(head)
        answered += s.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        pass
print(answered)
P
}

for round in 1 2 3; do
  for name in "${names[@]}"; do
    load "http://127.0.0.1:${port[$name]}/small" "${process[$name]}" 64
    [ "$failures" = 0 ] || title[$name]+=" ($failures failures)"
    rates[$name]+="$rate "
    cpus[$name]+="$cpu_us "
  done
done
median() { tr ' ' '\n' <<< "$1" | grep . | sort -n | sed -n 2p; }

row "hello (peers: what could stand in its place)" ours peer ratio \
  "64 connections; with 1,000 idle ones; doubtful heads answered"
for name in "${names[@]:1}"; do
  our_rate=$(median "${rates[ours]}") rate=$(median "${rates[$name]}")
  row "${title[$name]}" "$(per_second "$our_rate")" "$(per_second "$rate")" "$(ratio "$our_rate" "$rate")" \
    "cpu us $(median "${cpus[ours]}") vs $(median "${cpus[$name]}"); idle ${idle[ours]} vs ${idle[$name]}; $(
      answered_doubtful "${port[ours]}") vs $(answered_doubtful "${port[$name]}") of 9"
done
