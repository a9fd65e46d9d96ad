// Mail by libcurl's SMTP: the text of a message, and one blocking delivery. Called by the alerts'
// job, on its thread, through a function that App passes to the ledger.
#include "http/client/mail.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <memory>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/mail_address.h"

namespace kvcs::http {
namespace {

constexpr int kConnectTimeoutMs = 5'000;
constexpr size_t kBase64LineBytes = 76;
constexpr size_t kSubjectPartBytes = 40;
constexpr size_t kReplyMaxBytes = 512;  // RFC 5321 §4.5.3.1.5.

Result<std::vector<std::string>> recipients(const MailRequest& mail) {
  std::vector<std::string> all;
  for (const std::string_view part : split(mail.to, ',')) {
    const std::string_view address = trim(part);
    if (!is_mail_address(address))
      return invalid("'" + printable(address, kShownName) + "' is no address.");
    all.emplace_back(address);
  }
  return all;
}

struct Upload {
  std::string_view rest;
};
size_t read_upload(char* out, size_t size, size_t count, void* user) {
  auto& upload = *static_cast<Upload*>(user);
  const size_t n = std::min(size * count, upload.rest.size());
  std::memcpy(out, upload.rest.data(), n);
  upload.rest.remove_prefix(n);
  return n;
}

// The reply to the last command, of which the server's own words are kept (RFC 5321 §4.2).
size_t read_reply(char* line, size_t size, size_t count, void* user) {
  const std::string_view text = trim(std::string_view(line, size * count));
  if (!text.empty()) *static_cast<std::string*>(user) = text.substr(0, kReplyMaxBytes);
  return size * count;
}

struct FreeCurl {
  void operator()(CURL* p) const { curl_easy_cleanup(p); }
  void operator()(curl_slist* p) const { curl_slist_free_all(p); }
};

}  // namespace

Result<std::string> mail_text(const MailRequest& mail, int64_t unix_s) {
  if (!is_mail_address(mail.from)) {
    return invalid("'" + printable(mail.from, kShownName) + "' is no address.");
  }
  const auto to = recipients(mail);
  if (!to.ok()) return to.status();
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm tm{};
  ::gmtime_r(&time, &tm);
  char date[64];
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
  // RFC 5322 §3.6.4; large receivers refuse a letter without one.
  const std::string identity = sha256_hex(std::to_string(unix_s) + "\n" + mail.from + "\n" +
                                          mail.to + "\n" + mail.subject + "\n" + mail.text);
  std::string text = "Date: " + std::string(date) + "\r\nMessage-ID: <" + identity.substr(0, 32) +
                     mail.from.substr(mail.from.find('@')) + ">\r\nFrom: <" + mail.from +
                     ">\r\nTo: ";
  for (const std::string& address : to.value()) {
    text += (&address == &to.value().front() ? "<" : ", <") + address + ">";
  }
  // RFC 2047: what the subject holds cannot end its header, and no character is cut.
  text += "\r\nSubject:";
  for (size_t at = 0; at == 0 || at < mail.subject.size();) {
    size_t end = std::min(at + kSubjectPartBytes, mail.subject.size());
    while (end < mail.subject.size() && (mail.subject[end] & 0xc0) == 0x80 && end > at + 1) end--;
    text += (at == 0 ? " =?UTF-8?B?" : "\r\n =?UTF-8?B?") +
            to_base64(mail.subject.substr(at, end - at)) + "?=";
    at = std::max(end, at + 1);
  }
  text +=
      "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8"
      "\r\nContent-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n";
  const std::string body = to_base64(mail.text);
  for (size_t at = 0; at < body.size(); at += kBase64LineBytes) {
    text += body.substr(at, kBase64LineBytes) + "\r\n";
  }
  return text;
}

Status send_mail(const MailRequest& mail) {
  if (!mail.url.starts_with("smtp://") && !mail.url.starts_with("smtps://")) {
    return invalid("The SMTP server must be given as smtp://HOST:PORT or smtps://HOST:PORT.");
  }
  const std::string text = KVCS_TRY(mail_text(mail, std::time(nullptr)));
  const auto to = KVCS_TRY(recipients(mail));
  const std::unique_ptr<CURL, FreeCurl> curl(curl_easy_init());
  if (!curl) return unavailable("libcurl could not be set up.");
  curl_slist* list = nullptr;
  for (const std::string& address : to) list = curl_slist_append(list, address.c_str());
  const std::unique_ptr<curl_slist, FreeCurl> owned(list);
  Upload upload{text};
  curl_easy_setopt(curl.get(), CURLOPT_URL, mail.url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(kConnectTimeoutMs));
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(kMailDeadlineMs));
  if (!mail.user.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_USERNAME, mail.user.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_PASSWORD, mail.password.reveal().c_str());
  }
  // A password is sent under TLS or not at all; without one, TLS is used where the server offers
  // it.
  const bool requires_tls = mail.requires_tls.value_or(!mail.user.empty());
  const long tls = requires_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY;
  curl_easy_setopt(curl.get(), CURLOPT_USE_SSL, tls);
  if (!mail.ca_file.empty()) curl_easy_setopt(curl.get(), CURLOPT_CAINFO, mail.ca_file.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_MAIL_FROM, ("<" + mail.from + ">").c_str());
  curl_easy_setopt(curl.get(), CURLOPT_MAIL_RCPT, list);
  curl_easy_setopt(curl.get(), CURLOPT_READFUNCTION, read_upload);
  curl_easy_setopt(curl.get(), CURLOPT_READDATA, &upload);
  curl_easy_setopt(curl.get(), CURLOPT_UPLOAD, 1L);
  std::string reply;
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, read_reply);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &reply);
  const CURLcode outcome = curl_easy_perform(curl.get());
  if (outcome == CURLE_OK) return ok();
  // Of this letter for good, and asking again does not change it. Others of 5yz are about the login
  // or the server, which somebody mends.
  static constexpr std::string_view kFinal[] = {"550", "551", "552", "553", "555"};
  const bool is_final = std::any_of(std::begin(kFinal), std::end(kFinal),
                                    [&](std::string_view code) { return reply.starts_with(code); });
  if (outcome != CURLE_OPERATION_TIMEDOUT && is_final) {
    return invalid("The mail server refuses the mail: " + printable(reply, kShownText) + ".");
  }
  return upstream_failed(
      "The mail server did not take the mail: " + std::string(curl_easy_strerror(outcome)) +
      (reply.empty() ? "." : "; it said last: " + printable(reply, kShownText) + "."));
}

}  // namespace kvcs::http
