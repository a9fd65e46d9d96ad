// Making, listing and withdrawing share links, and what those get who follow one.
#include "artifacts/share_api.h"

#include <nlohmann/json.hpp>

#include "artifacts/artifact_json.h"
#include "artifacts/public_page.h"
#include "base/address_block.h"
#include "base/bytes.h"
#include "http/form.h"
#include "http/json_api.h"
#include "http/problem.h"
#include "identity/records.h"
#include "oauth/browser.h"

namespace kvcs {
namespace {

using artifact_json::artifact_id;
using http::Request;
using http::Response;

constexpr size_t kPasswordMaxBytes = 1000;
constexpr int64_t kDownloadsMax = 1'000'000'000;
constexpr int kGone = 410;

constexpr http::ApiType kTypes[] = {
    {"ShareAsk", R"(
expires_in_s: integer(60..31622400) # Default: 604800, a week.
downloads_max: integer(1..1000000000) # Default: no limit.
password: string(1..1000))"},
    {"ShareCreated", R"(
share_id!: id
url!: string # Shown this once.
expires_at!: time
downloads_max!: integer?
has_password!: boolean)"},
    {"Share", R"(
share_id!: id
made_by!: string # The person, or the key, whose right the link rests on.
state!: active|used_up|ended # Ended: who made it may not share the artifact any more.
created_at!: time
expires_at!: time
downloads!: integer
downloads_max!: integer?
has_password!: boolean)"},
    {"ShareList", R"(
shares!: [Share])"},
};

Json max_json(const Share& share) {
  return share.downloads_max ? Json(*share.downloads_max) : Json();
}

// Nothing without the header, or when it is another scheme's.
std::optional<Secret> basic_password(const Request& request) {
  const auto header = request.header("authorization");
  constexpr std::string_view kScheme = "basic ";
  if (!header || !equal_ignore_case(header->substr(0, kScheme.size()), kScheme)) return {};
  const auto text = from_base64(trim(header->substr(kScheme.size())));
  if (!text.ok()) return {};
  const size_t colon = text->find(':');
  if (colon == text->npos) return {};
  return Secret(text->substr(colon + 1));
}

bool is_person(const Request& request) {
  return public_page::wants_page(request) && !basic_password(request);
}

}  // namespace

std::span<const http::ApiType> ShareApi::types() {
  return kTypes;
}

void ShareApi::add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access) {
  using enum http::Method;
  using http::OwnerFrom;
  const http::Access read = with_owner(access.read, OwnerFrom::kObject),
                     write = with_owner(access.write, OwnerFrom::kObject),
                     link = with_owner(http::everyone(), OwnerFrom::kObject);
  const std::string all = "/api/v1/artifacts/{id}/shares";
  http::Rows rows(table, *this);
  rows.add(kPost, all, write, kSmallBodyMaxBytes, &ShareApi::create,
           "Make a link by which whoever has it gets this artifact.",
           {.id = "createShare",
            .body = "ShareAsk?",
            .status = 201,
            .answer = "ShareCreated",
            .also = "409"});
  rows.add(kGet, all, read, http::kNoBody, &ShareApi::list,
           "The links to this artifact whose time is not over; never the links themselves.",
           {.id = "listShares", .answer = "ShareList"});
  rows.add(kDelete, all + "/{share_id}", write, http::kNoBody, &ShareApi::remove,
           "Withdraw a link.", {.id = "deleteShare", .status = 204});
  rows.add(kGet, "/share/{token}", link, http::kNoBody, &ShareApi::open,
           "What a link shares: the bytes, or for a browser a page with a button.",
           {.id = "openShare",
            .query = "tokens layers",
            .answer = "application/octet-stream text/html",
            .also = "401 410",
            .in_parts = true});
  rows.add(kPost, "/share/{token}", link, kSmallBodyMaxBytes, &ShareApi::submit,
           "The button of that page, with the password if there is one.",
           {.id = "submitShare",
            .body = "application/x-www-form-urlencoded?",
            .answer = "application/octet-stream text/html",
            .also = "401 410"});
}

Result<Response> ShareApi::create(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  NewShare wanted;
  wanted.expires_in_s = reader.optional_integer("expires_in_s", 60, kShareLifetimeMaxS)
                            .value_or(kShareLifetimeStandardS);
  wanted.downloads_max = reader.optional_integer("downloads_max", 1, kDownloadsMax);
  const auto password = reader.optional_string("password", {.max_bytes = kPasswordMaxBytes});
  KVCS_TRY(reader.finish());
  if (password) {
    // A hash takes a tenth of a second of threads that people sign in by.
    KVCS_TRY(check_tries("share-password:" + request.principal.key_id,
                         "Too many links with passwords in this minute."));
    wanted.password_hash =
        KVCS_TRY(s_.hash_password(Secret(*password), address_block(request.remote_ip)));
  }
  const CreatedShare made =
      KVCS_TRY(s_.shares.create(request.principal, id, wanted, request.request_id));
  return http::private_reply(201, Json{{"share_id", made.share.id},
                                       {"url", url_of(made.token.reveal())},
                                       {"expires_at", time_json(made.share.expires_ms)},
                                       {"downloads_max", max_json(made.share)},
                                       {"has_password", !made.share.password_hash.empty()}});
}

Result<Response> ShareApi::list(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  Json shares = Json::array();
  for (const auto& [share, state] : KVCS_TRY(s_.shares.list(request.principal, id))) {
    shares.push_back({{"share_id", share.id},
                      {"made_by", share.maker_id},
                      {"state", share_state_name(state)},
                      {"created_at", time_json(share.created_ms)},
                      {"expires_at", time_json(share.expires_ms)},
                      {"downloads", share.downloads},
                      {"downloads_max", max_json(share)},
                      {"has_password", !share.password_hash.empty()}});
  }
  return http::private_reply(200, Json{{"shares", std::move(shares)}});
}

