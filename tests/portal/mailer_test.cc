// Goal: letters are sent once, tried again when the server failed, and bounded; and what an
// operator writes about the server is read, or refused with the setting's name. Method: the queue
// run by hand with a clock that is moved by hand.
#include "portal/mailer.h"

#include <catch2/catch.hpp>

#include <cstdlib>

#include "base/clock.h"
#include "http/client/mail.h"

using namespace kvcs;
using namespace kvcs::portal;

namespace {

Mailer::Make letter(const std::string& to) {
  return [to] { return Result<std::optional<Letter>>(std::optional(Letter{to, "s", "t"})); };
}

MailConfig mail(const std::string& url) {
  MailConfig config;
  config.smtp_url = url;
  config.from = "kvcs@example.com";
  return config;
}

}  // namespace

TEST_CASE("mailer: what the server did not take is tried again, later and later, and given up",
          "[unit][portal]") {
  ManualClock clock;
  std::vector<std::string> sent;
  Status outcome;
  const auto send = [&](const Letter& one) {
    sent.push_back(one.to);
    return outcome;
  };
  Mailer mailer(send, clock, Mailer::Runs::kWhenAsked);
  CHECK(mailer.run_due() == -1);
  REQUIRE(mailer.post(letter("a@b.c")));
  CHECK(mailer.run_due() == -1);
  CHECK(sent == std::vector<std::string>{"a@b.c"});

  outcome = upstream_failed("away");
  REQUIRE(mailer.post(letter("b@b.c")));
  CHECK(mailer.run_due() == kLetterRetryMs);
  CHECK(mailer.run_due() == kLetterRetryMs);
  CHECK(sent.size() == 2);
  clock.advance_ms(kLetterRetryMs);
  CHECK(mailer.run_due() == 2 * kLetterRetryMs);
  CHECK(sent.size() == 3);
  outcome = ok();
  clock.advance_ms(2 * kLetterRetryMs);
  CHECK(mailer.run_due() == -1);
  CHECK(sent.size() == 4);

  outcome = upstream_failed("away");
  REQUIRE(mailer.post(letter("c@b.c")));
  for (int i = 0; i < kLetterAttemptsMax; i++) {
    mailer.run_due();
    clock.advance_ms(kLetterRetryMs << i);
  }
  CHECK(mailer.run_due() == -1);
  CHECK(sent.size() == 4 + kLetterAttemptsMax);
  // What is wrong in itself is not tried again.
  outcome = invalid("no address");
  REQUIRE(mailer.post(letter("d@b.c")));
  CHECK(mailer.run_due() == -1);
}

TEST_CASE("mailer: a letter is made when it is its turn, or none", "[unit][portal]") {
  ManualClock clock;
  int sent = 0, made = 0;
  Mailer mailer(
      [&](const Letter&) {
        sent++;
        return ok();
      },
      clock, Mailer::Runs::kWhenAsked);
  REQUIRE(mailer.post([&]() -> Result<std::optional<Letter>> {
    made++;
    return std::optional<Letter>();
  }));
  CHECK(made == 0);
  CHECK(mailer.run_due() == -1);
  CHECK(made == 1);
  CHECK(sent == 0);
  for (size_t i = 0; i < kLettersMax; i++) REQUIRE(mailer.post(letter("a@b.c")));
  CHECK_FALSE(mailer.post(letter("a@b.c")));
}

TEST_CASE("mailer: invitations leave room for links that somebody waits for", "[unit][portal]") {
  ManualClock clock;
  Status outcome = upstream_failed("away");
  Mailer mailer([&](const Letter&) { return outcome; }, clock, Mailer::Runs::kWhenAsked);
  const auto invite = [&] { return mailer.post(letter("a@b.c"), Mailer::About::kInvitation); };
  for (size_t i = 0; i < kInvitationLettersMax; i++) REQUIRE(invite());
  CHECK_FALSE(invite());
  // What waits to be tried again is counted as well.
  mailer.run_due();
  CHECK_FALSE(invite());
  for (size_t i = kInvitationLettersMax; i < kLettersMax; i++) {
    REQUIRE(mailer.post(letter("a@b.c")));
  }
  CHECK_FALSE(mailer.post(letter("a@b.c")));
  outcome = ok();
  clock.advance_ms(kLetterRetryMs);
  CHECK(mailer.run_due() == -1);
  for (size_t i = 0; i < kInvitationLettersMax; i++) REQUIRE(invite());
  CHECK_FALSE(invite());
}

