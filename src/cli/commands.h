// One function per command file; commands.cc calls each.
#pragma once
#include <vector>

#include "cli/command.h"

namespace kvcs::cli {

std::vector<Command> account_commands();   // cmd_account.cc: totp, password, session
std::vector<Command> people_commands();    // cmd_people.cc: admin people, setup-link
std::vector<Command> admin_commands();     // cmd_admin.cc: admin org, user, key
std::vector<Command> admin_ai_commands();  // cmd_admin_ai.cc: admin usage, prices, jobs, audit
std::vector<Command> admin_provider_commands();  // cmd_admin_provider.cc; within admin_ai_commands
std::vector<Command> annotate_commands();        // cmd_annotate.cc
std::vector<Command> api_commands();             // cmd_api.cc
std::vector<Command> artifact_commands();        // cmd_artifacts.cc: list, quota
std::vector<Command> benchmark_commands();       // cmd_benchmark.cc
std::vector<Command> cache_commands();           // cmd_cache.cc
std::vector<Command> cat_commands();             // cmd_cat.cc
std::vector<Command> completion_commands();      // cmd_completion.cc
std::vector<Command> delete_commands();          // cmd_delete.cc: delete, restore, deleted
std::vector<Command> download_commands();        // cmd_download.cc
std::vector<Command> edit_commands();            // cmd_edit.cc
std::vector<Command> export_commands();          // cmd_export.cc
std::vector<Command> gateway_commands();  // cmd_gateway.cc: provider, tenant, token, call, …
std::vector<Command> gateway_account_commands();  // cmd_gateway_account.cc
std::vector<Command> help_commands();             // cmd_help.cc
std::vector<Command> import_commands();           // cmd_import.cc
std::vector<Command> inspect_commands();          // cmd_inspect.cc
std::vector<Command> login_commands();            // cmd_login.cc: login, logout, server
std::vector<Command> pack_commands();             // cmd_pack.cc: pack, unpack
std::vector<Command> keys_commands();             // cmd_keys.cc
std::vector<Command> kv_commands();               // cmd_kv.cc
std::vector<Command> place_commands();            // cmd_places.cc: org, project
std::vector<Command> plot_commands();             // cmd_plot.cc
std::vector<Command> prices_commands();   // cmd_prices.cc: prices import, admin prices import
std::vector<Command> quant_commands();    // cmd_quant.cc: quant, dequant, compare
std::vector<Command> sample_commands();   // cmd_sample.cc
std::vector<Command> search_commands();   // cmd_search.cc
std::vector<Command> share_commands();    // cmd_share.cc: share create, list, delete
std::vector<Command> show_commands();     // cmd_show.cc: show, open
std::vector<Command> slice_commands();    // cmd_slice.cc
std::vector<Command> team_commands();     // cmd_team.cc: member
std::vector<Command> own_key_commands();  // cmd_own_keys.cc: key
std::vector<Command> upload_commands();   // cmd_upload.cc: upload, sync
std::vector<Command> verify_commands();   // cmd_verify.cc
std::vector<Command> version_commands();  // cmd_version.cc
std::vector<Command> whoami_commands();   // cmd_whoami.cc: whoami, api-key

}  // namespace kvcs::cli
