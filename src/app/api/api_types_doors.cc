// Types of artifacts and the tool gateway, one member per line; the form is in api_shapes.h.
#include "app/api/api_shapes.h"

namespace kvcs {
namespace {

constexpr ApiType kTypes[] = {
    {"PortalError", R"(
error!: string # What is wrong, and the way out.
...)"},
    {"GatewayError", R"(
error!: string # What is wrong, and the way out.
code!: string # A word for programs, such as TOKEN_EXPIRED.
status!: integer
request_id!: string
details: object
retry_after: integer # Seconds.)"},
    {"UploadAsk", R"(
name: string(1..255) = "demo" # A name is required: here, as model_name or in metadata.
model_name: string(1..255)
dtype!: string(1..32) = "F16"
num_tokens: integer(0..9223372036854775807)
visibility: public|private # Default: private.
size_bytes: integer(0..9223372036854775807)
sha256: string(0..64) # Hex digest of the bytes; checksum is another name for it.
checksum: string(0..64)
metadata: object # What else is known: name, sha256, model, tokenizer, … kept as given.
...)"},
    {"UploadPlace", R"(
artifact_id!: id
url!: string # Good for the PUT of the bytes alone.
method!: string
expires_at!: time)"},
    {"ConfirmAsk", R"(
size_bytes: integer(0..9223372036854775807) # These must agree with what was sent.
sha256: string(0..64)
digest: string(0..64)
checksum: string(0..64)
...)"},
    {"Confirmed", R"(
artifact_id!: id
sha256!: string)"},
    {"VisibilityAsk", R"(
visibility!: public|private = "public"
...)"},
    {"DownloadPlace", R"(
artifact_id!: id
download_url!: string)"},
    {"Artifact", R"(
id: id # Absent for callers that ask for ?shape=single.
artifact_id!: id
name!: string
model: string # model_name, of ?shape=single.
model_name: string
dtype!: string
storage_dtype!: string?
num_tokens!: integer
num_layers!: integer
quantized!: boolean
visibility!: public|private
status!: ready|pending
size_bytes!: integer
sha256: string
checksum: string
owner_id!: string
project!: string
created_at!: time
public_url!: string?
download_url!: string?
metadata: object
common_prefix: integer # Of a search: how many tokens are alike.
without_bos: boolean
tokenizer: string)"},
    {"ArtifactPage", R"(
artifacts!: [Artifact]
total!: integer
limit!: integer
offset!: integer
continuation_token: string)"},
    {"SearchAsk", R"(
tokens: any = [1, 2, 3] # Token ids; this or text is required.
text: string(1..131072) # Hashed as bytes, for files that were made of text.
model: string(0..255)
tokenizer: string(0..255)
limit: integer(1..100))"},
    {"SearchHits", R"(
hits!: [Artifact]
of!: text|tokens
query_length!: integer)"},
    {"VerifiedKey", R"(
customer_id!: string
project_id!: id
organization_id!: id
permissions!: [string])"},
    {"Quota", R"(
customer_id!: string
quota!: Amounts # At most; -1 for no limit.
used!: Amounts)"},
    {"Amounts", R"(
organizations!: integer
projects!: integer
artifacts!: integer
storage_bytes!: integer)"},
    {"TelemetryAsk", R"(
command!: string(1..64)
version!: string(1..32)
duration_ms!: integer(0..9223372036854775807)
success!: boolean
error_kind: string
...)"},
    {"TokenPage", R"(
tokens!: [TenantToken]
cursor!: string?)"},
    {"TenantToken", R"(
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
token_id: id)"},
    {"CallAsk", R"(
path: string # The API's path; or an action of the provider, with what it takes.
method: GET|HEAD|POST|PUT|PATCH|DELETE
query: object
headers: object
body: any
action: string
account_id: string
format: compact|full
fields: any
cache: any
timeout_ms: integer(1..30000)
dry_run: boolean
idempotency_key: string
domain: string
...)"},
    {"CallAnswer", R"(
...)"},
    {"GatewayProviderAsk", R"(
display_name: any
base_url: any
auth_type: any
auth: any # By auth_type; secrets in it are write-only.
endpoints: any
default_headers: any
timeout_ms: any
allowed_methods: any
allowed_path_prefixes: any
allow_private_addresses: any
cache: any
canary: any
rate_limit: any
actions: any
...)"},
    {"GatewayProvider", R"(
provider!: string
display_name!: string
base_url!: string
version!: string
auth_type!: string
auth!: object
endpoints!: any
default_headers!: map
timeout_ms!: integer
allowed_methods!: [string]
allowed_path_prefixes!: [string]
allow_private_addresses!: boolean
cache: object
canary: object
rate_limit: object
actions!: object
catalogue!: boolean
stored!: boolean)"},
    {"GatewayProviderList", R"(
providers!: [GatewayProvider])"},
    {"TenantAsk", R"(
tenant_id: string(1..64)
name: string(0..200)
status: active|suspended
providers: array
billing: object
limits: object # requests_per_minute.
...)"},
    {"Tenant", R"(
tenant_id!: string
name: string
status!: active|suspended
providers: any
billing: object
limits: object
...)"},
    {"TenantPage", R"(
tenants!: [Tenant]
cursor!: string?)"},
    {"NewToken", R"(
name: string(1..100)
expires_at: time?
token: string(16..512) # A bearer in use already, to be imported.)"},
    {"TokenCreated", R"(
token_id!: id
token: string # Shown this once.
...)"},
    {"ModeAsk", R"(
mode!: active|frozen = "active")"},
    {"Mode", R"(
mode!: active|frozen)"},
    {"Purged", R"(
purged!: integer)"},
    {"AccountAsk", R"(
access_token: string = "t" # Which of these is required depends on the provider's auth_type.
api_key: string
username: string
password: string
access_key_id: string
secret_access_key: string
session_token: string
region: string(1..64)
service: string(1..64)
expires_at: any # ISO 8601 or Unix seconds.
scope: string
meta: object # Texts, for the provider's URLs.
refresh_token: string
client_id: string(1..512)
client_secret: string
service_account: any)"},
    {"Account", R"(
tenant!: string
provider!: string
account_id!: string
type!: string
state!: string
expires_at!: time?
created_at!: time?
updated_at!: time?
failures!: integer
next_attempt_at!: time?
last_error!: string
scope!: string
meta!: map
version!: integer
sealed!: boolean
last_used_at!: time?)"},
    {"AccountList", R"(
accounts!: [Account]
truncated!: boolean)"},
    {"AccountRemoved", R"(
account_id!: string
removed!: boolean
revoked!: boolean)"},
    {"ConnectAsk", R"(
account_id: string(1..64) # Default: default.
meta: object)"},
    {"ConnectLink", R"(
url!: string # Good once, for some minutes.
expires_at!: time)"},
    {"Briefing", R"(
...)"},
};

}  // namespace

std::span<const ApiType> api_types_of_doors() {
  return kTypes;
}

}  // namespace kvcs
