// `kvcs member` and `kvcs key`: who is in an organization and who is invited, and the keys of its
// projects.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

constexpr const char* kKeyId = "9b1c8e52-2f43-4d0e-8f0a-5f2b6f6f0c11";

const std::vector<std::string> kRoles = {"owner", "admin", "member", "viewer"};
const Option kPerson{
    .name = "PERSON", .help = "An address, a name, an id, or me.", .required = true};
const Option kKey{.name = "KEY", .help = "The key's id or name.", .required = true};

int run_member_list(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> place = place_path(api, in);
  if (!place.ok()) return console.fail(place.status());
  return show_list(console,
                   read_list(api, *place + "/members" + query_of(in, {kSearchQuery}), "members"),
                   {{"PERSON ID", "person_id"},
                    {"NAME", "name"},
                    {"EMAIL", "email"},
                    {"ROLE", "role"},
                    {"SINCE", "since"}},
                   "No members.");
}

int run_member_invite(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> place = place_path(api, in);
  if (!place.ok()) return console.fail(place.status());
  Json body{{"role", in.text("role")}};
  if (const auto email = in.optional_text("email")) body["email"] = *email;
  return show_object(console, api.call("POST", *place + "/invitations", body));
}

int run_member_invitations(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> place = place_path(api, in);
  if (!place.ok()) return console.fail(place.status());
  return show_list(console, read_list(api, *place + "/invitations", "invitations"),
                   {{"INVITATION ID", "invitation_id"},
                    {"EMAIL", "email"},
                    {"ROLE", "role"},
                    {"SINCE", "created_at"},
                    {"ENDS", "expires_at"}},
                   "Nobody is invited.");
}

// An invitation by its id, or by the address that it is for.
Result<std::string> invitation_path(ApiClient& api, const Invocation& in) {
  const std::string place = KVCS_TRY(place_path(api, in));
  const std::string all = place + "/invitations";
  const Json open = KVCS_TRY(read_list(api, all, "invitations"));
  const std::string called = lower_ascii(in.text("invitation"));
  const std::string id =
      KVCS_TRY(find_called(open, {"invitation", "invitation_id", {"email"}}, called));
  return all + "/" + id;
}

int run_member_withdraw(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> path = invitation_path(api, in);
  if (!path.ok()) return console.fail(path.status());
  return show_done(console, api.call("DELETE", *path).status(), "The invitation is withdrawn.");
}

int run_member_resend(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> path = invitation_path(api, in);
  if (!path.ok()) return console.fail(path.status());
  return show_object(console, api.call("POST", *path + "/resend", Json::object()));
}

// The path of a member, once it is known who is meant.
Result<std::string> member_path(ApiClient& api, const Invocation& in) {
  const std::string place = KVCS_TRY(place_path(api, in));
  return place + "/members/" + KVCS_TRY(find_person(api, place, in.text("person")));
}

int run_member_remove(const Invocation& in, Console& console) {
  const std::string who = in.text("person");
  const std::string question = who == "me" ? "Leave the organization?" : "Take " + who + " out?";
  if (const auto exit = declined(in, console, question)) return *exit;
  ApiClient api(find_api_settings(in));
  const Result<std::string> path = member_path(api, in);
  if (!path.ok()) return console.fail(path.status());
  return show_done(console, api.call("DELETE", *path).status(),
                   who == "me" ? "You have left." : who + " is no member any more.");
}

int run_member_role(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> path = member_path(api, in);
  if (!path.ok()) return console.fail(path.status());
  return show_object(console, api.call("PATCH", *path, Json{{"role", in.text("role")}}));
}

// The query of --search and --project; "" without both.
Result<std::string> key_query(ApiClient& api, const Invocation& in) {
  std::string query = query_of(in, {kSearchQuery});
  const auto called = in.optional_text("project");
  if (!called) return query;
  query += query.empty() ? "?" : "&";
  return query + "project_id=" + KVCS_TRY(find_own_project(api, *called));
}

int run_key_list(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> query = key_query(api, in);
  if (!query.ok()) return console.fail(query.status());
  return show_list(console, read_pages(api, kOwnKeys + *query, "keys"),
                   {{"KEY ID", "id"},
                    {"NAME", "name"},
                    {"HINT", "hint"},
                    {"PERMISSIONS", "permissions"},
                    {"PROJECT ID", "project_id"},
                    {"EXPIRES", "expires_at"},
                    {"LAST USED", "last_used_at"}},
                   "No keys.");
}

Result<Json> key_body(ApiClient& api, const Invocation& in) {
  Json body = KVCS_TRY(body_of(in, {{"name", "name"}, {"expires-at", "expires_at"}}));
  body["permissions"] = Json::array({in.text("permission")});
  if (in.flag("organization")) body["project_id"] = nullptr;
  if (const auto called = in.optional_text("project")) {
    if (in.flag("organization")) return invalid("--project and --organization: give one of them.");
    body["project_id"] = KVCS_TRY(find_own_project(api, *called));
  }
  return body;
}

int run_key_create(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<Json> body = key_body(api, in);
  return body.ok() ? show_object(console, api.call("POST", kOwnKeys, *body))
                   : console.fail(body.status());
}

// When the old key ends, as one line.
void show_old_end(Json& rotated) {
  const auto previous = rotated.find("previous");
  const Json old = previous == rotated.end() ? Json() : *previous;
  rotated.erase("previous");
  rotated.erase("overlap_s");
  std::string end = "is refused from now on";
  if (old.is_object()) {
    end = text_member(old, "hint") + " works until " + text_member(old, "expires_at");
  }
  rotated["old_key"] = end;
}

