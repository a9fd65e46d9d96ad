// The queue of letters, the thread that empties it, and the URL of the server.
#include "portal/mailer.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "base/loopback.h"
#include "base/mutex.h"
#include "base/private_file.h"
#include "base/start_thread.h"
#include "http/form.h"
#include "identity/users.h"

namespace kvcs::portal {
namespace {

constexpr size_t kPasswordFileMaxBytes = 4096;
constexpr std::string_view kPlain = "smtp://", kOverTls = "smtps://";

Result<Secret> read_password(const MailConfig& config) {
  if (!config.password_env.empty() && !config.password_file.empty()) {
    return invalid("mail.password_env and mail.password_file: give one of them.");
  }
  if (!config.password_env.empty()) {
    const char* const value = std::getenv(config.password_env.c_str());
    if (value == nullptr) {
      return invalid("mail.password_env: " + printable(config.password_env, kShownName) +
                     " is not set.");
    }
    return Secret(value);
  }
  if (config.password_file.empty()) return Secret();
  const Secret text = KVCS_TRY(read_private_file(config.password_file, kPasswordFileMaxBytes));
  return Secret(std::string(trim(text.reveal())));
}

Status bad_url(std::string_view why) {
  return invalid("mail.smtp_url: " + std::string(why) +
                 " It is smtps://USER@HOST:465, or smtp://USER@HOST:587 with STARTTLS.");
}

// "host" or "host:port", of letters that a host has.
bool is_host_and_port(std::string_view text) {
  for (const char c : text) {
    const bool may = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
    if (!may) return false;
  }
  return !text.empty() && text.front() != ':';
}

}  // namespace

Result<std::optional<MailServer>> read_mail_server(const MailConfig& config) {
  std::string_view rest = config.smtp_url;
  if (rest.empty()) return std::optional<MailServer>();
  const bool is_tls = rest.starts_with(kOverTls);
  if (!is_tls && !rest.starts_with(kPlain)) return bad_url("it begins with neither scheme.");
  rest.remove_prefix(is_tls ? kOverTls.size() : kPlain.size());
  MailServer server;
  if (const size_t at = rest.rfind('@'); at != rest.npos) {
    const std::string_view user = rest.substr(0, at);
    if (user.find(':') != user.npos) {
      return bad_url("a password belongs into mail.password_file or mail.password_env.");
    }
    std::string encoded = "user=";
    for (const char c : user) encoded += c == '+' ? std::string("%2B") : std::string(1, c);
    server.user = http::form_value(encoded, "user").value_or("");
    if (server.user.empty()) return bad_url("the user is not percent-encoded well.");
    rest.remove_prefix(at + 1);
  }
  if (!is_host_and_port(rest)) return bad_url("what follows is no HOST:PORT.");
  const size_t port = rest.rfind(':');
  const bool has_port = port != rest.npos && rest.find(']', port) == rest.npos;
  const std::string_view host = has_port ? rest.substr(0, port) : rest;
  server.url = std::string(is_tls ? kOverTls : kPlain) + std::string(rest) +
               (has_port ? ""
                : is_tls ? ":465"
                         : ":587");
  server.requires_tls = !is_loopback_host(host);
  server.password = KVCS_TRY(read_password(config));
  if (server.user.empty() != server.password.empty()) {
    return invalid(server.user.empty()
                       ? "mail.smtp_url: a password is given, but no user (smtps://USER@HOST)."
                       : "mail.password_file or mail.password_env: needed for the user of "
                         "mail.smtp_url.");
  }
  const Result<std::string> from = normal_email(config.from);
  if (!from.ok()) {
    return invalid("mail.from: '" + printable(config.from, kShownName) + "' is no address.");
  }
  server.from = config.from;
  return std::optional(std::move(server));
}

std::string name_in_letter(std::string_view name, std::string_view otherwise) {
  const std::string lower = lower_ascii(name);
  // The last three break lines as well: U+0085, U+2028, U+2029.
  for (const std::string_view sign :
       {"://", "www.", "\n", "\r", "\v", "\f", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"}) {
    if (name.empty() || lower.find(sign) != lower.npos) return std::string(otherwise);
  }
  return printable(name, kShownName);
}

// `waiting` holds what is to be tried; what is being tried just now is counted besides.
struct Mailer::Impl {
  struct Waiting {
    Make make;
    std::optional<Letter> letter;  // Made.
    int attempts = 0;
    int64_t due_ms = 0;
    About about = About::kAccount;
  };
  const Send send;
  const Clock& clock;
  const Runs runs;
  Mutex mutex = {};
  CondVar wake = {};
  std::deque<Waiting> waiting KVCS_GUARDED_BY(mutex) = {};
  size_t tried KVCS_GUARDED_BY(mutex) = 0;
  size_t invitations KVCS_GUARDED_BY(mutex) = 0;  // Waiting, or tried just now.
  bool stops KVCS_GUARDED_BY(mutex) = false;
  std::vector<Thread> threads KVCS_GUARDED_BY(mutex) = {};

  int64_t now_ms() const { return clock.mono_us() / 1000; }

  // What is due and waits longest; nothing when nothing is.
  std::optional<Waiting> next() {
    const MutexLock lock(mutex);
    for (auto it = waiting.begin(); it != waiting.end() && !stops; ++it) {
      if (it->due_ms > now_ms()) continue;
      Waiting found = std::move(*it);
      waiting.erase(it);
      tried++;
      return found;
    }
    return std::nullopt;
  }
  // The letter is made once; a failure to make it is tried again like one to send it.
  Status attempt(Waiting& one) const {
    if (!one.letter) one.letter = KVCS_TRY(one.make());
    return one.letter ? send(*one.letter) : ok();
  }
  void ended(Waiting one, const Status& outcome) {
    const bool again =
        !outcome.ok() && outcome.code() != Code::kInvalid && ++one.attempts < kLetterAttemptsMax;
    if (!outcome.ok()) {
      log::warn("mail.not_sent",
                {{"error", outcome.to_string()}, {"attempts", one.attempts}, {"again", again}});
    }
    if (!again && one.letter && one.letter->ended) one.letter->ended(outcome.ok());
    const MutexLock lock(mutex);
    tried--;
    if (!again) {
      if (one.about == About::kInvitation) invitations--;
      return;
    }
    one.due_ms = now_ms() + (kLetterRetryMs << (one.attempts - 1));
    waiting.push_back(std::move(one));
  }
  int64_t wait_ms() {
    const MutexLock lock(mutex);
    int64_t least = -1;
    for (const Waiting& one : waiting) {
      const int64_t left = std::max<int64_t>(one.due_ms - now_ms(), 0);
      least = least < 0 ? left : std::min(least, left);
    }
    return least;
  }
};

Mailer::Mailer(Send send, const Clock& clock, Runs runs)
    : impl_(new Impl{std::move(send), clock, runs}) {}

Mailer::~Mailer() {
  std::vector<Thread> threads;
  size_t left = 0;
  {
    const MutexLock lock(impl_->mutex);
    impl_->stops = true;
    left = impl_->waiting.size();
    threads = std::move(impl_->threads);
  }
  impl_->wake.notify_all();
  if (left > 0) log::warn("mail.given_up", {{"letters", static_cast<int64_t>(left)}});
}

int64_t Mailer::run_due() {
  while (std::optional<Impl::Waiting> one = impl_->next()) {
    const Status outcome = impl_->attempt(*one);
    impl_->ended(std::move(*one), outcome);
  }
  return impl_->wait_ms();
}

// The thread begins with the first letter: most daemons send none.
bool Mailer::post(Make make, About about) {
  const MutexLock lock(impl_->mutex);
  const bool is_invitation = about == About::kInvitation;
  if (impl_->waiting.size() + impl_->tried >= kLettersMax) return false;
  if (is_invitation && impl_->invitations >= kInvitationLettersMax) return false;
  if (impl_->threads.empty() && impl_->runs == Runs::kOnOwnThread) {
    Result<Thread> thread = start_thread("mail", [this] { work(); });
    if (!thread.ok()) return false;
    impl_->threads.push_back(std::move(thread).value());
  }
  impl_->waiting.push_back({std::move(make), {}, 0, impl_->now_ms(), about});
  if (is_invitation) impl_->invitations++;
  impl_->wake.notify_one();
  return true;
}

void Mailer::work() {
  while (true) {
    const int64_t wait_ms = run_due();
    const MutexLock lock(impl_->mutex);
    if (impl_->stops) return;
    const bool is_due =
        std::any_of(impl_->waiting.begin(), impl_->waiting.end(),
                    [&](const Impl::Waiting& one) { return one.due_ms <= impl_->now_ms(); });
    if (is_due) continue;
    if (wait_ms < 0) {
      impl_->wake.wait(impl_->mutex);
    } else {
      impl_->wake.wait_for_ms(impl_->mutex, wait_ms + 1);
    }
  }
}

}  // namespace kvcs::portal
