// What a provider is sent: the headers of a client that matter there, the credential, the body with
// its edits, and how long the exchange may take.
#include <algorithm>
#include <array>

#include "ai/chat_call.h"
#include "http/header_list.h"

namespace kvcs::ai {
namespace {

// Client headers that change what a provider does, or that tie its logs to the client's; everything
// else stays here. An idempotency key too: the callers of one provider account must not meet each
// other's answers there. Nor do the names of accounts pass (openai-organization): the account is
// the operator's.
constexpr std::array<std::string_view, 14> kForwardedHeaders = {
    "anthropic-version",   "anthropic-beta",
    "openai-beta",         "accept",
    "traceparent",         "tracestate",
    "session-id",          "session_id",
    "http-referer",        "x-title",
    "x-client-request-id", "conversation_id",
    "thread-id",           "x-claude-code-session-id"};

// After the client has left, a provider is read on for its figures as long and as far as this.
void read_on_without_client(const ProxyConfig& config, http::UpstreamRequest& out) {
  out.stop_if_client_leaves = true;
  out.after_client_left_ms = config.read_on_ms;
  out.after_client_left_bytes = config.read_on_max_bytes;
}

}  // namespace

void add_credential(const Secret& credential, const Provider& provider, bool native_anthropic,
                    http::UpstreamRequest& out) {
  if (credential.empty()) return;
  if (!provider.auth_header.empty() && provider.auth_header != "authorization") {
    out.headers.emplace_back(provider.auth_header, credential.reveal());
  } else if (native_anthropic) {
    out.headers.emplace_back("x-api-key", credential.reveal());
  } else {
    out.headers.emplace_back("authorization", "Bearer " + credential.reveal());
  }
}

http::UpstreamRequest build_upstream_request(const http::Request& request, const ChatRequest& chat,
                                             const ChatProxy::Call::Target& target,
                                             std::string_view path, const BodyEdits& edits,
                                             const ProxyConfig& config) {
  const Provider& provider = *target.model.provider;
  const bool native_anthropic = provider.kind == ProviderKind::kAnthropic &&
                                target.dialect->errors() == http::Dialect::kAnthropic;
  http::UpstreamRequest out;
  out.method = "POST";
  out.url = provider.url(path);
  if (request.query_value("beta") == "true") out.url += "?beta=true";  // Anthropic's SDKs.
  out.body = target.dialect->upstream_body(chat, edits);
  out.deadline_ms = provider.timeout_ms;
  // An answer that is not streamed may be silent until it is made.
  out.idle_timeout_ms = chat.stream ? std::min(config.idle_timeout_ms, provider.timeout_ms) : 0;
  // A caller that sends an idempotency key may ask for the answer again, so the answer is fetched
  // to its end even when that caller has left.
  const bool wanted_later = !chat.stream && request.header("idempotency-key").has_value();
  if (!wanted_later) read_on_without_client(config, out);
  if (provider.cancel_stops_billing) out.after_client_left_ms = 0;
  out.allow_private_addresses = true;  // The operator named this host, not the caller.
  out.headers.reserve(kForwardedHeaders.size() + 5 + provider.headers.size());
  out.headers.emplace_back("content-type", "application/json");
  // Without it any coding would be acceptable (RFC 9110 §12.5.3).
  out.headers.emplace_back("accept-encoding", "identity");
  for (const std::string_view name : kForwardedHeaders) {
    auto value = http::header_list(request, name);
    if (value) out.headers.emplace_back(name, std::move(*value));
  }
  if (native_anthropic && !request.header("anthropic-version")) {
    out.headers.emplace_back("anthropic-version", "2023-06-01");
  }
  add_credential(target.credential, provider, native_anthropic, out);
  for (const auto& [name, value] : provider.headers) {
    std::erase_if(out.headers, [&name = name](const auto& header) { return header.first == name; });
    out.headers.emplace_back(name, value);
  }
  return out;
}

std::string_view refused_edit(std::string_view error_body, const BodyEdits& edits) {
  const auto names = [&](std::string_view member) {
    return error_body.find(member) != error_body.npos;
  };
  if (edits.ask_for_usage && (names("stream_options") || names("include_usage"))) {
    return "stream_options";
  }
  if (edits.output_tokens_max >= 0 && !edits.output_member.empty() && names(edits.output_member)) {
    return edits.output_member;
  }
  return "";
}

Result<bool> BegunAnswer::look_further() {
  std::array<char, 4096> buffer;
  const size_t count = at_end_ ? 0 : KVCS_TRY(upstream_->read(buffer));
  at_end_ = count == 0;
  begun_.append(buffer.data(), count);
  return count > 0;
}

Result<size_t> BegunAnswer::read(std::span<char> out) {
  if (given_ < begun_.size()) {
    const size_t count = std::min(out.size(), begun_.size() - given_);
    std::copy_n(begun_.data() + given_, count, out.data());
    given_ += count;
    if (given_ == begun_.size()) {
      begun_ = std::string();
      given_ = 0;
    }
    return count;
  }
  return at_end_ ? Result<size_t>(size_t{0}) : upstream_->read(out);
}

Result<std::string> BegunAnswer::read_all(uint64_t max_bytes) {
  if (begun_.empty() && !at_end_) return upstream_->read_all(max_bytes);
  std::string whole = begun_.substr(given_);
  if (!at_end_) whole += KVCS_TRY(upstream_->read_all(max_bytes));
  if (whole.size() > max_bytes) return Status(Code::kTooLarge, "The answer is too large.");
  begun_.clear();
  at_end_ = true;
  given_ = 0;
  return whole;
}

}  // namespace kvcs::ai
