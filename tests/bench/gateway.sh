#!/bin/bash
# A call through the tool gateway beside nginx that relays the same request to the same upstream
# with a fixed Authorization header: gateway.sh BUILD_DIR. Then the stages before the upstream over
# 100,000 tenants, each with an account of its own, brought in by the bulk import.
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
# A tenant after the other in an order that looks random.
cat > "$work/all.lua" << L
local i, threads = 0, 0
function setup(thread) threads = threads + 1; thread:set("first", threads * 40503) end
function init() i = first end
function request()
  i = (i + 61681) % $tenants
  return wrk.format("POST", "/api/v1/t" .. i .. "/crm",
    { ["Content-Type"] = "application/json",
      ["Authorization"] = string.format("Bearer bench-bearer-of-tenant-%08d", i) }, [==[$body]==])
end
L

row "tool gateway (peer: nginx as proxy)" ours nginx ratio ""
call=$url/api/v1/t0/crm
seconds=1 load "$call" "$daemon" 32 -s "$work/one.lua"
for connections in 32 256; do
  load "http://127.0.0.1:$proxy/" "$proxy_process" "$connections" -s "$work/one.lua"
  peer_rate=$rate peer_p50=$p50_us peer_p99=$p99_us peer_cpu=$cpu_us
  load "$call" "$daemon" "$connections" -s "$work/one.lua"
  note="p50 $(calc "$p50_us" 0) vs $(calc "$peer_p50" 0) us, p99 $(calc "$p99_us" 0) vs $(calc "$peer_p99" 0) us, cpu us $cpu_us vs $peer_cpu"
  [ "$failures" = 0 ] || note="$note, $failures FAILURES"
  row "call, $connections connections (target 0.40)" "$(per_second "$rate")" "$(per_second "$peer_rate")" \
    "$(ratio "$rate" "$peer_rate")" "$note"
  [ "$connections" != 32 ] || row "cpu per call (target 40 us)" "$cpu_us us" "$peer_cpu us" "$(ratio "$cpu_us" "$peer_cpu")" ""
done

# quantile BEFORE AFTER STAGE Q: the upper bound in us of the bucket that holds it, of what came
# between the two readings of /metrics.
quantile() {
  awk -v stage="stage=\"$3\"" -v q="$4" '
    index($1, "kvcs_gateway_stage_seconds_bucket") != 1 || index($1, stage) == 0 { next }
    { split($1, parts, "le=\""); split(parts[2], bound, "\""); name = bound[1] }
    FNR == NR { before[name] = $2; next }
    { count[++n] = $2 - before[name]; le[n] = name }
    END {
      for (i = 1; i <= n; i++) if (count[i] >= q * count[n]) { printf "%.0f", le[i] * 1e6; exit }
    }' "$1" "$2"
}
curl -s "$url/metrics" > "$work/before"
seconds=$((seconds * 2)) load "$url" "$daemon" 2 -s "$work/all.lua"
curl -s "$url/metrics" > "$work/after"
note="$requests calls, $(calc "$cpu_us") us cpu each, imported in $import_s s"
[ "$failures" = 0 ] || note="$note, $failures FAILURES"
sum=0 parts=
for stage in auth token route; do
  us=$(quantile "$work/before" "$work/after" "$stage" 0.99)
  sum=$((sum + us))
  parts="$parts$stage $us, "
done
row "stages before the upstream, p99 (target 100 us)" "$sum us" - "" \
  "over $tenants tenants: ${parts}upper bounds of buckets; $note"
