// Goal: what goes to a mail server is well formed, and nothing in it can break a header. A server
// that is not there is a failure, not a hang.
#include "http/client/mail.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"

using namespace kvcs;
using namespace kvcs::http;

namespace {

MailRequest good() {
  MailRequest mail;
  mail.url = "smtp://127.0.0.1:1";
  mail.from = "kvcs@example.com";
  mail.to = "a@example.com, b@example.com";
  mail.subject = "[kvcs] disk.low d\xC3\xA4ta\r\nBcc: evil@example.com";
  mail.text = "Free: 1 GB.\n.\nQUIT\n";
  return mail;
}

}  // namespace

TEST_CASE("mail: the text has its headers and hides what could break them", "[unit][http]") {
  const std::string text = mail_text(good(), 1'767'225'600).value();
  CHECK(text.starts_with("Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <"));
  CHECK(text.find("@example.com>\r\nFrom: <kvcs@example.com>\r\nTo: <a@example.com>, "
                  "<b@example.com>\r\nSubject: =?UTF-8?B?") != std::string::npos);
  const auto id = [](const std::string& letter) {
    const size_t at = letter.find("Message-ID: ");
    return letter.substr(at, letter.find('\r', at) - at);
  };
  MailRequest other = good();
  other.to = "c@example.com";
  CHECK(id(text) != id(mail_text(other, 1'767'225'600).value()));
  CHECK(id(text) != id(mail_text(good(), 1'767'225'601).value()));
  CHECK(text.find("Bcc") == std::string::npos);
  CHECK(text.find("\n.\n") == std::string::npos);
  const std::string body = text.substr(text.find("\r\n\r\n") + 4);
  CHECK(from_base64(std::string(trim(body))).value() == good().text);
}

TEST_CASE("mail: bad addresses and servers are refused, a missing server fails", "[unit][http]") {
  MailRequest mail = good();
  for (const char* to : {"", "nobody", "a@b,,c@d", "<a@b>", "a@b\r\nX: y"}) {
    mail.to = to;
    CHECK(send_mail(mail).code() == Code::kInvalid);
  }
  mail = good();
  mail.from = "x";
  CHECK(send_mail(mail).code() == Code::kInvalid);
  mail = good();
  mail.url = "https://example.com";
  CHECK(send_mail(mail).code() == Code::kInvalid);
  mail.url = "smtp://127.0.0.1:1";
  mail.password = Secret("mail-secret");
  const Status failed = send_mail(mail);
  CHECK(failed.code() == Code::kUpstream);
  CHECK(failed.to_string().find("mail-secret") == std::string::npos);
}
