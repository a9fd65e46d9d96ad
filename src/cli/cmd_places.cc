// `kvcs org` and `kvcs project`: organizations and projects of whoever is signed in. An
// organization and a project are named by their id, their slug or their name.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/own_calls.h"
#include "cli/plan_use.h"

namespace kvcs::cli {
namespace {

const Option kOrg{.name = "ORG", .help = "Its id, slug or name.", .required = true};
const Option kProject{.name = "PROJECT", .help = "Its id, slug or name.", .required = true};
const Option kName{.name = "--name", .help = "What people see."};
const Option kSlug{.name = "--slug", .help = "What public URLs show."};

int run_org_list(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  Result<Json> list = read_list(api, kOwnOrganizations, "organizations");
  if (list.ok()) mark_current(api, *list, "organization_id");
  return show_list(console, list,
                   {{"ORG ID", "organization_id"},
                    kCurrentColumn,
                    {"SLUG", "slug"},
                    {"NAME", "name"},
                    {"ROLE", "role"},
                    {"STATUS", "status"},
                    {"DELETION AT", "deletion_at"}},
                   "You are in no organization; make one with `kvcs org create`.");
}

// What is active in the session, and so in the requests that name nothing.
int run_use(Console& console, ApiClient& api, const char* member, const std::string& id) {
  const Result<Json> me = api.call("PATCH", "/api/v1/me", Json{{member, id}});
  if (!me.ok()) return console.fail(me.status());
  Json active = Json::object();
  for (const char* const told : {"organization", "organization_id", "project", "project_id"}) {
    active[told] = me->value(told, Json());
  }
  return show_object(console, active);
}

int run_org_use(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> id = find_organization(api, in.text("org"));
  return id.ok() ? run_use(console, api, "organization_id", *id) : console.fail(id.status());
}

int run_org_create(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  Result<Json> body = body_of(in, {{"slug", "slug"}});
  if (body.ok()) (*body)["name"] = in.text("name");
  if (!body.ok()) return console.fail(body.status());
  return show_object(console, api.call("POST", kOwnOrganizations, *body));
}

int run_rename(const Invocation& in, Console& console, ApiClient& api,
               const Result<std::string>& path) {
  if (!path.ok()) return console.fail(path.status());
  const Result<Json> body = body_of(in, {{"name", "name"}, {"slug", "slug"}});
  return body.ok() ? show_object(console, api.call("PATCH", *path, *body))
                   : console.fail(body.status());
}

int run_org_rename(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  return run_rename(in, console, api, organization_path(api, in.text("org")));
}

int run_org_delete(const Invocation& in, Console& console) {
  const bool at_once = in.flag("force");
  const std::string question =
      "Delete organization " + in.text("org") +
      (at_once ? ", with all that it has, now? This cannot be undone."
               : "? Everybody is refused from now on; in 7 days all that it has is gone.");
  if (const auto exit = declined(in, console, question)) return *exit;
  ApiClient api(find_api_settings(in));
  const Result<std::string> path = organization_path(api, in.text("org"));
  if (!path.ok()) return console.fail(path.status());
  const Result<Json> answer = api.call("DELETE", *path + (at_once ? "?force=true" : ""));
  if (at_once) return show_deleted(console, answer, "Deleted organization " + in.text("org"));
  return show_object(console, answer);
}

int run_org_restore(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> path = organization_path(api, in.text("org"));
  if (!path.ok()) return console.fail(path.status());
  return show_object(console, api.call("POST", *path + "/restore", Json::object()));
}

// Who is signed in may see which plans there are; a key may not, and is told nothing of them.
void note_where_plans_come_from(Console& console, ApiClient& api) {
  const Result<Json> plans = read_list(api, "/api/v1/plans", "plans");
  if (!plans.ok()) return;
  std::string for_sale;
  for (const Json& plan : *plans) {
    if (plan.value("stripe_prices", Json::array()).empty()) continue;
    for_sale += (for_sale.empty() ? "" : ", ") + printable(text_member(plan, "name"), kShownName);
  }
  console.note(for_sale.empty()
                   ? "More is given by who operates the server (`kvcs admin org plan`)."
                   : "An owner can buy " + for_sale + " with `kvcs org upgrade PLAN`.");
}

int run_org_plan(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<Json> use = api.call("GET", "/api/v1/usage");
  if (!use.ok() || console.mode().json) return show_object(console, use);
  print_plan_use(console, *use);
  note_where_plans_come_from(console, api);
  return kExitOk;
}

// The page is Stripe's; nothing is paid before somebody does so there.
int run_org_upgrade(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<Json> place =
      api.call("POST", "/api/v1/billing/checkout", Json{{"plan", in.text("plan")}});
  if (!place.ok() || !console.mode().quiet) return show_object(console, place);
  console.print(printable(text_member(*place, "url"), kShownWhole));
  return kExitOk;
}

int run_project_list(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> place = place_path(api, in);
  if (!place.ok()) return console.fail(place.status());
  Result<Json> list = read_list(api, *place + "/projects", "projects");
  if (list.ok()) mark_current(api, *list, "project_id");
  return show_list(console, list,
                   {{"PROJECT ID", "project_id"},
                    kCurrentColumn,
                    {"SLUG", "slug"},
                    {"NAME", "name"},
                    {"SINCE", "created_at"}},
                   "No projects; make one with `kvcs project create`.");
}

int run_project_use(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> id = find_project(api, "/api/v1", in.text("project"));
  return id.ok() ? run_use(console, api, "project_id", *id) : console.fail(id.status());
}

int run_project_create(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> place = place_path(api, in);
  if (!place.ok()) return console.fail(place.status());
  Json body{{"name", in.text("name")}};
  if (const auto slug = in.optional_text("slug")) body["slug"] = *slug;
  return show_object(console, api.call("POST", *place + "/projects", body));
}

Result<std::string> project_path(ApiClient& api, const Invocation& in, const std::string& place) {
  const std::string id = KVCS_TRY(find_project(api, place, in.text("project")));
  return place + "/projects/" + id;
}

int run_project_rename(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<std::string> place = place_path(api, in);
  if (!place.ok()) return console.fail(place.status());
  return run_rename(in, console, api, project_path(api, in, *place));
}

int run_project_delete(const Invocation& in, Console& console) {
  const bool with_artifacts = in.flag("force"), is_dry = in.flag("dry-run");
  const std::string question = "Delete project " + in.text("project") + " and its keys" +
                               (with_artifacts ? " and artifacts" : "") +
                               "? This cannot be undone.";
  if (!is_dry) {
    if (const auto exit = declined(in, console, question)) return *exit;
  }
  ApiClient api(find_api_settings(in));
  // The row of a deletion names its organization.
  const Result<std::string> place = named_place_path(api, in);
  if (!place.ok()) return console.fail(place.status());
  const Result<std::string> path = project_path(api, in, *place);
  if (!path.ok()) return console.fail(path.status());
  if (is_dry) return show_object(console, api.call("DELETE", *path + "?dry_run=true"));
  return show_deleted(console, api.call("DELETE", *path + (with_artifacts ? "?force=true" : "")),
                      "Deleted project " + in.text("project"));
}

std::vector<Command> org_commands() {
  return {
      {.name = "org list",
       .summary = "List the organizations that you are in, and as what.",
       .examples = {{"kvcs org list", ""}},
       .run = run_org_list},
      {.name = "org use",
       .summary = "Make an organization the active one of your session.",
       .options = {kOrg},
       .examples = {{"kvcs org use acme", ""}},
       .run = run_org_use},
      {.name = "org create",
       .summary = "Make an organization with a project; you are its owner.",
       .options = {{.name = "NAME", .help = "What people see.", .required = true}, kSlug},
       .examples = {{"kvcs org create 'New Lab' --slug new-lab", ""}},
       .run = run_org_create},
      {.name = "org rename",
       .summary = "Give it another name or slug; public URLs with the old slug redirect.",
       .options = {kOrg, kName, kSlug},
       .examples = {{"kvcs org rename acme --name 'Acme Research' --slug acme-research", ""}},
       .run = run_org_rename},
      {.name = "org delete",
       .summary = "Suspend it at once, and delete it with all that it has in 7 days.",
       .options = {kOrg,
                   {.name = "--force",
                    .kind = ValueKind::kFlag,
                    .help = "Now; for an operator of the daemon with role owner."},
                   yes_option()},
       .examples = {{"kvcs org delete acme --yes", "`kvcs org restore` takes it back."}},
       .run = run_org_delete},
      {.name = "org plan",
       .summary = "Show the active organization's plan, what is used of it, and what is allowed.",
       .examples = {{"kvcs org plan", ""}},
       .run = run_org_plan},
      {.name = "org upgrade",
       .summary = "Print the page where an owner begins to pay for a plan.",
       .options = {{.name = "PLAN", .help = "As `kvcs org plan` names them.", .required = true}},
       .examples = {{"kvcs org upgrade pro", "Open the address in a browser."}},
       .run = run_org_upgrade},
      {.name = "org restore",
       .summary = "Take a planned deletion back.",
       .options = {kOrg},
       .examples = {{"kvcs org restore acme", ""}},
       .run = run_org_restore},
  };
}

}  // namespace

std::vector<Command> place_commands() {
  std::vector<Command> all = org_commands();
  const std::vector<Command> projects = {
      {.name = "project list",
       .summary = "List the projects of the active organization, or of another.",
       .options = {org_option()},
       .examples = {{"kvcs project list --org acme", ""}},
       .run = run_project_list},
      {.name = "project use",
       .summary = "Make a project the active one of your session.",
       .options = {kProject},
       .examples = {{"kvcs project use default", ""}},
       .run = run_project_use},
      {.name = "project create",
       .summary = "Make a project; the active one stays as it is.",
       .options = {{.name = "NAME", .help = "What people see.", .required = true},
                   kSlug,
                   org_option()},
       .examples = {{"kvcs project create Contexts --org acme", ""}},
       .run = run_project_create},
      {.name = "project rename",
       .summary = "Give it another name or slug; public URLs with the old slug redirect.",
       .options = {kProject, kName, kSlug, org_option()},
       .examples = {{"kvcs project rename default --slug contexts --org acme", ""}},
       .run = run_project_rename},
      {.name = "project delete",
       .summary = "Delete a project and its keys.",
       .options = {kProject,
                   {.name = "--force",
                    .kind = ValueKind::kFlag,
                    .help = "Its artifacts too, and those that could be restored."},
                   dry_run_option(),
                   org_option(),
                   yes_option()},
       .examples = {{"kvcs project delete default --org acme --dry-run", "What would go with it."},
                    {"kvcs project delete default --org acme --force --yes", ""}},
       .run = run_project_delete},
  };
  all.insert(all.end(), projects.begin(), projects.end());
  return all;
}

}  // namespace kvcs::cli
