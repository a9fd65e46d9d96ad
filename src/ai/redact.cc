// Walks a body word by word and leaves out words that look like secrets or persons. One pass, no
// regular expressions: it runs for every request of an organization that keeps bodies.
#include "ai/redact.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/chars.h"

namespace kvcs::ai {
namespace {

constexpr size_t kBlobMinBytes = 256;   // A word of this length is data and not language.
constexpr size_t kSecretMinBytes = 12;  // After its prefix; shorter ones are ordinary words.
constexpr std::string_view kMark = "***";

// How keys of well-known services and of kvcs itself begin. "eyJ" begins a JWT.
constexpr std::array<std::string_view, 20> kSecretPrefixes = {
    "sk-",        "pk-",    "gw_live_", "kv_",      "kt_",     "ka_",  "ghp_",
    "gho_",       "ghs_",   "ghu_",     "AKIA",     "ASIA",    "AIza", "xox",
    "github_pat", "glpat-", "hf_",      "sk_live_", "rk_live", "eyJ"};
// Members whose value is a secret whatever it looks like; compared in lower case.
constexpr std::array<std::string_view, 12> kSecretMembers = {
    "password", "passwd",       "secret",        "api_key",       "apikey",        "api-key",
    "token",    "access_token", "refresh_token", "client_secret", "authorization", "private_key"};

// The characters of keys, addresses and base64: what they form is judged as one word.
bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-+/.@").find(c) != std::string_view::npos;
}
bool is_alnum(char c) {
  return is_word_char(c) && std::string_view("_-+/.@").find(c) == std::string_view::npos;
}

size_t word_end(std::string_view text, size_t at) {
  while (at < text.size() && is_word_char(text[at])) at++;
  return at;
}

bool is_email(std::string_view word) {
  const size_t at = word.find('@');
  if (at == word.npos || at == 0) return false;
  const size_t dot = word.rfind('.');
  return dot != word.npos && dot > at + 1 && dot + 1 < word.size();
}

// Where a secret begins in the word, by its prefix; npos when it holds none.
size_t find_secret(std::string_view word) {
  for (size_t at = 0; at < word.size(); at++) {
    if (at > 0 && is_alnum(word[at - 1])) continue;
    for (const std::string_view prefix : kSecretPrefixes) {
      const std::string_view rest = word.substr(at);
      if (rest.starts_with(prefix) && rest.size() >= prefix.size() + kSecretMinBytes) return at;
    }
  }
  return word.npos;
}

// Position after the value of a member whose name ends at `at`, and where the value begins; the
// quotes may be escaped, as in the arguments of a tool.
struct Span {
  size_t begin, end;
};
std::optional<Span> member_value(std::string_view text, size_t at) {
  const auto quote = [&] {
    while (at < text.size() && text[at] == '\\') at++;
    return at < text.size() && text[at] == '"' ? (at++, true) : false;
  };
  const auto space = [&] {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n')) at++;
  };
  if (!quote()) return std::nullopt;
  space();
  if (at >= text.size() || text[at] != ':') return std::nullopt;
  at++;
  space();
  const bool escaped = at < text.size() && text[at] == '\\';
  if (!quote()) return std::nullopt;
  const size_t begin = at;
  for (; at < text.size() && text[at] != '"'; at++) {
    if (text[at] != '\\') continue;
    if (escaped && at + 1 < text.size() && text[at + 1] == '"') break;
    at++;
  }
  return Span{begin, std::min(at, text.size())};
}

// The length of a card number at `at`: 13 to 19 digits, perhaps in groups, that add up; else 0.
size_t card_length(std::string_view text, size_t at) {
  std::array<int, 19> digits;
  size_t count = 0, end = at;
  for (size_t i = at; i < text.size(); i++) {
    if (is_digit(text[i])) {
      if (count == digits.size()) return 0;
      digits[count++] = text[i] - '0';
      end = i + 1;
    } else if ((text[i] != ' ' && text[i] != '-') || i != end) {
      break;
    }
  }
  if (count < 13 || (end < text.size() && is_alnum(text[end]))) return 0;
  // Luhn's checksum (ISO/IEC 7812-1): every second digit from the right counts double, and the sum
  // of all digits is a multiple of ten.
  int sum = 0;
  for (size_t i = 0; i < count; i++) {
    int digit = digits[count - 1 - i];
    if (i % 2 == 1) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 == 0 ? end - at : 0;
}

// Takes one word off `text` at `at` and puts what may be kept of it into `out`.
void redact_word(std::string_view text, size_t& at, std::string& out) {
  const size_t end = word_end(text, at);
  const std::string_view word = text.substr(at, end - at);
  if (is_digit(word.front())) {
    if (const size_t length = card_length(text, at); length > 0) {
      at += length;
      out += "[card]";
      return;
    }
  }
  at = end;
  if (word.size() >= kBlobMinBytes) {
    out += "[" + std::to_string(word.size()) + " bytes]";
  } else if (is_email(word)) {
    out += "[email]";
  } else if (const size_t secret = find_secret(word); secret != word.npos) {
    out.append(word.substr(0, secret)).append(kMark);
  } else {
    out += word;
    const std::string name = lower_ascii(word);
    if (std::find(kSecretMembers.begin(), kSecretMembers.end(), name) == kSecretMembers.end()) {
      return;
    }
    if (const auto value = member_value(text, end)) {
      out.append(text.substr(end, value->begin - end)).append(kMark);
      at = value->end;
    }
  }
}

constexpr size_t kCredentialMinBytes = 8;
constexpr size_t kEscapesMax = 8;  // Backslashes before one character: JSON within JSON within …

// The length of `key` where `text` begins with it, each character plain or as a JSON escape; else
// 0.
size_t escaped_length(std::string_view text, std::string_view key) {
  size_t at = 0;
  for (const char wanted : key) {
    const size_t begin = at;
    while (at < text.size() && at - begin < kEscapesMax && text[at] == '\\') at++;
    if (at > begin && text.substr(at).starts_with('u') && at + 5 <= text.size()) {
      const Result<std::string> unit = from_hex(text.substr(at + 1, 4));
      if (!unit.ok() || *unit != std::string({'\0', wanted})) return 0;
      at += 5;
    } else if (at < text.size() && text[at] == wanted) {
      at++;
    } else {
      return 0;
    }
  }
  return at;
}

// Whether an escape stands in `text` that a character of a key may be written as.
bool has_key_escapes(std::string_view text) {
  for (size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at + 1)) {
    if (const char next = at + 1 < text.size() ? text[at + 1] : ' '; next == 'u' || next == '/') {
      return true;
    }
  }
  return false;
}

// Writes the mark over each place of which `length_at` says how long it is; 0 = none begins there.
template <typename LengthAt>
void mark_all(std::string& text, char first, const LengthAt& length_at) {
  std::string out;
  size_t kept = 0;
  for (size_t at = 0; at < text.size();) {
    const bool may_begin = text[at] == first || text[at] == '\\';
    const size_t length = may_begin ? length_at(std::string_view(text).substr(at)) : 0;
    if (length == 0) {
      at++;
      continue;
    }
    out.append(text, kept, at - kept).append(kMark);
    kept = at += length;
  }
  if (kept > 0) text = out.append(text, kept);
}

}  // namespace