TEST_CASE("mailer: a letter shows no name of which a link would be made", "[unit][portal]") {
  CHECK(name_in_letter("Ada Lovelace", "Somebody") == "Ada Lovelace");
  CHECK(name_in_letter("acme.io & S\u00f6hne", "x") == "acme.io & S\u00f6hne");
  for (const char* name : {"", "https://evil.example/x", "Pay at HTTP://evil.example",
                           "WWW.evil.example", "Ada\r\nPay here", "Ada\u2028Pay here"}) {
    INFO(name);
    CHECK(name_in_letter(name, "Somebody") == "Somebody");
  }
}

TEST_CASE("mailer: the server's URL says how and as whom", "[unit][portal]") {
  CHECK_FALSE(read_mail_server({})->has_value());
  const MailServer plain = **read_mail_server(mail("smtp://mail.example.com"));
  CHECK(plain.url == "smtp://mail.example.com:587");
  CHECK(plain.requires_tls);
  CHECK_FALSE((*read_mail_server(mail("smtp://127.0.0.1:25")))->requires_tls);
  CHECK_FALSE((*read_mail_server(mail("smtp://[::1]")))->requires_tls);
  ::setenv("KVCS_TEST_MAIL_PASSWORD", "secret", 1);
  MailConfig login = mail("smtps://me%2Bx@example.com@mail.example.com");
  login.password_env = "KVCS_TEST_MAIL_PASSWORD";
  const MailServer server = **read_mail_server(login);
  CHECK(server.url == "smtps://mail.example.com:465");
  CHECK(server.user == "me+x@example.com");
  CHECK(server.password.reveal() == "secret");
  const auto refusal = [](const MailConfig& config) {
    return read_mail_server(config).status().message();
  };
  for (const char* bad : {"mail.example.com", "http://x", "smtp://", "smtp://me:pw@host",
                          "smtp://host/path", "smtp://host\r\nQUIT", "smtp://ho st"}) {
    INFO(bad);
    CHECK(refusal(mail(bad)).starts_with("mail.smtp_url: "));
  }
  MailConfig nobody = mail("smtp://host");
  nobody.password_env = "KVCS_TEST_MAIL_PASSWORD";
  CHECK(refusal(nobody).starts_with("mail.smtp_url: "));
  CHECK(refusal(mail("smtp://me@host")).starts_with("mail.password_file"));
  login.password_file = "/x";
  CHECK(refusal(login).starts_with("mail.password_env and"));
  MailConfig unset = mail("smtp://me@host");
  unset.password_env = "KVCS_TEST_NOT_SET";
  CHECK(refusal(unset).starts_with("mail.password_env: "));
  MailConfig from = mail("smtp://host");
  from.from = "kvcs@example.com\r\nBcc: eve@example.com";
  CHECK(refusal(from).starts_with("mail.from: "));
  ::unsetenv("KVCS_TEST_MAIL_PASSWORD");
}

TEST_CASE("mailer: nothing of a letter ends a header", "[unit][portal]") {
  http::MailRequest request;
  request.from = "kvcs@example.com";
  request.to = "ada@example.com";
  request.subject = "Hello\r\nBcc: eve@example.com";
  request.text = "text\r\n.\r\nMAIL FROM:<eve@example.com>";
  const std::string text = http::mail_text(request, 0).value();
  CHECK(text.find("Bcc") == std::string::npos);
  CHECK(text.find("eve@") == std::string::npos);
  for (const char* to : {"ada@example.com\r\nBcc: eve@x.y", "a b@x.y", "<ada@x.y>", "ada"}) {
    request.to = to;
    CHECK(http::mail_text(request, 0).code() == Code::kInvalid);
  }
  // A letter of more than one byte stays whole in the subject.
  request.to = "ada@example.com";
  request.subject = std::string(39, 'x') + "\xc3\xa4";
  const std::string subject = http::mail_text(request, 0).value();
  CHECK(subject.find("=?UTF-8?B?w6Q=?=") != std::string::npos);
}
