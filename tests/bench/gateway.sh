#!/bin/bash
# A call through the tool gateway beside nginx that relays the same request to the same upstream
# with a fixed Authorization header: gateway.sh BUILD_DIR. Then the stages before the upstream over
# 100,000 tenants, each with an account of its own, brought in by the bulk import: of tenants that
# call for the first time, as fast as the machine can, at half of that, and one call after another.
. "$(dirname "$0")/common.bash"
need wrk nginx curl python3
tenants=${BENCH_TENANTS:-100000}

answer='{"results":[{"id":"51","properties":{"email":"ada@example.com","firstname":"Ada","lastname":"Lovelace","createdate":"2026-02-12T10:31:11.207Z","lastmodifieddate":"2026-02-12T10:31:12.921Z"},"createdAt":"2026-02-12T10:31:11.207Z","archived":false},{"id":"101","properties":{"email":"mary@example.com","firstname":"Mary","lastname":"Somerville","createdate":"2026-02-13T08:02:44.001Z","lastmodifieddate":"2026-02-13T08:02:45.800Z"},"createdAt":"2026-02-13T08:02:44.001Z","archived":false}],"paging":{"next":{"after":"102"}}}'
start_nginx upstream "location / { default_type application/json; return 200 '$answer'; }"
upstream=$nginx_port
nginx_http="upstream api { server 127.0.0.1:$upstream; keepalive 512; keepalive_requests 100000000; }"
start_nginx proxy "location / { proxy_pass http://api/crm/v3/objects/contacts; proxy_http_version 1.1;
  proxy_set_header Connection ''; proxy_set_header Authorization 'Bearer pat-bench'; }"
proxy=$nginx_port proxy_process=$nginx

# The limits are counted as always, but may not be what is measured.
start_daemon KVCS_GATEWAY_IP_REQUESTS_PER_MINUTE=10000000 KVCS_GATEWAY_TOKEN_REQUESTS_PER_MINUTE=10000000 \
  KVCS_GATEWAY_TENANT_REQUESTS_PER_MINUTE=10000000

# A key space of the cloud gateway, in its bulk form, 50,000 tenants a file.
python3 - "$work" "$tenants" "$upstream" << 'P'
import hashlib, json, sys
work, count, upstream = sys.argv[1], int(sys.argv[2]), sys.argv[3]
provider = {"base_url": f"http://127.0.0.1:{upstream}", "auth_type": "bearer", "version": "v3",
            "allow_private_addresses": True}
entries = [{"key": "api_config:crm", "value": json.dumps(provider)}]
part = 0
for i in range(count):
    bearer = f"bench-bearer-of-tenant-{i:08d}"
    tenant = f"t{i}"
    digest = hashlib.sha256(bearer.encode()).hexdigest()
    entries += [
        {"key": f"tenant_auth:{digest}", "value": json.dumps({"tenant_id": tenant, "status": "active"})},
        {"key": f"tenant_config:{tenant}", "value": json.dumps({"tenant_id": tenant, "name": "Bench"})},
        {"key": f"tokens:{tenant}:crm:default", "value": json.dumps({"access_token": f"pat-{i}"})}]
    if len(entries) >= 150_000 or i == count - 1:
        json.dump(entries, open(f"{work}/bulk{part}.json", "w"))
        entries, part = [], part + 1
P
begun=$(date +%s%N)
for file in "$work"/bulk*.json; do admin PUT /admin/kv/bulk "@$file" > /dev/null; done
import_s=$(calc "($(date +%s%N) - $begun) / 1e9")
settle # Each record of the import is audited.

body='{"method":"POST","path":"/crm/v3/objects/contacts/search","body":{"limit":2,"properties":["email","firstname","lastname"]},"account_id":"default"}'
cat > "$work/one.lua" << L
wrk.method = "POST"; wrk.body = [==[$body]==]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer bench-bearer-of-tenant-00000000"
L
# A tenant after the other in an order that looks random. With a mean of THINK_MS a connection waits
# before each call, for as long as chance will have it, so that calls arrive independently.
cat > "$work/all.lua" << L
local i, threads = 0, 0
function setup(thread)
  threads = threads + 1
  thread:set("first", threads * 40503)
  thread:set("think_ms", tonumber(os.getenv("THINK_MS") or "0"))
