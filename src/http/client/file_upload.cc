// put_file(): one blocking transfer by libcurl's easy interface, for the command line, which has
// nothing else to do meanwhile.
#include <curl/curl.h>
#include <errno.h>
#include <unistd.h>

#include <algorithm>

#include "base/bytes.h"
#include "http/client/upstream.h"

namespace kvcs::http {
namespace {

constexpr long kConnectTimeoutMs = 10'000;
// With the idle timeout: a transfer that moves less than this on average over that time is given
// up.
constexpr long kLeastBytesPerSecond = 1;
constexpr size_t kAnswerMaxBytes = 64 << 10;
constexpr long kSendBufferBytes = 512 << 10;

// The state that the callbacks below work on.
struct Exchange {
  const FileUpload& upload;
  uint64_t sent_bytes = 0;
  std::string answer;
  int read_error = 0;
};

size_t on_read(char* out, size_t size, size_t count, void* self) {
  auto& exchange = *static_cast<Exchange*>(self);
  const size_t want =
      std::min<uint64_t>(size * count, exchange.upload.size_bytes - exchange.sent_bytes);
  ssize_t n = 0;
  do {
    n = ::pread(exchange.upload.descriptor, out, want,
                static_cast<off_t>(exchange.upload.offset + exchange.sent_bytes));
  } while (n < 0 && errno == EINTR);
  if (n < 0 || (n == 0 && want > 0)) {
    exchange.read_error = n < 0 ? errno : EIO;
    return CURL_READFUNC_ABORT;
  }
  exchange.sent_bytes += static_cast<uint64_t>(n);
  return static_cast<size_t>(n);
}

// libcurl sends again from the start when a kept connection turns out to be closed.
int on_seek(void* self, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Exchange*>(self)->sent_bytes = static_cast<uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

size_t on_answer(char* data, size_t size, size_t count, void* self) {
  std::string& answer = static_cast<Exchange*>(self)->answer;
  const size_t n = size * count;
  answer.append(data, std::min(n, kAnswerMaxBytes - std::min(answer.size(), kAnswerMaxBytes)));
  return n;
}

int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& exchange = *static_cast<Exchange*>(self);
  if (exchange.upload.progress) exchange.upload.progress(exchange.sent_bytes);
  return 0;
}

void set_options(CURL* curl, Exchange& exchange, curl_slist* headers) {
  const FileUpload& upload = exchange.upload;
  curl_easy_setopt(curl, CURLOPT_URL, upload.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, upload.method.c_str());
  curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(upload.size_bytes));
  curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, kSendBufferBytes);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
  curl_easy_setopt(curl, CURLOPT_READDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
  curl_easy_setopt(curl, CURLOPT_SEEKDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kLeastBytesPerSecond);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(upload.idle_timeout_ms / 1000));
  if (!upload.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, upload.ca_file.c_str());
}

}  // namespace

Result<FileUploadAnswer> put_file(const FileUpload& upload) {
  KVCS_TRY(check_upstream_url(upload.url));
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  // The server refuses by closing; waiting for its leave to send would cost a round trip.
  curl_slist* const no_expect = curl_slist_append(nullptr, "Expect:");
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(no_expect, curl_slist_free_all);
  if (!curl || !headers) return internal("libcurl has no memory.");
  // The list's head stays where it is.
  for (const auto& [name, value] : upload.headers) {
    if (curl_slist_append(headers.get(), (name + ": " + value).c_str()) == nullptr) {
      return internal("libcurl has no memory.");
    }
  }
  Exchange exchange{upload, 0, {}, 0};
  set_options(curl.get(), exchange, headers.get());
  const CURLcode code = curl_easy_perform(curl.get());
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (exchange.read_error != 0) return io_error("read", "the file to upload", exchange.read_error);
  // An answer that came before the body was sent is still the answer.
  if (code != CURLE_OK && status < 400) {
    return upstream_failed("The transfer broke off: " + std::string(curl_easy_strerror(code)) +
                           ".");
  }
  return FileUploadAnswer{static_cast<int>(status), std::move(exchange.answer)};
}

}  // namespace kvcs::http
