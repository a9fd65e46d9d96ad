// Where this machine keeps that somebody has signed in at a server (`kvcs login`): one login for
// each server, in credentials.json beside the configuration file, mode 0600. A file that others can
// read is refused. Tokens that end are renewed at their issuer before they are used; a lock beside
// the file lets one process at a time do that, since a refresh token is good once. One thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/status.h"
#include "http/client/fetch.h"

namespace kvcs::cli {

inline constexpr int64_t kRenewBeforeS = 60;  // Before the end of a token.

struct Login {
  std::string server;   // The URL, without a slash at its end.
  std::string account;  // Whose it is, for people.
  Secret access_token;
  Secret refresh_token;        // Empty: it cannot be renewed.
  int64_t expires_at_s = 0;    // 0: not told.
  std::string issuer;          // "": the server itself, and the token is a session's.
  std::string client_id = {};  // At the issuer.
};

std::string credentials_path();  // "" without a home.
// None when there is no file. Forbidden with the command to run: others can read it.
Result<std::vector<Login>> read_logins();
Status keep_login(const Login& login);  // In the place of the server's earlier one.
// False: there was none.
Result<bool> forget_login(std::string_view server);
// The login at a server, renewed when it is about to end; nothing when there is none.
// Unauthenticated: it has ended, and cannot be renewed. `policy`: how the issuer is reached.
Result<std::optional<Login>> fresh_login(std::string_view server, const http::FetchPolicy& policy);

}  // namespace kvcs::cli
