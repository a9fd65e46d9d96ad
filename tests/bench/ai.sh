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
start_nginx proxy "client_body_buffer_size 2m;
  location / { proxy_pass http://provider; }
  location /sse/ { proxy_pass http://127.0.0.1:$streams_port/; }"
proxy=$nginx_port proxy_process=$nginx

# ask_at PORT: the daemon's provider is there from now on.
ask_at() {
  admin PUT /admin/ai/providers/openai "{\"kind\":\"openai\",\"base_url\":\"http://127.0.0.1:$1\",\"api_key\":\"sk-bench\"}" > /dev/null
}
# make_key: $key is one that may spend and ask as much as it likes.
make_key() {
  local org user
  org=$(admin POST /admin/organizations '{"name":"Bench","monthly_budget_usd":1000000}' | member org_id)
  user=$(admin POST /admin/users "{\"email\":\"b@example.com\",\"org_id\":\"$org\",\"monthly_limit_usd\":1000000,\"requests_per_minute\":9000000}" | member user_id)
  key=$(admin POST "/admin/users/$user/api-keys" '{"name":"bench","monthly_limit_usd":1000000,"requests_per_minute":9000000}' | member api_key)
}
start_daemon
ask_at "$provider"
make_key

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
cpu_row "cpu per governed request (target 2.0 of nginx)"

# The same for one user, by key and by the session of somebody who acts for the user, by turns.
json='Content-Type: application/json'
setup=$(member setup_url < "$work/data/initial-credentials.json" | sed 's/.*token=//')
csrf=$(curl -sS -c "$work/cookies" "$url/auth/setup" -H "$json" \
  -d "{\"token\":\"$setup\",\"email\":\"b@example.com\",\"password\":\"correct horse battery staple\"}" | member csrf_token)
cookie=$(awk '/kvcs_session/ { print $6 "=" $7 }' "$work/cookies")
default=$(member organization_id < "$work/data/initial-credentials.json")
admin PATCH "/admin/organizations/$default" '{"monthly_budget_usd":1000000}' > /dev/null
own=$(admin POST /admin/users "{\"email\":\"s@example.com\",\"org_id\":\"$default\",\"monthly_limit_usd\":1000000,\"requests_per_minute\":9000000}" | member user_id)
own_key=$(admin POST "/admin/users/$own/api-keys" '{"name":"bench"}' | member api_key)
lua key.lua "$own_key"
lua session.lua - Cookie "$cookie" X-CSRF-Token "$csrf" Origin "$url" X-Kvcs-User "$own"
sed -i '/"Authorization"/d' "$work/session.lua"
by_key=() by_session=()
for round in 1 2 3 4 5 6 7; do
  for who in key session; do
    settle
    before=$(ticks "$daemon")
    load "$url$chat" "$daemon" 32 -s "$work/$who.lua"
    settle
    declare -n list=by_$who
    list+=("$(awk -v t=$(($(ticks "$daemon") - before)) -v n="$requests" 'BEGIN { printf "%.1f", t * 10000 / n }')")
    [ "$failures" = 0 ] || row "by $who" - - - "$failures failures"
  done
done
row "cpu by session over by key (target 5 us)" \
  "$(calc "$(median "${by_session[@]}") - $(median "${by_key[@]}")") us" - "" \
  "medians of seven; session ${by_session[*]}, key ${by_key[*]} us"

# A long prompt is read, scanned and sent on; what it costs beyond that is the gateway's own.
ask=${ask/Answer briefly./$(head -c 1048576 /dev/zero | tr '\0' a)}
lua ours_long.lua "$key"
lua plain_long.lua sk-bench
long_ours=() long_peer=()
for round in 1 2 3; do
  load "http://127.0.0.1:$proxy$chat" "$proxy_process" 4 -s "$work/plain_long.lua"
  long_peer+=("$(calc "$cpu_us / 1000" 2)")
  load "$url$chat" "$daemon" 4 -s "$work/ours_long.lua"
  long_ours+=("$(calc "$cpu_us / 1000" 2)")
  [ "$failures" = 0 ] || row "1 MiB prompts" - - - "$failures failures"
done
row "1 MiB prompt, cpu per request (target 2 ms)" "$(median "${long_ours[@]}") ms" \
  "$(median "${long_peer[@]}") ms" "$(ratio "$(median "${long_ours[@]}")" "$(median "${long_peer[@]}")")" \
  "medians of three; ours ${long_ours[*]}, nginx ${long_peer[*]} ms"

# --- streams ------------------------------------------------------------------------------------
# stream NAME PORT PATH STREAMS EVENTS INTERVAL_MS: sets first_p50 first_p99 event_p50 event_p99 lost.
stream() {
  echo "$* $key" >&"$to_probe"
  read -r -t 150 _ first_p50 first_p99 event_p50 event_p99 lost <&"$from_probe"
}
# hold PORT STREAMS INTERVAL_MS COMMAND: runs the command while so many streams are open at once.
hold() {
  local word
  echo "hold ours $1 $chat $2 5 $3 $key" >&"$to_probe"
  read -r -t 120 word <&"$from_probe"
  [ "$word" = open ] || row "streams at once" - - - "they do not open"
  "$4"
  echo go >&"$to_probe"
  read -r -t 150 _ first_p50 first_p99 event_p50 event_p99 lost <&"$from_probe"
}
note_resident() { resident=$(memory_kb "$daemon" VmRSS); }
ask_at "$streams_port"
stream warm "$port" $chat 20 3 20
stream direct "$streams_port" $chat 20 40 25
direct_first=$first_p50 direct_event=$event_p99
# The greatest delays move from run to run, with whatever else the machine does.
ours_first=() nginx_first=() ours_event=() nginx_event=()
for round in 1 2 3 4 5 6 7 8 9; do
  stream nginx "$proxy" "/sse$chat" 20 40 25
  nginx_first+=("$first_p50") nginx_event+=("$event_p99")
  stream ours "$port" $chat 20 40 25
  ours_first+=("$first_p50") ours_event+=("$event_p99")
  [ "$lost" = 0 ] || row "streams" - - - "$lost of 20 streams FAILED"
done
row "sse, first event median (target 1000 us)" "$(median "${ours_first[@]}") us" \
  "$(median "${nginx_first[@]}") us" "$(ratio "$(median "${ours_first[@]}")" "$(median "${nginx_first[@]}")")" \
  "medians of nine, from the provider's send; 20 streams begin at once; direct $direct_first us"
row "sse, event p99 (target 1.5 of nginx)" "$(median "${ours_event[@]}") us" \
  "$(median "${nginx_event[@]}") us" "$(ratio "$(median "${ours_event[@]}")" "$(median "${nginx_event[@]}")")" \
  "medians of nine; ours ${ours_event[*]}, nginx ${nginx_event[*]}; 20 streams, 800 events/s; direct $direct_event us"

# 100 streams of 200 events, 5,000 a second, with all that is done behind them.
# event_cpu PROCESS PORT PATH: sets cpu_us, of an event.
event_cpu() {
  local before
  before=$(ticks "$1")
  stream cpu "$2" "$3" 100 200 20
  settle
  cpu_us=$(calc "($(ticks "$1") - $before) * 10000 / (100 * 200)")
  [ "$lost" = 0 ] || row "streams" - - - "$lost of 100 streams FAILED"
}
ours_cpu=() nginx_cpu=()
for round in 1 2 3; do
  event_cpu "$proxy_process" "$proxy" "/sse$chat"
  nginx_cpu+=("$cpu_us")
  event_cpu "$daemon" "$port" $chat
  ours_cpu+=("$cpu_us")
done
row "sse, cpu per event" "$(median "${ours_cpu[@]}") us" "$(median "${nginx_cpu[@]}") us" \
  "$(ratio "$(median "${ours_cpu[@]}")" "$(median "${nginx_cpu[@]}")")" \
  "medians of three; ours ${ours_cpu[*]}, nginx ${nginx_cpu[*]} us"

hold "$port" 1000 250 note_resident
row "1,000 streams at once, resident (target 512)" "$((resident / 1024)) MiB" - "" \
  "$lost lost; delay p50 $event_p50 us, p99 $event_p99 us at 4,000 events/s"
ask_at "$provider"

# A stream needs two descriptors, here and in the probe. This daemon's limits are only set so high
# that the machine's are reached first. Some descriptors are the stores' and idle connections'.
many=$((($(ulimit -n) - 1024 - 1024) / 2 - 100))
many_streams() {
  local empty
  local -A first=([work]=$work [daemon]=$daemon [url]=$url [port]=$port [key]=$key [admin_key]=$admin_key [api_key]=$api_key)
  work=$work/many
  mkdir "$work"
  start_daemon "KVCS_HTTP_STREAMS_MAX=$((many + 100))" "KVCS_HTTP_WORKERS_MAX=$((many + 200))" \
    "KVCS_UPSTREAM_CONNECTIONS_PER_HOST_MAX=$((many + 100))" KVCS_HTTP_STREAMS_KEY_PERCENT=100 \
    KVCS_HTTP_STREAMS_ORGANIZATION_PERCENT=100 KVCS_HTTP_CONNECTIONS_ADDRESS_PERCENT=100
  ask_at "$streams_port"
  make_key
  hold "$port" 100 250 note_resident
  empty=$resident
  hold "$port" $many 5000 note_resident
  row "$many streams at once (target 100 KiB each)" "$(calc "($resident - $empty) / ($many - 100)") KiB" - "" \
    "$((resident / 1024)) MiB resident; $lost lost; delay p50 $event_p50 us at $((many / 5)) events/s"
  stop "$daemon"
  work=${first[work]} daemon=${first[daemon]} url=${first[url]} port=${first[port]} key=${first[key]}
  admin_key=${first[admin_key]} api_key=${first[api_key]}
}
many_streams

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
