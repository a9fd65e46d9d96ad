#!/bin/bash
# The AI gateway beside nginx as a plain proxy, Portkey's gateway and a worker on workerd, all in
# front of one mock provider: ai.sh BUILD_DIR. nginx only relays and writes no log; ours checks the
# key, three budgets and the rates, meters, keeps a row for the ledger and logs, as shipped.
. "$(dirname "$0")/common.bash"
need wrk nginx curl python3

filler=$(printf 'All happy requests resemble one another. %.0s' {1..8})
answer='{"id":"chatcmpl-b1","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"'$filler'","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":65,"total_tokens":107,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}'
ask='{"model":"gpt-4o-mini","max_tokens":200,"messages":[{"role":"system","content":"Answer briefly."},{"role":"user","content":"What do happy requests have in common?"}]}'

# The provider of the streams; it also is their client, and times what passes between the two.
coproc PROBE { exec "$build/tests/bench/sse_probe"; }
started+=("$PROBE_PID")
from_probe=${PROBE[0]} to_probe=${PROBE[1]}
read -r streams_port <&"$from_probe"

start_nginx provider "location / { default_type application/json; return 200 '$answer'; }"
provider=$nginx_port provider_process=$nginx
nginx_http="upstream provider { server 127.0.0.1:$provider; keepalive 512; keepalive_requests 100000000; }
  proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;
  proxy_set_header Authorization 'Bearer sk-bench';"