end
function init()
  i = first
  math.randomseed(first)
  if think_ms > 0 then
    delay = function() return math.floor(0.5 - think_ms * math.log(1 - 0.9999 * math.random())) end
  end
end
function request()
  i = (i + 61681) % $tenants
  return wrk.format("POST", "/api/v1/t" .. i .. "/crm",
    { ["Content-Type"] = "application/json",
      ["Authorization"] = string.format("Bearer bench-bearer-of-tenant-%08d", i) }, [==[$body]==])
end
L

row "tool gateway (peer: nginx as proxy)" ours nginx ratio ""
ours() { load "$url/api/v1/t0/crm" "$daemon" "$1" -s "$work/one.lua"; }
peer() { load "http://127.0.0.1:$proxy/" "$proxy_process" "$1" -s "$work/one.lua"; }
seconds=1 ours 32
for connections in 32 256; do
  peer "$connections"
  peer_rate=$rate peer_p50=$p50_us peer_p99=$p99_us peer_cpu=$cpu_us
  ours "$connections"
  note="p50 $(calc "$p50_us" 0) vs $(calc "$peer_p50" 0) us, p99 $(calc "$p99_us" 0) vs $(calc "$peer_p99" 0) us, cpu us $cpu_us vs $peer_cpu"
  [ "$failures" = 0 ] || note="$note, $failures FAILURES"
  row "call, $connections connections (target 0.40)" "$(per_second "$rate")" "$(per_second "$peer_rate")" \
    "$(ratio "$rate" "$peer_rate")" "$note"
done
cpu_row "cpu per call (target 40 us)"

# quantile SERIES Q: the upper bound in us of the bucket that holds it, of what came between the two
# readings of /metrics; buckets go in steps of 1, 2, 5.
quantile() {
  awk -v series="$1" -v q="$2" '
    index($1, series) != 1 { next }
    { split($1, parts, "le=\""); split(parts[2], bound, "\""); name = bound[1] }
    FNR == NR { before[name] = $2; next }
    { count[++n] = $2 - before[name]; le[n] = name }
    END {
      for (i = 1; i <= n; i++) if (count[i] >= q * count[n]) { printf "%.0f", le[i] * 1e6; exit }
    }' "$work/before" "$work/after"
}
gained() { awk -v name="$1" '$1 == name { n = $2 - n } END { print n + 0 }' "$work/before" "$work/after"; }
# stages NAME CONNECTIONS THINK_MS: a row with what the gateway did itself of each call, measured in
# it: from the head of the request to the request to the upstream.
stages() {
  local note stage
  curl -s "$url/metrics" > "$work/before"
  THINK_MS=$3 load "$url" "$daemon" "$2" -s "$work/all.lua"
  curl -s "$url/metrics" > "$work/after"
  note="at $(per_second "$rate"), p50 $(quantile kvcs_gateway_overhead_seconds_bucket 0.5)"
  for stage in auth token route; do
    note="$note, $stage p99 $(quantile "kvcs_gateway_stage_seconds_bucket{stage=\"$stage\"" 0.99)"
  done
  note="$note; $(calc "$(gained 'kvcs_store_seconds_count{store="kv",op="get"}') / $requests") reads of the store a call, $(calc "$cpu_us") us cpu"
  [ "$failures" = 0 ] || note="$note, $failures FAILURES"
  row "$1" "$(quantile kvcs_gateway_overhead_seconds_bucket 0.99) us" - "" "$note"
}
seconds=$((seconds * 2))
# The rate that saturates is not known yet; 32 connections that think for 20 ms make 1,600 calls/s.
stages "auth+token+route, p99, first calls" 32 20
stages "auth+token+route, p99, saturated" 32 0
# Half of that, of tenants that have called before. The load and the upstream are on the same cores,
# so this is also how long a request is put aside for them; one call at a time is what we take.
stages "auth+token+route, p99, half load" 32 "$(calc "32 * 2000 / $rate" 0)"
stages "auth+token+route, p99, one by one (target 100)" 1 0
row "" "" "" "" "over $tenants tenants, imported in $(calc "$import_s") s; bounds of buckets"
