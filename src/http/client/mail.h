// One plain text mail by SMTP (libcurl). Blocks until the server has taken it or kMailDeadlineMs
// passed. Thread-safe.
#pragma once
#include <optional>
#include <string>

#include "base/secret.h"
#include "base/status.h"

namespace kvcs::http {

inline constexpr int kMailDeadlineMs = 20'000;

struct MailRequest {
  std::string url;   // smtp://host:587 (STARTTLS is required where a user is given) or smtps://…
  std::string user;  // "" = no login.
  Secret password;
  std::string from, to;       // Addresses without names; `to` may hold several, by commas.
  std::string subject, text;  // UTF-8.
  std::string ca_file;        // "" = the system's.
  // Whether it is sent under TLS or not at all; else TLS is used where the server offers it.
  // Nothing: as a login needs.
  std::optional<bool> requires_tls = std::nullopt;
};
// Invalid: an address or subject that would break a header, a URL that is not SMTP, or what the
// server refuses for good (550 to 553, 555). Upstream: the server cannot be reached, or refuses for
// a while. Both have the server's last reply in their words.
Status send_mail(const MailRequest& mail);
// The message as it is sent; Invalid as above. `unix_s` is its date.
Result<std::string> mail_text(const MailRequest& mail, int64_t unix_s);

}  // namespace kvcs::http
