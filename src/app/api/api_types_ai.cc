// Types of the AI gateway, one member per line; the form is in api_shapes.h.
#include "app/api/api_shapes.h"

namespace kvcs {
namespace {

constexpr ApiType kTypes[] = {
    {"OpenAiError", R"(
error!: OpenAiErrorBody)"},
    {"OpenAiErrorBody", R"(
message!: string
type!: string
code!: string?
param!: string?
request_id!: string
details: object # Of a budget's refusal: usage_usd, limit_usd, remaining_usd, current_month.)"},
    {"AnthropicError", R"(
type!: string
error!: AnthropicErrorBody
request_id!: string)"},
    {"AnthropicErrorBody", R"(
type!: string
message!: string
code: string # Our own word, where there is one.
details: object)"},
    {"ResetAsk", R"(
reset_reason!: string(1..500) = "promotion" # Kept in the audit.
scope: user|user_and_org # Default: user.)"},
    {"QuotaReset", R"(
user_id!: id
previous_usage!: number
new_usage!: number
reset_at!: time
reset_reason!: string
scope!: user|user_and_org)"},
    {"UserUsage", R"(
user_id!: id
current_usage_usd!: number
request_count!: integer # Admitted requests.
monthly_limit_usd!: number
current_month!: string
reserved_usd!: number # By requests under way.
error_count!: integer)"},
    {"OrganizationUsage", R"(
org_id!: id
current_usage_usd!: number
monthly_budget_usd!: number
current_month!: string
reserved_usd!: number
request_count!: integer
error_count!: integer)"},
    {"UserHistory", R"(
user_id!: id
months!: [MonthUsage]
adjustments!: [Adjustment] # Resets, the oldest first.)"},
    {"Adjustment", R"(
reset_at: time
previous_usage_usd!: number
scope!: user|user_and_org
reset_reason!: string
actor!: string)"},
    {"OrganizationHistory", R"(
org_id!: id
months!: [MonthUsage])"},
    {"MonthUsage", R"(
month!: string
usage_usd!: number
request_count!: integer
error_count!: integer)"},
    {"UsageReport", R"(
group_by!: day|model|user|key|provider|organization
usage!: [UsageSum])"},
    {"UsageSum", R"(
day: string # One of these six, as group_by says.
model: string
user: string
key: string
provider: string
organization: string
requests!: integer
failures!: integer
input_tokens!: integer
output_tokens!: integer
cost_usd!: number
mean_ms!: integer)"},
    {"UsagePage", R"(
requests!: [UsageRow]
cursor!: string?)"},
    {"UsageRow", R"(
request_id!: string
ts!: time
organization_id!: string
user_id!: string
key_id!: string
provider!: string
model!: string
input_tokens!: integer # Kinds of tokens do not overlap.
cache_read_tokens!: integer
cache_write_5m_tokens!: integer
cache_write_1h_tokens!: integer
input_audio_tokens!: integer
output_tokens!: integer
reasoning_tokens!: integer
output_audio_tokens!: integer
web_searches!: integer
cost_usd!: number
price_version!: string
first_byte_ms!: integer
total_ms!: integer
status!: integer
estimated!: boolean
grace!: boolean
recovered!: boolean
period!: string)"},
    {"BodyPage", R"(
bodies!: [BodyRow]
cursor!: string?)"},
    {"BodyRow", R"(
request_id!: string
ts!: time
org_id!: string
user_id!: string
key_id!: string
model!: string
status!: integer
request_bytes!: integer
response_bytes!: integer)"},
    {"Bodies", R"(
request_id!: string
ts!: time
org_id!: string
user_id!: string
key_id!: string
model!: string
status!: integer
request_bytes!: integer
response_bytes!: integer
request!: string # Cut and redacted.
response!: string)"},
    {"PriceAsk", R"(
input_cost_per_token!: price = 0.000001
output_cost_per_token!: price = 0.000002
cache_read_input_token_cost: price
cache_creation_input_token_cost: price
cache_creation_input_token_cost_above_1hr: price
output_cost_per_reasoning_token: price
input_cost_per_audio_token: price
output_cost_per_audio_token: price
input_cost_per_token_flex: price
output_cost_per_token_flex: price
cache_read_input_token_cost_flex: price
input_cost_per_token_priority: price
output_cost_per_token_priority: price
cache_read_input_token_cost_priority: price
web_search_cost_per_call: price # USD per call.
max_input_tokens: any # Whole numbers.
max_output_tokens: any
litellm_provider: any # Text, as in LiteLLM's table.
mode: any
source: any
...)"},
    {"Price", R"(
input_cost_per_token!: number
output_cost_per_token!: number
cache_read_input_token_cost: number
cache_creation_input_token_cost: number
cache_creation_input_token_cost_above_1hr: number
output_cost_per_reasoning_token: number
input_cost_per_audio_token: number
output_cost_per_audio_token: number
input_cost_per_token_flex: number
output_cost_per_token_flex: number
cache_read_input_token_cost_flex: number
input_cost_per_token_priority: number
output_cost_per_token_priority: number
cache_read_input_token_cost_priority: number
web_search_cost_per_call: number # USD per call.
max_input_tokens: any # Whole numbers.
max_output_tokens: any
litellm_provider: any # Text, as in LiteLLM's table.
mode: any
source: any
...
model!: string
org_id: id
price_version: string)"},
    {"PriceList", R"(
price_version!: string
overrides!: [Price]
prices!: [Price])"},
    {"AiProviderAsk", R"(
kind!: openai|anthropic|openai_compatible = "openai"
base_url: string(1..500) # Default: the vendor's.
auth_header: string(1..64) # Default: authorization, or the vendor's.
timeout_ms: integer(100..3600000) # Default: 600000.
api_key: string(1..4096) # Write-only; kept sealed. Needed again when base_url names another host.
headers: object # At most 32, sent with each request; no credentials.
models: array # At most 1000 names; empty: what the price table lists.
name: any # What GET shows may be sent back.
has_api_key: any)"},
    {"AiProvider", R"(
name!: string
kind!: openai|anthropic|openai_compatible
base_url!: string
auth_header!: string?
headers!: map
timeout_ms!: integer
models!: [string]
has_api_key!: boolean)"},
    {"AiProviderList", R"(
providers!: [AiProvider])"},
    {"CredentialAsk", R"(
api_key!: string(1..4096) = "sk-1")"},
    {"Credential", R"(
org_id!: id
provider!: string
has_api_key!: boolean)"},
    {"ChatAsk", R"(
model!: string(1..200) = "gpt-4o-mini" # provider/model, a known model or an alias.
messages: any # And all that OpenAI's API knows: what is not listed here is passed on as it is.
stream: boolean
stream_options: object
max_tokens: integer(0..10000000)
max_completion_tokens: integer(0..10000000)
n: integer(1..128)
...)"},
    {"ResponsesAsk", R"(
model!: string(1..200) = "gpt-4o-mini"
input: any
stream: boolean
max_output_tokens: integer(0..10000000)
...)"},
    {"EmbeddingsAsk", R"(
model!: string(1..200) = "text-embedding-3-small"
input: any
...)"},
    {"MessagesAsk", R"(
model!: string(1..200) = "claude-sonnet-4-5"
messages: any
stream: boolean
max_tokens: integer(0..10000000)
...)"},
    {"ProviderAnswer", R"(
...)"},
    {"ModelList", R"(
object!: string
data!: [Model] # Anthropic's form for requests with an anthropic-version header.)"},
    {"Model", R"(
id!: string
object!: string
created!: integer
owned_by!: string)"},
    {"OwnUsage", R"(
user_id!: id
org_id!: id
current_month!: string
user!: BudgetState
key!: BudgetState)"},
    {"BudgetState", R"(
usage_usd!: number
reserved_usd!: number
limit_usd!: number?
remaining_usd!: number?
request_count!: integer
error_count!: integer)"},
};

}  // namespace

std::span<const ApiType> api_types_of_ai() {
  return kTypes;
}

}  // namespace kvcs