int run_key_rotate(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> id = find_key(api, in.text("key"));
  if (!id.ok()) return console.fail(id.status());
  const std::string path = std::string(kOwnKeys) + "/" + percent_encode(*id) + "/rotate";
  Json body = Json::object();
  if (const auto overlap_s = in.optional_number("overlap-s")) body["overlap_s"] = *overlap_s;
  Result<Json> rotated = api.call("POST", path, body);
  if (rotated.ok() && rotated->is_object() && !console.mode().json) show_old_end(*rotated);
  return show_object(console, rotated);
}

int run_key_delete(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const std::string called = in.text("key");
  const Result<std::string> id = find_key(api, called);
  if (!id.ok()) return console.fail(id.status());
  const std::string what = "key " + *id + (called == *id ? "" : " ('" + called + "')");
  if (const auto exit = declined(in, console, "Revoke " + what + "? It is refused at once.")) {
    return *exit;
  }
  const std::string path = std::string(kOwnKeys) + "/" + percent_encode(*id);
  return show_done(console, api.call("DELETE", path).status(), "Revoked " + what + ".");
}

std::vector<Command> invitation_commands() {
  const Option invitation{
      .name = "INVITATION", .help = "Its id, or the address that it is for.", .required = true};
  return {
      {.name = "member invitations",
       .summary = "List who is invited and has not joined yet.",
       .options = {org_option()},
       .examples = {{"kvcs member invitations", "Never the links, which are shown once."}},
       .run = run_member_invitations},
      {.name = "member resend",
       .summary = "Make a new link for an invitation; the old one works no longer.",
       .options = {invitation, org_option()},
       .examples = {{"kvcs member resend new@example.com", "Mailed, where mail is set up."}},
       .run = run_member_resend},
      {.name = "member withdraw",
       .summary = "Take an invitation back.",
       .options = {invitation, org_option()},
       .examples = {{"kvcs member withdraw new@example.com", ""}},
       .run = run_member_withdraw},
  };
}

std::vector<Command> member_commands() {
  return {
      {.name = "member list",
       .summary = "List who is in the organization, and as what.",
       .options = {search_option(), org_option()},
       .examples = {{"kvcs member list", ""}},
       .run = run_member_list},
      {.name = "member invite",
       .summary = "Make a link by which somebody joins, once.",
       .options = {{.name = "--email", .help = "Whom it is for; without it, whoever has it."},
                   {.name = "--role",
                    .help = "What they will be.",
                    .fallback = "member",
                    .choices = kRoles},
                   org_option()},
       .examples = {{"kvcs member invite --email lin@example.com --role admin", ""}},
       .run = run_member_invite},
      {.name = "member remove",
       .summary = "Take somebody out; with me, leave.",
       .options = {kPerson, org_option(), yes_option()},
       .examples = {{"kvcs member remove grace@example.com --yes", ""}},
       .run = run_member_remove},
      {.name = "member role",
       .summary = "Give a member another role.",
       .options = {kPerson,
                   {.name = "ROLE", .help = "The new one.", .required = true, .choices = kRoles},
                   org_option()},
       .examples = {{"kvcs member role grace@example.com viewer", ""}},
       .run = run_member_role},
  };
}

}  // namespace

std::vector<Command> team_commands() {
  std::vector<Command> all = member_commands();
  for (Command& command : invitation_commands()) all.push_back(std::move(command));
  const Option project{
      .name = "--project", .help = "Its id, slug or name.", .value_name = "PROJECT"};
  const std::vector<Command> keys = {
      {.name = "key list",
       .summary = "List the keys of the organization, or of one project; never the keys "
                  "themselves.",
       .options = {search_option(), project},
       .examples = {{"kvcs key list", ""}},
       .run = run_key_list},
      {.name = "key create",
       .summary = "Make a key of the active project, of another, or of the organization.",
       .options = {{.name = "NAME", .help = "Tells it apart from others.", .required = true},
                   {.name = "--permission",
                    .help = "Each includes those before it.",
                    .fallback = "write",
                    .choices = {"read", "write", "admin"}},
                   project,
                   {.name = "--organization",
                    .kind = ValueKind::kFlag,
                    .help = "Of every project of the organization."},
                   {.name = "--expires-at",
                    .help = "As 2030-01-31T00:00:00Z.",
                    .value_name = "TIME"}},
       .examples = {{"kvcs key create ci --permission read", "Shown this once."}},
       .run = run_key_create},
      {.name = "key rotate",
       .summary = "Make a new secret for a key; the old one works for a while longer.",
       .options = {kKey,
                   {.name = "--overlap-s",
                    .kind = ValueKind::kNumber,
                    .help = "For how long; a day unless given.",
                    .min = 0,
                    .max = 30 * 86'400}},
       .examples = {{"kvcs key rotate " + std::string(kKeyId) + " --overlap-s 3600", ""}},
       .run = run_key_rotate},
      {.name = "key delete",
       .summary = "Revoke a key, at once.",
       .options = {kKey, yes_option()},
       .examples = {{"kvcs key delete " + std::string(kKeyId) + " --yes", ""}},
       .run = run_key_delete},
  };
  all.insert(all.end(), keys.begin(), keys.end());
  return all;
}

}  // namespace kvcs::cli
