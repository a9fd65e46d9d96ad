// `kvcs member`: who is in an organization, and who is invited.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

const std::vector<std::string> kRoles = {"owner", "admin", "member", "viewer"};
const Option kPerson{
    .name = "PERSON", .help = "An address, a name, an id, or me.", .required = true};

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
  return all;
}

}  // namespace kvcs::cli
