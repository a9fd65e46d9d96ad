// An issuer of OpenID Connect on a scripted upstream, for tests: it answers discovery, keys, the
// token endpoint and UserInfo, counts what it was asked, and can be away. One thread changes it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/json.h"
#include "oauth/oidc.h"
#include "oauth/token_maker.h"
#include "support/scripted_upstream.h"

namespace kvcs::test {

class ScriptedIssuer final {
 public:
  explicit ScriptedIssuer(std::string url = "https://id.example.com/realm");
  ~ScriptedIssuer();

  ManualClock clock;
  ScriptedUpstream upstream{&clock};
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(16);
  oauth::IssuerConfig config;
  TokenMaker key{oauth::JwsAlgorithm::kEdDsa};
  std::string url;

  // The answers, by the URL's path; a test may change each of them. The one of the token endpoint
  // is made by next_tokens().
  std::map<std::string, ScriptedAnswer> answers;
  void answer(const std::string& path, int status, std::string body,
              std::string content_type = "application/json");
  void set_metadata(const char* name, const Json& value);  // null: the member goes.
  void publish(const std::vector<Json>& keys);
  void go_away();    // No connection from now on …
  void come_back();  // … until now.
  size_t asked(std::string_view path) const;

  // The claims of a good ID token for a sign-in with the nonce "n-1", and those with one changed.
  Json claims() const;
  Json claims_with(const char* name, const Json& value) const;  // null: the member goes.
  Json logout_claims() const;
  std::string token(const Json& claims, std::string_view type = "JWT") const {
    return key.token("k1", claims, type);
  }
  // What the token endpoint gives.
  void next_tokens(const std::string& id_token);

  // Made at the first use; config counts until then.
  oauth::Issuer& issuer();
  static oauth::SignInAnswer browser_answer();
  Result<oauth::Identity> sign_in(const std::string& id_token);

 private:
  std::unique_ptr<Json> metadata_;
  bool away_ = false;
  std::unique_ptr<oauth::Issuer> issuer_;
};

}  // namespace kvcs::test
