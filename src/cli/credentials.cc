// Reads and replaces the file of logins as a whole, under the lock beside it where it changes.
#include "cli/credentials.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/api_client.h"
#include "cli/oauth_client.h"
#include "cli/state_paths.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

constexpr uint64_t kFileMaxBytes = 1 << 20;
constexpr int64_t kLockWaitMs = 90'000, kLockAgainMs = 20;  // A renewal is two requests.

Json to_json(const Login& login) {
  return Json{{"server", login.server},
              {"account", login.account},
              {"access_token", login.access_token.reveal()},
              {"refresh_token", login.refresh_token.reveal()},
              {"expires_at", login.expires_at_s},
              {"issuer", login.issuer},
              {"client_id", login.client_id}};
}

Login login_of(const Json& json) {
  Login login;
  login.server = text_member(json, "server");
  login.account = text_member(json, "account");
  login.access_token = Secret(text_member(json, "access_token"));
  login.refresh_token = Secret(text_member(json, "refresh_token"));
  login.expires_at_s = integer_member(json, "expires_at");
  login.issuer = text_member(json, "issuer");
  login.client_id = text_member(json, "client_id");
  return login;
}

// Held while the file is read and replaced. The kernel lets go of it when the process ends.
class CredentialsLock final {
 public:
  static Result<CredentialsLock> take() {
    if (credentials_path().empty()) return no_home();
    const std::filesystem::path path = credentials_path() + ".lock";
    std::error_code failed;
    std::filesystem::create_directories(path.parent_path(), failed);
    if (failed) return io_error("create", path.parent_path().string(), failed.value());
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return io_error("open", path.string(), errno);
    CredentialsLock lock(fd);
    for (int64_t waited_ms = 0; waited_ms < kLockWaitMs; waited_ms += kLockAgainMs) {
      if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
      if (errno != EWOULDBLOCK && errno != EINTR) return io_error("lock", path.string(), errno);
      pause_ms(kLockAgainMs);
    }
    return unavailable("Another kvcs holds " + printable(path.string(), kShownText) +
                       "; try again when it has ended.");
  }
  CredentialsLock(CredentialsLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  CredentialsLock& operator=(CredentialsLock&&) = delete;
  ~CredentialsLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit CredentialsLock(int fd) : fd_(fd) {}
  int fd_;
};

// Created with the mode it must have, never readable to others in between.
Status write_logins(const std::vector<Login>& logins) {
  Json list = Json::array();
  for (const Login& login : logins) list.push_back(to_json(login));
  const std::string path = credentials_path();
  const mode_t before = ::umask(0077);
  const Status written = kvfile::write_file_atomically(
      path, dump_json_pretty(Json{{"logins", std::move(list)}}) + "\n");
  ::umask(before);
  KVCS_TRY(Status(written));
  if (::chmod(path.c_str(), 0600) != 0) return io_error("chmod", path, errno);
  return ok();
}

Login* find_in(std::vector<Login>& logins, std::string_view server) {
  for (Login& login : logins) {
    if (login.server == server) return &login;
  }
  return nullptr;
}

bool is_fresh(const Login& login, int64_t now_s) {
  return login.expires_at_s == 0 || now_s + kRenewBeforeS < login.expires_at_s;
}

Status has_ended(const Login& login) {
  return unauthenticated("The sign-in at " + printable(login.server, kShownValue) +
                         " has ended. Run `kvcs login` again.");
}

// In place, and written before it is used: a refresh token that was spent and is forgotten would
// end the login.
Status renew(Login& login, std::vector<Login>& all, int64_t now_s,
             const http::FetchPolicy& policy) {
  OauthClient client(policy);
  const IssuerOffer offer = KVCS_TRY(client.discover(login.issuer));
  const Tokens tokens =
      KVCS_TRY(client.renew(offer.token_url, login.client_id, login.refresh_token));
  login.access_token = tokens.access_token;
  login.refresh_token = tokens.refresh_token;
  login.expires_at_s = tokens.expires_in_s == 0 ? 0 : now_s + tokens.expires_in_s;
  return write_logins(all);
}

}  // namespace

std::string credentials_path() {
  const std::string folder = config_folder();
  return folder.empty() ? "" : folder + "/credentials.json";
}

Result<std::vector<Login>> read_logins() {
  const std::string path = credentials_path();
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::vector<Login>();
    return io_error("look at", path, errno);
  }
  if ((found.st_mode & 077) != 0) {
    return forbidden("Others can read " + printable(path, kShownText) +
                     ", which holds tokens. Run: chmod 600 '" + printable(path, kShownText) + "'");
  }
  const std::string text = KVCS_TRY(kvfile::read_small_file(path, kFileMaxBytes));
  const Result<Json> json = parse_json(text);
  const bool is_known =
      json.ok() && json->is_object() && json->contains("logins") && (*json)["logins"].is_array();
  if (!is_known) {
    return invalid(printable(path, kShownText) +
                   " is damaged; remove it, and run `kvcs login` again.");
  }
  std::vector<Login> logins;
  for (const Json& one : (*json)["logins"]) {
    if (one.is_object()) logins.push_back(login_of(one));
  }
  return logins;
}

Status keep_login(const Login& login) {
  const CredentialsLock lock = KVCS_TRY(CredentialsLock::take());
  std::vector<Login> logins = KVCS_TRY(read_logins());
  if (Login* const before = find_in(logins, login.server)) {
    *before = login;
  } else {
    logins.push_back(login);
  }
  return write_logins(logins);
}

Result<bool> forget_login(std::string_view server) {
  const CredentialsLock lock = KVCS_TRY(CredentialsLock::take());
  std::vector<Login> logins = KVCS_TRY(read_logins());
  const size_t gone =
      std::erase_if(logins, [&](const Login& login) { return login.server == server; });
  if (gone > 0) KVCS_TRY(write_logins(logins));
  return gone > 0;
}

// Whoever has waited for the lock reads again: the other may have renewed it. While the issuer is
// away a token goes on to its very end.
Result<std::optional<Login>> fresh_login(std::string_view server, const http::FetchPolicy& policy) {
  const std::unique_ptr<Clock> clock = make_system_clock();
  std::vector<Login> logins = KVCS_TRY(read_logins());
  Login* login = find_in(logins, server);
  if (login == nullptr) return std::optional<Login>();
  if (is_fresh(*login, clock->unix_s())) return std::optional<Login>(*login);
  const CredentialsLock lock = KVCS_TRY(CredentialsLock::take());
  logins = KVCS_TRY(read_logins());
  login = find_in(logins, server);
  if (login == nullptr) return std::optional<Login>();
  const int64_t now_s = clock->unix_s();
  if (is_fresh(*login, now_s)) return std::optional<Login>(*login);
  const bool can_renew = !login->refresh_token.empty() && !login->issuer.empty();
  const Status renewed = can_renew ? renew(*login, logins, now_s, policy) : has_ended(*login);
  if (renewed.ok() || now_s < login->expires_at_s) return std::optional<Login>(*login);
  if (renewed.code() != Code::kUnauthenticated) return renewed;
  return Status(has_ended(*login)).with_cause(renewed.message());
}

}  // namespace kvcs::cli
