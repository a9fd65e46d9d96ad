// `kvcs upload`: hashes a .kv file, asks the server for a place, sends the bytes there and
// confirms; a transfer that breaks is repeated from its beginning.
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/own_calls.h"
#include "cli/progress.h"
#include "cli/resumable_upload.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

// Attempts of one upload in all.
constexpr int kAttemptsMax = 6;
constexpr int64_t kFirstPauseMs = 500, kPauseMaxMs = 15'000;
constexpr size_t kHashStepBytes = 1 << 20;
// The server's limit of an artifact's metadata (64 KiB), less room for the other members. A sidecar
// that is larger, because of its token ids, is not sent.
constexpr size_t kSidecarMaxBytes = 60 << 10;

// The file and what is said about it. `about` is the sidecar, or what the header alone says.
struct LocalFile {
  std::unique_ptr<kvfile::KvFile> file;
  kvfile::Sidecar about;
  std::string sidecar_json;  // "" without sidecar.
  std::string sha256;
};

// The digest is needed before the first byte is sent: the URL is signed over it.
Result<std::string> hash_file(const kvfile::KvFile& file, Console& console) {
  Progress progress(console, "Hashing", file.size_bytes());
  Sha256 hash;
  std::vector<char> buffer(kHashStepBytes);
  for (uint64_t at = 0; at < file.size_bytes();) {
    const size_t n = std::min<uint64_t>(buffer.size(), file.size_bytes() - at);
    KVCS_TRY(file.read(at, buffer.data(), n));
    hash.update(buffer.data(), n);
    at += n;
    progress.update(at);
  }
  return hash.finish_hex();
}

// A sidecar that contradicts its file is refused here and not stored.
Result<LocalFile> read_local(const std::string& path, Console& console) {
  LocalFile local;
  local.file = KVCS_TRY(kvfile::KvFile::open(path));
  auto sidecar = KVCS_TRY(kvfile::read_sidecar(path));
  if (sidecar) {
    KVCS_TRY(kvfile::check_sidecar(*sidecar, local.file->header()));
    local.sidecar_json = kvfile::dump_sidecar(*sidecar);
  }
  local.about = sidecar ? *sidecar : kvfile::describe_header(local.file->header());
  local.sha256 = KVCS_TRY(hash_file(*local.file, console));
  return local;
}

// The members that the kvcdn command line sends, by its names: `checksum` is the SHA-256.
Json upload_request(const LocalFile& local, const std::string& name,
                    const std::string& visibility) {
  Json metadata{{"name", name},
                {"sha256", local.sha256},
                {"num_layers", local.about.num_layers},
                {"quantized", local.about.quantized}};
  if (local.about.storage_dtype) metadata["storage_dtype"] = *local.about.storage_dtype;
  if (!local.sidecar_json.empty() && local.sidecar_json.size() <= kSidecarMaxBytes) {
    const auto sidecar = parse_json(local.sidecar_json);
    if (sidecar.ok()) {
      // Compact, it may still be over: the limit is the server's.
      if (dump_json(*sidecar).size() <= kSidecarMaxBytes) metadata["sidecar"] = *sidecar;
    }
  }
  return {{"model_name", local.about.model_name},
          {"name", name},
          {"dtype", local.about.dtype},
          {"num_tokens", local.about.num_tokens},
          {"visibility", visibility},
          {"size_bytes", local.file->size_bytes()},
          {"checksum", local.sha256},
          {"metadata", std::move(metadata)}};
}

// True for failures that may be gone in a moment: a connection that broke, a server that is busy or
// away. A refusal would be the same again.
bool is_worth_repeating(const Status& status) {
  switch (status.code()) {
    case Code::kUpstream:
    case Code::kUnavailable:
    case Code::kTimeout:
    case Code::kRateLimited:
      return true;
    default:
      return false;
  }
}

