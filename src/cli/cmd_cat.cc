// `kvcs cat`: an artifact into a pipe. Its bytes are passed on as they come, so the digest is
// known, and told by the exit code, when they have gone already.
#include <cstdio>

#include "base/bytes.h"
#include "base/crypto.h"
#include "cli/cat.h"
#include "cli/commands.h"
#include "cli/wanted_artifact.h"

namespace kvcs::cli {
namespace {

// What has gone to standard output.
struct Poured {
  Sha256 hash;
  uint64_t size_bytes = 0;
};

// One attempt: from what has gone to the end. What has gone cannot be taken back, so a server that
// begins anew ends it.
Status pour(ApiClient& api, const WantedArtifact& wanted, Poured& poured, Console& console) {
  const uint64_t before = poured.size_bytes;
  const auto take = [&](const http::FetchAnswer& head, std::string_view bytes) -> Status {
    if (before > 0 && head.status != 206) {
      return invalid("The server does not resume downloads of this artifact.");
    }
    if (bytes.size() > wanted.size_bytes - poured.size_bytes) {
      return upstream_failed("The server sends too many bytes.");
    }
    poured.hash.update(bytes.data(), bytes.size());
    poured.size_bytes += bytes.size();
    console.write(bytes);
    return std::ferror(stdout) == 0 ? ok() : unavailable("Standard output takes no more bytes.");
  };
  KVCS_TRY(api.get_bytes(wanted.url, {before}, wanted.etag, wanted.authorization, take));
  return poured.size_bytes == wanted.size_bytes ? ok() : upstream_failed("The transfer broke off.");
}

Status pour_whole(const Invocation& in, Console& console) {
  if (console.mode().out_terminal) {
    return invalid(
        "Standard output is a terminal, which cannot show an artifact: send it into a pipe, or "
        "into a file by `kvcs download`.");
  }
  ApiClient api(settings_for(in));
  KVCS_TRY(Status(api.settings().fault));
  Repeat repeat(repeat_hooks(console));
  WantedArtifact wanted = KVCS_TRY(find_wanted(in, api, repeat, console, Cut::kNever));
  Poured poured;
  bool is_first = true;
  const auto attempt = [&](bool& moved) -> Status {
    if (!std::exchange(is_first, false)) KVCS_TRY(renew_url(in, api, wanted));
    const uint64_t before = poured.size_bytes;
    Status done = pour(api, wanted, poured, console);
    moved = poured.size_bytes > before;
    return done;
  };
  if (Status done = repeat.run("transfer", attempt); !done.ok()) {
    if (poured.size_bytes == 0) return done;
    return Status(done.code(), done.message() + " Only " + std::to_string(poured.size_bytes) +
                                   " of " + std::to_string(wanted.size_bytes) +
                                   " bytes were printed.")
        .with_reason(done.reason());
  }
  const std::string actual = poured.hash.finish_hex();
  if (actual == wanted.sha256) return ok();
  return upstream_failed("The bytes printed are not the artifact's: SHA-256 " + actual +
                         " instead of " + wanted.sha256 + ". Do not use them.");
}

}  // namespace

int cat(const Invocation& in, Console& console) {
  const Status done = pour_whole(in, console);
  return done.ok() ? kExitOk : console.fail(done);
}

std::vector<Command> cat_commands() {
  return {{.name = "cat",
           .summary = "Print an artifact's bytes, for a pipe.",
           .options = wanted_options(),
           .examples = {{"kvcs cat demo", "Where a pipe or a file is behind it."}},
           .run = cat,
           .details =
               "The bytes are passed on as they come; their SHA-256 is known when the last "
               "one has gone. So a pipe must look at the exit code, which is 0 for the whole "
               "artifact alone. `kvcs download` puts nothing into place unchecked."}};
}

}  // namespace kvcs::cli