Result<Response> ShareApi::remove(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  KVCS_TRY(s_.shares.remove(request.principal, id, request.param("share_id"), request.request_id));
  return http::empty_response(204);
}

std::string ShareApi::url_of(std::string_view token) const {
  return s_.public_url() + "/share/" + std::string(token);
}

Result<OpenShare> ShareApi::find(const Request& request) const {
  OpenShare open = KVCS_TRY(s_.shares.find(request.param("token")));
  KVCS_TRY(s_.api.check_active(open.artifact));
  return open;
}

Status ShareApi::check_tries(const std::string& whose, const char* words) const {
  const int64_t wait_s = s_.take_try(whose);
  if (wait_s == 0) return ok();
  return rate_limited(words, static_cast<int>(wait_s)).with_reason("rate_limited");
}

// A try counts before it is looked at, so that many at once are no more than one after the other.
Status ShareApi::check_password(const Request& request, const Share& share,
                                const std::optional<Secret>& password) const {
  if (share.password_hash.empty()) return ok();
  if (!password) {
    return unauthenticated("This link needs a password: by Authorization: Basic, under any name.")
        .with_reason("share_password_required");
  }
  KVCS_TRY(check_tries("share:" + share.id + ":" + address_block(request.remote_ip),
                       "Too many tries of this link's password from this address."));
  if (password->reveal().size() <= kPasswordMaxBytes &&
      KVCS_TRY(
          s_.password_fits(*password, share.password_hash, address_block(request.remote_ip)))) {
    return ok();
  }
  return unauthenticated("The password of this link is another one.")
      .with_reason("share_password_wrong");
}

Result<Response> ShareApi::send(const Request& request, const OpenShare& open) {
  Response response = KVCS_TRY(s_.api.send_bytes(request, open.artifact, "private, no-store"));
  response.set("referrer-policy", "no-referrer");
  response.set("x-robots-tag", "noindex");
  const bool has_bytes = response.status == 200 || response.status == 206;
  if (request.method == http::Method::kHead || !has_bytes) return response;
  const bool is_slice = request.query_value("tokens") || request.query_value("layers");
  ShareService::Taking taking{request.remote_ip, response.status == 206 || is_slice,
                              response.stream_size_bytes.value_or(0)};
  if (response.file) taking.size_bytes = response.file->size_bytes;
  const auto taken = s_.shares.take_download(open, taking);
  if (!taken.ok()) return refuse(request, taken.status());
  response.finished = [shares = &s_.shares, taking, grant = *taken,
                       before = std::move(response.finished)](const Status& outcome,
                                                              uint64_t sent_bytes) {
    if (before) before(outcome, sent_bytes);
    shares->end_download(*grant, taking, sent_bytes);
  };
  return response;
}

// A password takes its time, in which the link may have been withdrawn.
Result<Response> ShareApi::send_again(const Request& request, const OpenShare& open) {
  if (open.share.password_hash.empty()) return send(request, open);
  const Result<OpenShare> now = find(request);
  return now.ok() ? send(request, *now) : refuse(request, now.status());
}

// 410: the link was good once. Unknown ones, and ones whose organization is suspended, are as any
// other refusal.
Result<Response> ShareApi::refuse(const Request& request, const Status& why) const {
  const bool is_over = why.reason() == "share_expired" || why.reason() == "share_used_up" ||
                       why.reason() == "share_ended";
  const bool is_shown = is_over || why.reason() == "share_not_found";
  if (!is_shown) return why;
  const int status = is_over ? kGone : 404;
  if (public_page::wants_page(request)) {
    return oauth::plain_page(status, "This link does not work", why.message());
  }
  return http::problem_response(status, why, http::Dialect::kPortal, request.request_id);
}

Result<Response> ShareApi::open(Request& request) {
  const Result<OpenShare> open = find(request);
  if (!open.ok()) return refuse(request, open.status());
  const Share& share = open->share;
  const bool is_looked_at = is_person(request) || public_page::is_preview(request);
  if (is_looked_at && request.method != http::Method::kHead) {
    if (share.downloads_max && share.downloads >= *share.downloads_max) {
      return oauth::plain_page(kGone, "This link does not work",
                               "It has been used as often as it may be.");
    }
    return public_page::of_share(200, *open, url_of(request.param("token")), "");
  }
  const Status allowed = check_password(request, share, basic_password(request));
  if (!allowed.ok()) {
    if (allowed.code() != Code::kUnauthenticated) return allowed;
    Response response = http::problem_response(allowed, http::Dialect::kPortal, request.request_id);
    response.set("www-authenticate", "Basic realm=\"share\", charset=\"UTF-8\"");
    return response;
  }
  return send_again(request, *open);
}

Result<Response> ShareApi::submit(Request& request) {
  const std::string form = KVCS_TRY(request.body->read_all());
  const Result<OpenShare> open = find(request);
  if (!open.ok()) return refuse(request, open.status());
  std::optional<Secret> password = basic_password(request);
  if (const auto given = http::form_value(form, "password")) password = Secret(*given);
  const Status allowed = check_password(request, open->share, password);
  if (allowed.ok()) return send_again(request, *open);
  const bool is_wrong = allowed.code() == Code::kUnauthenticated;
  if (!is_wrong && allowed.code() != Code::kRateLimited) return allowed;
  // No page of ours opens a browser's own window for names and passwords.
  Response page = public_page::of_share(is_wrong ? 403 : 429, *open, url_of(request.param("token")),
                                        allowed.message());
  if (!is_wrong) page.set("retry-after", std::to_string(allowed.retry_after_s()));
  return page;
}

}  // namespace kvcs
