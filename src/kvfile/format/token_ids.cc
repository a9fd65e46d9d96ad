// Reads token ids in the forms that tokenizers and servers give them: a JSON array, flat or with
// one sequence in it, an object around one, or numbers with spaces or commas between.
#include "kvfile/format/token_ids.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <optional>

#include "base/bytes.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kDepthMax = 16;
// Members that hold ids, the best first: an object may have the pieces' texts as "tokens" beside
// their "ids", and the ids of an answer as "token_ids" beside those of its prompt.
constexpr std::array<std::string_view, 5> kMembers = {"input_ids", "prompt_token_ids", "token_ids",
                                                      "ids", "tokens"};
constexpr std::string_view kForms =
    "give a JSON array of numbers, an object with input_ids, prompt_token_ids, token_ids, ids or "
    "tokens, or numbers with spaces between";

Status add_id(const JsonScanner& scanner, uint64_t id, std::vector<uint32_t>& ids) {
  if (id > UINT32_MAX) return scanner.fault("token id over 2^32-1");
  if (ids.size() == kTokensMax) {
    return scanner.fault("more token ids than the limit of " + std::to_string(kTokensMax));
  }
  ids.push_back(static_cast<uint32_t>(id));
  return ok();
}

// An id with its piece, as llama-server gives them: {"id": 5, "piece": "a"}.
Result<uint64_t> scan_piece(JsonScanner& scanner) {
  std::optional<uint64_t> id;
  std::string name;
  KVCS_TRY(scanner.begin_object());
  while (KVCS_TRY(scanner.next_member(name))) {
    if (name == "id") {
      id = KVCS_TRY(scanner.integer());
    } else {
      KVCS_TRY(scanner.skip_value());
    }
  }
  if (!id) return scanner.fault("a token without \"id\"");
  return *id;
}

// Ids, pieces with ids, or one sequence of either. Without a value when the elements are texts.
Result<std::optional<std::vector<uint32_t>>> scan_sequence(JsonScanner& scanner, bool batched) {
  std::vector<uint32_t> ids;
  size_t sequences = 0, texts = 0;
  KVCS_TRY(scanner.begin_array());
  while (KVCS_TRY(scanner.next_element())) {
    const char c = scanner.peek();
    if (c == '"') {
      texts++;
      KVCS_TRY(scanner.skip_value());
    } else if (c == '[' && !batched) {
      if (++sequences > 1) return scanner.fault("a second sequence; give the ids of one");
      auto inner = KVCS_TRY(scan_sequence(scanner, true));
      if (inner) ids = std::move(*inner);
      if (!inner) texts++;
    } else {
      if (sequences > 0) return scanner.fault("an id beside a sequence of ids");
      const uint64_t id = KVCS_TRY(c == '{' ? scan_piece(scanner) : scanner.integer());
      KVCS_TRY(add_id(scanner, id, ids));
    }
  }
  if (texts == 0) return std::optional(std::move(ids));
  if (!ids.empty()) return scanner.fault("texts between the ids");
  return std::optional<std::vector<uint32_t>>();
}

// An object of a tokenizer or a server. Padding is no token of the text, and where the mask has
// zeros the ids have it.
Result<std::vector<uint32_t>> scan_answer(JsonScanner& scanner) {
  std::optional<std::vector<uint32_t>> best;
  size_t best_rank = kMembers.size();
  bool padded = false;
  std::string name;
  KVCS_TRY(scanner.begin_object());
  while (KVCS_TRY(scanner.next_member(name))) {
    const auto it = std::find(kMembers.begin(), kMembers.end(), name);
    const auto rank = static_cast<size_t>(it - kMembers.begin());
    const bool is_list = scanner.peek() == '[';
    if (is_list && name == "attention_mask") {
      const auto mask = KVCS_TRY(scan_sequence(scanner, false));
      padded = mask && std::find(mask->begin(), mask->end(), 0u) != mask->end();
    } else if (is_list && rank < best_rank) {
      auto ids = KVCS_TRY(scan_sequence(scanner, false));
      if (!ids) continue;
      best = std::move(ids);
      best_rank = rank;
    } else {
      KVCS_TRY(scanner.skip_value());
    }
  }
  if (!best) return invalid("token ids: no list of ids in the object; " + std::string(kForms));
  if (padded) {
    return invalid("token ids: attention_mask has zeros, so the ids are padded; tokenize without");
  }
  return std::move(*best);
}

bool is_separator(char c) {
  return c == ' ' || c == ',' || c == '\t' || c == '\r' || c == '\n';
}

Result<std::vector<uint32_t>> parse_numbers(std::string_view text) {
  std::vector<uint32_t> ids;
  for (size_t at = 0; at < text.size();) {
    if (is_separator(text[at])) {
      at++;
      continue;
    }
    const size_t start = at;
    while (at < text.size() && !is_separator(text[at])) at++;
    const std::string_view word = text.substr(start, at - start);
    const auto id = parse_u64(word, "token id");
    if (!id.ok() || *id > UINT32_MAX) {
      return invalid("token ids: \"" + printable(word, kShownWord) + "\" at byte " +
                     std::to_string(start) + " is not an id from 0 to 2^32-1; " +
                     std::string(kForms));
    }
    if (ids.size() == kTokensMax) {
      return invalid("token ids: more than the limit of " + std::to_string(kTokensMax));
    }
    ids.push_back(static_cast<uint32_t>(*id));
  }
  if (ids.empty()) return invalid("token ids: the text has none; " + std::string(kForms));
  return ids;
}

// All of stdin; its length is known only afterwards, so the reading stops behind the limit.
Result<std::string> read_stdin(uint64_t bytes_max) {
  std::string text;
  std::array<char, 1 << 16> block;
  while (std::cin.read(block.data(), block.size()) || std::cin.gcount() > 0) {
    text.append(block.data(), static_cast<size_t>(std::cin.gcount()));
    if (text.size() > bytes_max) {
      return too_large("stdin has more than the limit of " + std::to_string(bytes_max) + " bytes");
    }
  }
  return text;
}

}  // namespace

Result<std::vector<uint32_t>> scan_token_ids(JsonScanner& scanner) {
  std::vector<uint32_t> ids;
  KVCS_TRY(scanner.begin_array());
  while (KVCS_TRY(scanner.next_element())) {
    const uint64_t id = KVCS_TRY(scanner.integer());
    KVCS_TRY(add_id(scanner, id, ids));
  }
  return ids;
}

Result<std::vector<uint32_t>> parse_token_ids(std::string_view text) {
  JsonScanner scanner(text, kDepthMax, "token ids");
  const char first = scanner.peek();
  if (first != '[' && first != '{') return parse_numbers(text);
  KVCS_TRY(scanner.check_utf8());
  std::vector<uint32_t> ids;
  if (first == '{') {
    ids = KVCS_TRY(scan_answer(scanner));
  } else {
    auto sequence = KVCS_TRY(scan_sequence(scanner, false));
    if (!sequence) return invalid("token ids: the array holds texts; " + std::string(kForms));
    ids = std::move(*sequence);
  }
  KVCS_TRY(scanner.finish(" \t\r\n"));
  return ids;
}

Result<std::vector<uint32_t>> read_token_ids(const std::string& path) {
  const std::string text = KVCS_TRY(path == "-" ? read_stdin(kSidecarBytesMax)
                                                : read_small_file(path, kSidecarBytesMax));
  Result<std::vector<uint32_t>> ids = parse_token_ids(text);
  if (!ids.ok()) {
    return std::move(ids).status().with_context(path == "-" ? "stdin" : printable(path));
  }
  return ids;
}

}  // namespace kvcs::kvfile
