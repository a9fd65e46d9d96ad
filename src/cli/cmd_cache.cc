// `kvcs cache`: what interrupted transfers have left here and on servers, and how it goes away.
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/file.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/kept_transfers.h"

namespace kvcs::cli {
namespace {

int run_list(const Invocation&, Console& console) {
  const std::vector<KeptDownload> downloads = list_kept_downloads();
  const std::vector<KeptUpload> uploads = list_kept_uploads();
  if (console.mode().json) {
    Json list = Json::array();
    for (const KeptDownload& one : downloads) {
      list.push_back({{"kind", "download"},
                      {"path", one.part},
                      {"target", one.target},
                      {"have_bytes", one.have_bytes},
                      {"size_bytes", one.size_bytes}});
    }
    for (const KeptUpload& one : uploads) {
      list.push_back({{"kind", "upload"},
                      {"path", one.path},
                      {"server", one.server},
                      {"size_bytes", one.size_bytes}});
    }
    console.print_json(list);
    return kExitOk;
  }
  if (downloads.empty() && uploads.empty()) {
    console.print("No transfer was left in the middle.");
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows = {{"KIND", "HERE", "OF", "FILE"}};
  for (const KeptDownload& one : downloads) {
    rows.push_back({"download", format_bytes(one.have_bytes), format_bytes(one.size_bytes),
                    printable(one.part)});
  }
  for (const KeptUpload& one : uploads) {
    rows.push_back({"upload", "-", format_bytes(one.size_bytes),
                    printable(one.path.empty() ? "?" : one.path) + " to " + printable(one.server)});
  }
  console.print_table(rows);
  console.note("The same upload or download goes on with it; `kvcs cache clean` takes it away.");
  return kExitOk;
}

struct Cleaned {
  uint64_t files = 0, bytes = 0, uploads = 0;
  bool is_whole = true;
};

// The lock of a part is held until its name is gone, so that no other kvcs begins to write into
// what goes away; one that is at work holds it already.
void clean_downloads(Console& console, Cleaned& done) {
  for (const KeptDownload& one : list_kept_downloads()) {
    const Descriptor part(::open(one.part.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (part.valid() && ::flock(part.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      console.note(printable(one.part) + " is being written; it stays.");
      continue;
    }
    if (::unlink(one.part.c_str()) != 0) {
      console.fail(io_error("remove", one.part, errno));
      done.is_whole = false;
      continue;
    }
    forget_download(one.part);
    done.files++;
    done.bytes += one.have_bytes;
  }
}

// A key goes to its own server alone, so that only that one's uploads can be withdrawn.
void clean_uploads(ApiClient& api, Console& console, Cleaned& done) {
  for (const KeptUpload& one : list_kept_uploads()) {
    if (one.server != api.settings().url) {
      console.note("An upload to " + printable(one.server) + " stays; `kvcs cache clean --server " +
                   printable(one.server) + "` withdraws it.");
      continue;
    }
    Status withdrawn;
    for (const std::string& id : one.ids) {
      http::FetchRequest request;
      request.method = "DELETE";
      request.headers = {{"tus-resumable", "1.0.0"}};
      const auto answer = api.exchange(std::move(request), "/api/v1/uploads/" + percent_encode(id));
      // What has ended by itself is withdrawn.
      const bool is_gone = answer.ok() && (answer->status == 404 || answer->status == 410);
      if (answer.ok() && (answer->ok() || is_gone)) continue;
      withdrawn = answer.ok() ? api.refusal(*answer) : answer.status();
    }
    if (!withdrawn.ok()) {
      console.fail(Status(withdrawn).with_context(printable(one.path)));
      done.is_whole = false;
      continue;
    }
    (void)::unlink(one.record.c_str());
    done.uploads++;
  }
}

int run_clean(const Invocation& in, Console& console) {
  const size_t count = list_kept_downloads().size() + list_kept_uploads().size();
  if (count > 0) {
    const auto refused = declined(
        in, console, "Take " + counted(count, "transfer") + " away that could still go on?");
    if (refused) return *refused;
  }
  Cleaned done;
  clean_downloads(console, done);
  if (!list_kept_uploads().empty()) {
    ApiClient api(find_api_settings(in));
    clean_uploads(api, console, done);
  }
  if (console.mode().json) {
    console.print_json({{"files", done.files}, {"bytes", done.bytes}, {"uploads", done.uploads}});
  } else {
    console.print(counted(done.files, "part file") + " removed, " + format_bytes(done.bytes) +
                  " freed; " + counted(done.uploads, "upload") + " withdrawn.");
  }
  return done.is_whole ? kExitOk : kExitFailed;
}

}  // namespace

std::vector<Command> cache_commands() {
  return {{.name = "cache list",
           .summary = "List what interrupted transfers have left.",
           .examples = {{"kvcs cache list", "Part files and uploads that can still go on."}},
           .run = run_list,
           .asks_server = false},
          {.name = "cache clean",
           .summary = "Remove part files, and withdraw uploads that were begun.",
           .options = {yes_option()},
           .examples = {{"kvcs cache clean --yes", "Frees this disk, and the quota."}},
           .run = run_clean,
           .details = "A part file that another kvcs writes stays; an upload that is under way may "
                      "be withdrawn. Uploads of another server than the one that is asked stay; "
                      "--server names it."}};
}

}  // namespace kvcs::cli