// One attempt. The file is opened again, because the transfer reads from a descriptor of its own.
Status put_once(const LocalFile& local, const std::string& url, Console& console) {
  const int fd = ::open(local.file->path().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return io_error("open", local.file->path(), errno);
  Result<http::FileUploadAnswer> answer = internal("not sent");
  {
    Progress progress(console, "Uploading", local.file->size_bytes());
    answer = http::put_file({.url = url,
                             .descriptor = fd,
                             .size_bytes = local.file->size_bytes(),
                             .progress = [&](uint64_t sent) { progress.update(sent); }});
  }
  ::close(fd);
  KVCS_TRY(answer.status());
  if (answer->status / 100 == 2) return ok();
  return status_of_answer(answer->status, answer->body);
}

// Stores that others run say it in words alone.
bool is_expired(const Status& sent) {
  return sent.reason().empty() ? sent.message().find("expired") != std::string::npos
                               : sent.reason() == "url_expired";
}

// Sends the bytes until they are there. The server keeps nothing of a transfer that broke, so each
// attempt begins anew; the pause before it doubles from half a second to 15 s. When the URL has
// expired meanwhile, the server is asked for a place again.
Result<std::string> transfer(ApiClient& api, const LocalFile& local, const Json& request,
                             Console& console) {
  Json begun = KVCS_TRY(api.call("POST", "/api/v1/artifacts/upload-url", request));
  int64_t wait_ms = kFirstPauseMs;
  for (int attempt = 1;; attempt++) {
    const auto id = begun.find("artifact_id"), url = begun.find("url");
    if (id == begun.end() || url == begun.end() || !id->is_string() || !url->is_string()) {
      return upstream_failed("The server's answer names no artifact_id and url.");
    }
    const Status sent = put_once(local, url->get<std::string>(), console);
    if (sent.ok()) return id->get<std::string>();
    const bool expired = is_expired(sent);
    if (attempt == kAttemptsMax || (!expired && !is_worth_repeating(sent))) return sent;
    console.note("The transfer failed (" + printable(sent.message()) + "); trying again in " +
                 std::to_string(wait_ms / 1000.0).substr(0, 4) + " s.");
    pause_ms(wait_ms);
    wait_ms = std::min(wait_ms * 2, kPauseMaxMs);
    if (expired) begun = KVCS_TRY(api.call("POST", "/api/v1/artifacts/upload-url", request));
  }
}

// In one piece: place, bytes, confirmation. Header, sidecar and digest were read before the
// transfer. A file that changed since would make them a description of something else, so nothing
// is confirmed then.
Result<std::string> send_whole(ApiClient& api, const LocalFile& local, const Json& request,
                               Console& console) {
  std::string id = KVCS_TRY(transfer(api, local, request, console));
  KVCS_TRY(local.file->check_unchanged());
  const Json claim{{"digest", local.sha256}, {"size_bytes", local.file->size_bytes()}};
  KVCS_TRY(api.call("POST", "/api/v1/artifacts/" + id + "/confirm-upload", claim));
  return id;
}

// A server of before takes a large file in one piece too.
Result<std::string> send(ApiClient& api, const LocalFile& local, const Json& request,
                         Console& console) {
  if (local.file->size_bytes() < kResumableFromBytes) {
    return send_whole(api, local, request, console);
  }
  struct stat facts {};
  if (::stat(local.file->path().c_str(), &facts) != 0) {
    return io_error("stat", local.file->path(), errno);
  }
  const ResumableFile file{
      .path = local.file->path(),
      .sha256 = local.sha256,
      .size_bytes = local.file->size_bytes(),
      .modified_ns = facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec,
      .check_unchanged = [&local] { return local.file->check_unchanged(); }};
  const auto id = KVCS_TRY(send_resumable(api.settings(), file, request, console));
  if (id) return *id;
  return send_whole(api, local, request, console);
}

// The transfer, then the stored record, which has the public URL if there is one.
Result<Json> upload(const Invocation& in, ApiClient& api, Console& console) {
  const std::string path = in.text("file");
  const LocalFile local = KVCS_TRY(read_local(path, console));
  const std::string name =
      in.optional_text("name").value_or(std::filesystem::path(path).stem().string());
  Json request = upload_request(local, name, in.text("visibility"));
  if (const auto project = in.optional_text("project")) {
    request["project_id"] = KVCS_TRY(find_own_project(api, *project));
  }
  if (const auto words = in.optional_text("description")) request["description"] = *words;
  if (const std::vector<std::string> tags = in.list("tag"); !tags.empty()) request["tags"] = tags;
  const std::string id = KVCS_TRY(send(api, local, request, console));
  const Json stored = KVCS_TRY(api.call("GET", "/api/v1/artifacts/" + id + "?shape=single"));
  std::string url = api.settings().url + "/api/v1/artifacts/" + id;
  const auto open_url = stored.find("public_url");
  if (open_url != stored.end() && open_url->is_string()) url = open_url->get<std::string>();
  return Json{{"artifact_id", id},
              {"name", name},
              {"path", path},
              {"size_bytes", local.file->size_bytes()},
              {"sha256", local.sha256},
              {"visibility", in.text("visibility")},
              {"project", stored.value("project", Json())},
              {"url", url}};
}

int run_upload(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings());
  const auto done = upload(in, api, console);
  if (!done.ok()) return console.fail(done.status());
  if (console.mode().json) {
    console.print_json(*done);
    return kExitOk;
  }
  const std::string id = (*done)["artifact_id"], url = (*done)["url"];
  if (console.mode().quiet) {
    console.print(id);
    return kExitOk;
  }
  console.print("Uploaded " + printable(in.text("file")) + " (" +
                format_bytes((*done)["size_bytes"].get<uint64_t>()) + ")");
  console.print("  id       " + printable(id));
  // A server of before does not tell the project.
  if ((*done)["project"].is_string()) console.print("  project  " + shown(*done, "project"));
  console.print("  url      " + printable(url, kShownWhole));
  return kExitOk;
}

}  // namespace

std::vector<Command> upload_commands() {
  return {{.name = "upload",
           .summary = "Store a .kv file on the server and print its id and URL.",
           .options = {{.name = "FILE", .help = "The .kv file.", .required = true},
                       {.name = "--name", .help = "Its name; else that of the file."},
                       {.name = "--description", .help = "What it is about."},
                       {.name = "--tag",
                        .kind = ValueKind::kList,
                        .help = "A word to find it by; may be repeated."},
                       {.name = "--visibility",
                        .help = "Who may download it.",
                        .fallback = "private",
                        .choices = {"private", "public"}},
                       {.name = "--project,--project-id",
                        .help = "Into this project (slug, name or id) instead of the active one; "
                                "a key of the organization needs it, and its id.",
                        .value_name = "PROJECT",
                        .never_empty = true}},
           .examples = {{"kvcs upload context.kv --name demo", "Private, for the organization."},
                        {"kvcs upload context.kv --tag law --tag de", "Found by these words."},
                        {"kvcs upload context.kv --visibility public --json", "For scripts."}},
           .run = run_upload,
           .details =
               "Model, dtype and tokens come from the sidecar FILE.json, else from the "
               "file's header. A broken transfer is repeated; a file of 64 MiB and more goes "
               "in parts, and the same command goes on where an interrupted one stopped. "
               "Server and key: "
               "KVCS_API_URL and KVCS_API_KEY (or KVCDN_…), `kvcs api-key set`, or a daemon "
               "on this machine."}};
}

}  // namespace kvcs::cli
