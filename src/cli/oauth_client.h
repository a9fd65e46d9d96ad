// The client's side of a sign-in by OAuth: what an issuer offers (OpenID Connect Discovery 1.0),
// the device authorization grant (RFC 8628), the renewal and the end of tokens (RFC 6749 §6, RFC
// 7009). One thread.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "http/client/fetch.h"

namespace kvcs::cli {

// What an issuer publishes; "" for what it does not have.
struct IssuerOffer {
  std::string token_url, device_url, revocation_url;
  bool gives_offline_access = false;  // It wants to be asked for refresh tokens by a scope.
};
struct Tokens {
  Secret access_token, refresh_token;
  int64_t expires_in_s = 0;  // 0: not told.
};
// What the person is shown, and where the program asks.
struct DevicePrompt {
  std::string user_code, url, complete_url;  // The last "" where there is none.
};
using FormPairs = std::vector<std::pair<std::string, std::string>>;

class OauthClient final {
 public:
  // `policy`: how the issuers and the servers are reached.
  explicit OauthClient(http::FetchPolicy policy);

  // Invalid: the issuer, or an endpoint of it, is neither https nor on this machine.
  Result<IssuerOffer> discover(const std::string& issuer);
  // Begins at `device_url` with `form`, shows the prompt, and asks at `token_url` until the person
  // has decided. Forbidden: the person said no. Timeout: the code has ended.
  Result<Tokens> sign_in_by_device(const std::string& device_url, const std::string& token_url,
                                   const FormPairs& form,
                                   const std::function<void(const DevicePrompt&)>& show);
  // Unauthenticated: the refresh token is good no longer.
  Result<Tokens> renew(const std::string& token_url, const std::string& client_id,
                       const Secret& refresh_token);
  Status revoke(const std::string& revocation_url, const std::string& client_id,
                const Secret& token);

  struct Answer {
    int status = 0;
    std::unique_ptr<Json> body;  // An object, {} when the answer has none.
  };
  // A GET without a form.
  Result<Answer> ask(const std::string& url, const FormPairs* form);

 private:
  Result<Tokens> wait_for_tokens(const std::string& token_url, const FormPairs& form,
                                 int64_t interval_s, int64_t lifetime_s);

  std::unique_ptr<Clock> clock_;
  http::Fetcher fetcher_;
};

}  // namespace kvcs::cli
