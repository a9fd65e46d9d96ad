// Artifacts as the public contract words them: what an upload may say, and the two shapes of an
// answer. Pure functions.
//
// The public client treats id/artifact_id, name/model_name and url/upload_url as one field each and
// refuses an object that has both, while other clients expect both. It sends no User-Agent: whoever
// sends none gets the single shape; ?shape=single|full asks for one. Members that must not be null
// are left out when there is nothing to say.
#pragma once
#include <string>

#include "artifacts/artifacts.h"
#include "base/json.h"
#include "http/http.h"

namespace kvcs::artifact_json {

enum class Shape : uint8_t { kFull, kSingle };
Result<Shape> shape_for(const http::Request& request);

// {id} of the path, in small letters. Invalid "invalid artifact_id".
Result<std::string> artifact_id(const http::Request& request);

struct Urls {
  std::string public_url, download_url;  // "" is null.
};
Json to_json(const Artifact& artifact, Shape shape, const Urls& urls);
// What everybody may know of a public artifact.
Json to_public_json(const Artifact& artifact, std::string_view organization,
                    const std::string& public_url);

inline constexpr size_t kNameMaxChars = 255;
inline constexpr size_t kDescriptionMaxChars = 2000;
inline constexpr size_t kTagMaxChars = 50, kTagsMax = 20;

// Invalid "Bad Request" with details or a message. Leaves the owner to the caller.
Result<Artifact> parse_upload(const Json& body);
// The body of the nested routes, where the facts stand beside each other and none in `metadata`.
Result<Artifact> parse_nested_upload(const Json& body);
// Invalid also when nothing is to be changed.
Result<ArtifactEdit> parse_edit(const Json& body);
Result<ConfirmClaim> parse_confirm(const Json& body);
Result<bool> parse_visibility(const Json& body);  // True: public.
Result<ArtifactFilter> parse_filter(const http::Request& request);
Result<CatalogueFilter> parse_catalogue_filter(const http::Request& request);

// Content-Disposition of the bytes (RFC 6266): a file name of ASCII that means nothing to a shell
// or a file system, never empty, ending in ".kv"; and where that lost letters, the name with them
// (RFC 8187), as harmless.
std::string disposition(std::string_view name);

Status bad_request(const std::string& detail);

}  // namespace kvcs::artifact_json
