// Mail to people: invitations, and links that were asked for. One thread sends it, one letter after
// the other, and tries again what the server did not take. What waits is in memory and bounded: who
// does not get a letter asks again, so that none outlives the process. Thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/secret.h"
#include "base/status.h"
#include "portal/portal.h"

namespace kvcs::portal {

inline constexpr size_t kLettersMax = 1000;
// Of them invitations, which people send to whom they like: reset links find room besides.
inline constexpr size_t kInvitationLettersMax = kLettersMax / 2;
inline constexpr int kLetterAttemptsMax = 5;
inline constexpr int64_t kLetterRetryMs = 15'000;  // Then twice as long each time.

// Where mail is handed in, by `mail` of the configuration.
struct MailServer {
  std::string url;   // "smtps://host:465", "smtp://host:587"; without the user.
  std::string user;  // "" = no login.
  Secret password;
  std::string from;
  bool requires_tls = true;  // Else the server is on this machine.
};
// Nothing when no server is configured. Invalid names the setting.
Result<std::optional<MailServer>> read_mail_server(const MailConfig& config);

struct Letter {
  std::string to, subject, text;
  // Called once, when it was sent, or will be tried no more.
  std::function<void(bool was_sent)> ended = {};
};
// A name that people chose, as a letter may show it; `otherwise` in the place of one of which a
// mail program would make a link, or that has line breaks.
std::string name_in_letter(std::string_view name, std::string_view otherwise);

class Mailer final {
 public:
  // Invalid: it will never be taken. Any other failure: perhaps the next time.
  using Send = std::function<Status(const Letter& letter)>;
  // Called on the mailer's thread, since what goes into a letter may take a time that tells
  // something to whoever asked for it. Nothing: no letter is due.
  using Make = std::function<Result<std::optional<Letter>>()>;
  enum class Runs : uint8_t { kOnOwnThread, kWhenAsked };  // By run_due(), in tests.
  Mailer(Send send, const Clock& clock, Runs runs = Runs::kOnOwnThread);
  // Gives up what waits.
  ~Mailer();
  Mailer(const Mailer&) = delete;
  Mailer& operator=(const Mailer&) = delete;

  enum class About : uint8_t { kAccount, kInvitation };
  // False, and nothing will come of it, when kLettersMax wait, or kInvitationLettersMax
  // invitations, or the system gives no thread.
  bool post(Make make, About about = About::kAccount);
  // Tries what is due; how many ms until something is, -1 when nothing waits.
  int64_t run_due();

 private:
  struct Impl;
  void work();

  const std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::portal