void hide_credential(const Secret& credential, std::string& text) {
  const std::string& key = credential.reveal();
  if (key.size() < kCredentialMinBytes) return;
  if (has_key_escapes(text)) {
    mark_all(text, key[0], [&](std::string_view rest) { return escaped_length(rest, key); });
  } else if (::memmem(text.data(), text.size(), key.data(), key.size()) != nullptr) {
    // (std::string::find compares at each occurrence of the key's first letter.)
    mark_all(text, key[0],
             [&](std::string_view rest) { return rest.starts_with(key) ? key.size() : 0; });
  }
}

std::string redacted(std::string_view text, size_t max_bytes) {
  constexpr std::string_view kPem = "-----BEGIN ", kPemEnd = "-----END ";
  std::string out;
  for (size_t at = 0; at < text.size() && out.size() < max_bytes;) {
    if (text.substr(at).starts_with(kPem)) {
      const size_t end = text.find(kPemEnd, at);
      const size_t line = end == text.npos ? end : text.find("-----", end + kPemEnd.size());
      at = line == text.npos ? text.size() : line + 5;
      out += "[PEM]";
    } else if (is_word_char(text[at])) {
      redact_word(text, at, out);
    } else {
      out += text[at++];
    }
  }
  if (out.size() > max_bytes) out.resize(max_bytes);
  return out;
}

}  // namespace kvcs::ai