start_nginx proxy "location / { proxy_pass http://provider; }
  location /sse/ { proxy_pass http://127.0.0.1:$streams_port/; }"
proxy=$nginx_port proxy_process=$nginx

start_daemon
id_of() { member "$1"; }
admin PUT /admin/ai/providers/openai "{\"kind\":\"openai\",\"base_url\":\"http://127.0.0.1:$provider\",\"api_key\":\"sk-bench\"}" > /dev/null
org=$(admin POST /admin/organizations '{"name":"Bench","monthly_budget_usd":1000000}' | id_of org_id)
user=$(admin POST /admin/users "{\"email\":\"b@example.com\",\"org_id\":\"$org\",\"monthly_limit_usd\":1000000,\"requests_per_minute\":9000000}" | id_of user_id)
key=$(admin POST "/admin/users/$user/api-keys" '{"name":"bench","monthly_limit_usd":1000000,"requests_per_minute":9000000}' | id_of api_key)

# lua FILE AUTHORIZATION [HEADER VALUE]…: a script for wrk that posts the question.
lua() {
  local file=$work/$1
  printf 'wrk.method = "POST"\nwrk.body = [==[%s]==]\nwrk.headers["Content-Type"] = "application/json"\nwrk.headers["Authorization"] = "Bearer %s"\n' "$ask" "$2" > "$file"
  shift 2
  while [ $# -ge 2 ]; do
    printf 'wrk.headers["%s"] = "%s"\n' "$1" "$2" >> "$file"
    shift 2
  done
}
chat=/v1/chat/completions
lua ours.lua "$key"
lua plain.lua sk-bench
ours() { load "$url$chat" "$daemon" "$1" -s "$work/ours.lua"; }
peer() { load "http://127.0.0.1:$proxy$chat" "$proxy_process" "$1" -s "$work/plain.lua"; }
direct() { load "http://127.0.0.1:$provider$chat" "$provider_process" "$1" -s "$work/plain.lua"; }

row "ai gateway (peer: nginx as proxy)" ours peer ratio ""
seconds=1 ours 32
seconds=1 peer 32
[ "$failures" = 0 ] || row "nginx as proxy" - - - "$failures failures"
total=0
for connections in 1 32 256; do
  direct "$connections"
  direct_rate=$rate direct_p50=$p50_us
  peer "$connections"
  peer_rate=$rate peer_p50=$p50_us peer_p99=$p99_us peer_cpu=$cpu_us
  ours "$connections"
  note="p50 $(calc "$p50_us" 0) vs $(calc "$peer_p50" 0) us, p99 $(calc "$p99_us" 0) vs $(calc "$peer_p99" 0) us, cpu us $cpu_us vs $peer_cpu"
  [ "$failures" = 0 ] || note="$note, $failures FAILURES"
  row "chat, $connections connections (target 0.40)" "$(per_second "$rate")" "$(per_second "$peer_rate")" \
    "$(ratio "$rate" "$peer_rate")" "$note; direct $(per_second "$direct_rate")"
  [ "$connections" != 1 ] || row "added median at 1 connection (target 80 us)" \
    "$(calc "$p50_us - $direct_p50") us" "$(calc "$peer_p50 - $direct_p50") us" "" "over asking the provider directly"
  [ "$connections" != 32 ] || our_rate=$rate
done

# CPU of everything a request causes: also the ledger's rows, which are written behind it.
cpu_row "cpu per governed request (target 40 us)"

# --- streams ------------------------------------------------------------------------------------
# stream NAME PORT PATH STREAMS EVENTS INTERVAL_MS: sets first_p50 first_p99 event_p50 event_p99 lost.
stream() {
  echo "$* $key" >&"$to_probe"
  read -r -t 150 _ first_p50 first_p99 event_p50 event_p99 lost <&"$from_probe"
}
admin PUT /admin/ai/providers/openai "{\"kind\":\"openai\",\"base_url\":\"http://127.0.0.1:$streams_port\",\"api_key\":\"sk-bench\"}" > /dev/null
stream warm "$port" $chat 20 3 20
stream direct "$streams_port" $chat 20 40 25
direct_first=$first_p50 direct_event=$event_p99
stream nginx "$proxy" "/sse$chat" 20 40 25
nginx_first=$first_p50 nginx_event=$event_p99
stream ours "$port" $chat 20 40 25
[ "$lost" = 0 ] || row "streams" - - - "$lost of 20 streams FAILED"
row "sse, first event median (target 1000 us)" "$first_p50 us" "$nginx_first us" \
  "$(ratio "$first_p50" "$nginx_first")" "from the provider's send; 20 streams begin at once; direct $direct_first us"
row "sse, delay of an event, p99 (target 500 us)" "$event_p99 us" "$nginx_event us" \
  "$(ratio "$event_p99" "$nginx_event")" "p50 $event_p50 us; 20 streams, 800 events/s; direct p99 $direct_event us"
echo "hold ours $port $chat 1000 5 250 $key" >&"$to_probe"
read -r -t 120 word <&"$from_probe"
resident=$(memory_kb "$daemon" VmRSS)
echo go >&"$to_probe"
read -r -t 150 _ first_p50 first_p99 event_p50 event_p99 lost <&"$from_probe"
row "1,000 streams at once, resident (target 512)" "$((resident / 1024)) MiB" - "" \
  "$word; $lost lost; delay p50 $event_p50 us, p99 $event_p99 us at 4,000 events/s"
admin PUT /admin/ai/providers/openai "{\"kind\":\"openai\",\"base_url\":\"http://127.0.0.1:$provider\",\"api_key\":\"sk-bench\"}" > /dev/null

# --- other gateways ---------------------------------------------------------------------------
modules=$bench/node_modules
other_row() { # NAME TARGET
  local note="cpu us $cpu_us, p50 $(calc "$p50_us" 0) us"
  [ "$failures" = 0 ] || note="$note, $failures FAILURES"
  row "$1" "$(per_second "$our_rate")" "$(per_second "$rate")" "$(ratio "$our_rate" "$rate")" "$note"
}
skip() { row "$1" - - - "skipped: $2"; }

portkey() {
  local name="chat, 32 connections, Portkey (target 25)" port
  command -v node > /dev/null || { skip "$name" "needs node"; return; }
  [ -d "$modules/@portkey-ai/gateway" ] || { skip "$name" "run packaging/deps.sh bench"; return; }
  port=$(free_port)
  background "$work/portkey.log" env NODE_ENV=production TRUSTED_CUSTOM_HOSTS=127.0.0.1,localhost \
    node "$modules/@portkey-ai/gateway/build/start-server.js" --headless "--port=$port"
  lua portkey.lua sk-bench x-portkey-provider openai x-portkey-custom-host "http://127.0.0.1:$provider/v1"
  asks() {
    curl -sf -o /dev/null "http://127.0.0.1:$port$chat" -d "$ask" -H 'Content-Type: application/json' \
      -H 'Authorization: Bearer sk-bench' -H 'x-portkey-provider: openai' \
      -H "x-portkey-custom-host: http://127.0.0.1:$provider/v1"
  }
  until_true asks || { skip "$name" "it does not answer: $(tail -n 1 "$work/portkey.log")"; return; }
  seconds=1 load "http://127.0.0.1:$port$chat" "$pid" 32 -s "$work/portkey.lua"
  load "http://127.0.0.1:$port$chat" "$pid" 32 -s "$work/portkey.lua"
  other_row "$name"
  stop "$pid"
}

workerd() {
  local name="chat, 32 connections, workerd (target 3)" port program
  program=$(echo "$modules"/@cloudflare/workerd-linux-*/bin/workerd)
  [ -x "$program" ] || { skip "$name" "run packaging/deps.sh bench"; return; }
  port=$(free_port)
  background "$work/workerd.log" "$program" serve "$bench/worker.capnp" config \
    "--socket-addr=http=127.0.0.1:$port" "--external-addr=provider=127.0.0.1:$provider"
  asks() { curl -sf -o /dev/null "http://127.0.0.1:$port/setup" -H "Authorization: Bearer $key"; }
  until_true asks || { skip "$name" "it does not answer: $(tail -n 1 "$work/workerd.log")"; return; }
  seconds=1 load "http://127.0.0.1:$port$chat" "$pid" 32 -s "$work/ours.lua"
  load "http://127.0.0.1:$port$chat" "$pid" 32 -s "$work/ours.lua"
  other_row "$name"
  stop "$pid"
}
portkey
workerd
