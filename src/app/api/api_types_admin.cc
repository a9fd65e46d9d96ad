// Types of the admin API but for the doors, one member per line; the form is in api_shapes.h.
#include "app/api/api_shapes.h"

namespace kvcs {
namespace {

constexpr ApiType kTypes[] = {
    {"AdminError", R"(
error!: string # What is wrong, and the way out.
code!: string # A word for programs, such as user_not_found.
details: object)"},
    {"Health", R"(
status!: healthy|degraded|unhealthy
services!: map # Each service: up, degraded or down.
tokens!: TokenCounts
providers!: any
version!: string
uptime_s!: integer
mode!: active|frozen
checked_at!: time)"},
    {"TokenCounts", R"(
total!: integer
expiring_soon!: integer
expired!: integer)"},
    {"Status", R"(
version!: string
commit!: string
status!: healthy|degraded|unhealthy
uptime_s!: integer
mode!: active|frozen)"},
    {"AdminHealth", R"(
status!: healthy|unhealthy
timestamp!: time
checks!: [HealthCheck]
warnings!: [string] # Why /health says degraded while all services are up.
error: string)"},
    {"HealthCheck", R"(
name!: string
health!: string
message!: string
latency_us!: integer)"},
    {"Caller", R"(
key_id!: string
role: owner|admin|viewer|billing # Of an admin key.
organization_id: id
organization: string
customer_id: string
project_id: id
permissions: [string])"},
    {"NewUser", R"(
email!: string(1..254) = "shape@example.com"
org_id!: string(1..64) = "{org_id}"
monthly_limit_usd: usd # Of a calendar month in UTC; 0 blocks. Default: 10.
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
allowed_models: [string] # At most 200 names of at most 200 bytes; empty allows all.)"},
    {"UserCreated", R"(
user_id!: id
email!: string
monthly_limit_usd!: number
status!: active|suspended
created_at!: time)"},
    {"UserChange", R"(
monthly_limit_usd: usd
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
allowed_models: [string] # At most 200 names of at most 200 bytes; empty allows all.)"},
    {"User", R"(
user_id!: id
email!: string
monthly_limit_usd!: number
current_usage_usd!: number
status!: active|suspended
created_at!: time
org_id!: id
requests_per_minute!: integer?
tokens_per_minute!: integer?
allowed_models!: [string]
updated_at!: time?)"},
    {"UserChanged", R"(
user_id!: id
email!: string
monthly_limit_usd!: number
current_usage_usd!: number
status!: active|suspended
created_at!: time
org_id!: id
requests_per_minute!: integer?
tokens_per_minute!: integer?
allowed_models!: [string]
updated_at!: time?
previous_limit!: number
new_limit!: number)"},
    {"UserPage", R"(
users!: [User]
cursor!: string?)"},
    {"NewUserKey", R"(
name!: string(1..100) = "laptop"
expires_at: time? # Null: never.
monthly_limit_usd: usd # Of this key alone; absent: as the user's.
requests_per_minute: limit
tokens_per_minute: limit
allowed_models: [string] # At most 200 names of at most 200 bytes; empty allows all.)"},
    {"UserKeyCreated", R"(
key_id!: id
api_key!: string # Shown this once.
name!: string
created_at!: time
overlap_s: integer # Of a rotation.)"},
    {"KeyExpiryAsk", R"(
expires_at: time? # Required; null: never.)"},
    {"RotateAsk", R"(
overlap_s: integer(0..2592000) # How long the old key works on. Default: 0.)"},
    {"Key", R"(
key_id!: id
name!: string
status!: active|revoked|expired
key_prefix!: string
project_id: id
user_id: id
role: owner|admin|viewer|billing
scopes: [string]
monthly_limit_usd: number?
requests_per_minute: integer?
tokens_per_minute: integer?
allowed_models: [string]
created_at!: time
expires_at!: time?
last_used_at!: time?
revoked_at: time)"},
    {"KeyCreated", R"(
key_id!: id
name!: string
status!: active|revoked|expired
key_prefix!: string
project_id: id
user_id: id
role: owner|admin|viewer|billing
scopes: [string]
monthly_limit_usd: number?
requests_per_minute: integer?
tokens_per_minute: integer?
allowed_models: [string]
created_at!: time
expires_at!: time?
last_used_at!: time?
revoked_at: time
api_key: string # The key, of whichever family; shown this once.
token: string
admin_key: string
overlap_s: integer)"},
    {"UserKeyPage", R"(
api_keys!: [Key]
cursor!: string?)"},
    {"KeyRevoked", R"(
key_id!: id
revoked_at!: time
status!: string)"},
    {"NewOrganization", R"(
name!: string(1..200) = "Shape"
slug: string(1..64) # Default: made of the name.
monthly_budget_usd: usd
failure_mode: fail_open|fail_closed|fail-open|fail-closed # While the budget store is away.
fallback_daily_limit: usd # Of a UTC day, with fail_open.
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
max_output_tokens: limit # Asked of the provider for requests that name none.
allowed_models: [string]
log_bodies: boolean # Keeps prompts and answers, redacted and for a while.
unknown_input_cost_per_token: price # For models without a price; both or none.
unknown_output_cost_per_token: price)"},
    {"OrganizationChange", R"(
name: string(1..200)
monthly_budget_usd: usd
failure_mode: fail_open|fail_closed|fail-open|fail-closed # While the budget store is away.
fallback_daily_limit: usd # Of a UTC day, with fail_open.
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
max_output_tokens: limit # Asked of the provider for requests that name none.
allowed_models: [string]
log_bodies: boolean # Keeps prompts and answers, redacted and for a while.
unknown_input_cost_per_token: price? # For models without a price; both or none; null refuses them.
unknown_output_cost_per_token: price?)"},
    {"Organization", R"(
org_id!: id
slug!: string
name!: string
status!: active|suspended
monthly_budget_usd!: number
failure_mode!: fail_open|fail_closed
fallback_daily_limit!: number
requests_per_minute!: integer?
tokens_per_minute!: integer?
allowed_models!: [string]
max_output_tokens!: integer?
log_bodies!: boolean
version!: integer
created_at!: time
updated_at!: time?
unknown_input_cost_per_token: number
unknown_output_cost_per_token: number)"},
    {"OrganizationPage", R"(
organizations!: [Organization]
cursor!: string?)"},
    {"NewProject", R"(
name!: string(1..200) = "Shape"
slug: string(1..64))"},
    {"Project", R"(
project_id!: id
org_id!: id
slug!: string
name!: string
created_at!: time)"},
    {"ProjectList", R"(
projects!: [Project])"},
    {"NewProjectKey", R"(
name!: string(1..100) = "ci"
expires_at: time?)"},
    {"NewTenantToken", R"(
name!: string(1..100) = "agent"
expires_at: time?
token: string(16..512) # A bearer in use already, to be imported.)"},
    {"ProjectKeyPage", R"(
api_keys!: [Key]
cursor!: string?)"},
    {"NewAdminKey", R"(
name!: string(1..100) = "ops"
role!: owner|admin|viewer|billing = "viewer"
expires_at: time?)"},
    {"AdminKeyPage", R"(
admin_keys!: [Key]
cursor!: string?)"},
    {"KvKeys", R"(
keys!: [KvKey]
list_complete!: boolean
cursor!: string?)"},
    {"KvKey", R"(
name!: string
family: string
size_bytes!: integer
expiration: integer
metadata: any)"},
    {"KvValue", R"(
key!: string
size_bytes!: integer
value!: string
hidden: boolean
base64: boolean
expiration: integer
metadata: any)"},
    {"KvImported", R"(
imported!: integer
expired!: integer)"},
    {"ErrorPage", R"(
errors!: [ErrorRow]
cursor!: string?)"},
    {"ErrorRow", R"(
id!: string
ts!: time
request_id!: string
tenant!: string
provider!: string
account_id!: string
action!: string
method!: string
path!: string
status!: integer
code!: string
message!: string
upstream_status!: integer?
latency_ms!: integer
ip_hash!: string)"},
    {"AuditPage", R"(
audit!: [AuditRow]
cursor!: string?)"},
    {"AuditRow", R"(
id!: string
ts!: time
family!: string
key!: string
action!: string
old_hash!: string
new_hash!: string
source!: string
actor!: string
request_id!: string
prev_chain_hash!: string
chain_hash!: string)"},
    {"AuditChain", R"(
ok!: boolean
rows!: integer
pruned!: integer
head!: string)"},
    {"DecisionPage", R"(
decisions!: [Decision]
cursor!: string?)"},
    {"Decision", R"(
id!: string
ts!: time
kind!: string
severity!: string
subject!: string
suggestion!: string
evidence!: any
status!: proposed|accepted|rejected|applied
decided_by!: string?
decided_at!: time?)"},
    {"DecideAsk", R"(
status!: accepted|rejected|applied = "accepted")"},
    {"JobRunPage", R"(
job_runs!: [JobRun]
cursor!: string?)"},
    {"JobRun", R"(
ts!: time
job!: string
duration_ms!: integer
result!: string
detail!: string)"},
    {"AlertPage", R"(
alerts!: [Alert]
cursor!: string?)"},
    {"Alert", R"(
id!: string
ts!: time
event!: string
subject!: string
channel!: string
status!: pending|delivered|failed|suppressed
attempts!: integer
next_attempt_at!: time?
error!: string
payload!: any)"},
    {"DeadPage", R"(
outbox_dead!: [DeadRecord]
cursor!: string?)"},
    {"DeadRecord", R"(
outbox_key!: string
ts!: time
kind!: string
reason!: string
payload!: string)"},
    {"JobList", R"(
jobs!: [Job])"},
    {"Job", R"(
job!: string
schedule!: string
running!: boolean
last_started_at!: time?
last_duration_ms!: integer
last_result!: string
next_at!: time?
runs!: integer
failures!: integer
skipped!: integer)"},
    {"JobStarted", R"(
job!: string
started!: boolean)"},
};

}  // namespace

std::span<const ApiType> api_types_of_admin() {
  return kTypes;
}

}  // namespace kvcs
