// Reads and writes dates by the C library, whose calendar needs no time zone in UTC.
#include "base/http_date.h"

#include <array>
#include <ctime>

namespace kvcs {
namespace {

constexpr const char* kForm = "%a, %d %b %Y %H:%M:%S GMT";

}  // namespace

std::optional<int64_t> read_http_date(std::string_view text) {
  std::tm parts{};
  const std::string whole(text);
  const char* const end = ::strptime(whole.c_str(), kForm, &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

std::string write_http_date(int64_t unix_s) {
  const std::time_t seconds = unix_s;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), kForm, &parts)};
}

}  // namespace kvcs
