// What is to be fetched, for `kvcs download` and `kvcs cat`: an artifact of the organization, or
// what lies behind a link, whole or a slice of it. One thread.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "cli/api_client.h"
#include "cli/repeat.h"
#include "kvfile/tools/slice.h"

namespace kvcs::cli {

struct WantedArtifact {
  std::string id, url;        // Without id: what lies behind a link.
  std::string file_name;      // Of its own, made safe, with ".kv".
  std::string authorization;  // Of a link with a password.
  std::string sha256;         // "" for a slice: nobody has hashed it yet.
  std::string etag;
  uint64_t size_bytes = 0;
  std::string sidecar_json;  // What the uploader sent along; "" when there is none.
  std::optional<kvfile::SliceSpec> slice;
};

// Whether --tokens and --layers, where the command has them, are looked at.
enum class Cut : uint8_t { kNever, kAsAsked };
// The options that name it: ARTIFACT and --password-file.
std::vector<Option> wanted_options();
// Of links without a key, which is for another server, or for the same one and not needed there.
ApiSettings settings_for(const Invocation& in);
// Asks for URL, size and digest, as often as it takes; of a link with a password for that.
Result<WantedArtifact> find_wanted(const Invocation& in, ApiClient& api, Repeat& repeat,
                                   Console& console, Cut cut);
// The URL is signed for a short time, so before a further attempt it is asked for again.
Status renew_url(const Invocation& in, ApiClient& api, WantedArtifact& wanted);

// A file of this name is in no other folder, not hidden, and no option of a command; "" when
// nothing is left of the name. It is cut between characters.
std::string safe_file_name(std::string_view name);

}  // namespace kvcs::cli
