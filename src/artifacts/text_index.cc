// Asks the engine's full-text index (SQLite FTS5), and keeps it in step with the rows.
#include "artifacts/text_index.h"

#include "base/bytes.h"
#include "base/damage.h"

namespace kvcs::text_index {
namespace {

// A shorter word is no beginning of others: it would be the beginning of too many.
constexpr size_t kPrefixMinBytes = 3;
// No word of the index: those have letters and digits alone.
constexpr std::string_view kNothing = "\"o nothing\"";

// Letters and digits as the index knows them; beyond ASCII it decides, not we.
bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (static_cast<unsigned char>(c) >= 0x80);
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool has_letter = false;
  const auto end = [&] {
    if (has_letter) words.push_back(word);
    word.clear();
    has_letter = false;
  };
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
      end();
      continue;
    }
    word += c;
    has_letter = has_letter || is_word_byte(c);
  }
  end();
  return words;
}

// A string of the index's query language: its only special sign is the quote.
std::string quoted(std::string_view word) {
  std::string out = "\"";
  for (const char c : word) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

// Whether the word is marked as the beginning of others, and long enough for one.
bool is_beginning(std::string_view word) {
  if (!word.ends_with('*')) return false;
  size_t n = 0;
  while (n + 1 < word.size() && is_word_byte(word[word.size() - 2 - n])) n++;
  return n >= kPrefixMinBytes;
}

std::string match(const std::string& scope, std::string_view text) {
  const std::vector<std::string> words = words_of(text);
  if (words.empty()) return std::string(kNothing);
  std::string out = "scope : (" + scope + ") AND {name model_name description tags_json} : (";
  for (size_t i = 0; i < words.size(); i++) {
    if (i > 0) out += " AND ";
    out += quoted(words[i]);
    if (i + 1 == words.size() && is_beginning(words[i])) out += " *";
  }
  return out + ")";
}

// "o" or "p" with the id, which holds hex digits and dashes, and the state.
std::string scope_word(char whose, std::string_view id, std::string_view status) {
  std::string word(1, whose);
  for (const char c : id) {
    if (c != '-') word += c;
  }
  return quoted(word + std::string(status));
}

}  // namespace

Status check_words(std::string_view words) {
  if (words.size() > kQueryMaxBytes) {
    return invalid("q: has " + std::to_string(words.size()) + " bytes; at most " +
                   std::to_string(kQueryMaxBytes) + " are allowed.");
  }
  if (!is_valid_utf8(words)) return invalid("q: is no UTF-8.");
  const size_t count = words_of(words).size();
  if (count <= kWordsMax) return ok();
  return invalid("q: has " + std::to_string(count) + " words; at most " +
                 std::to_string(kWordsMax) + " are allowed.");
}

std::string match_own(const ArtifactFilter& filter) {
  const bool of_project = !filter.only_project_id.empty();
  const char whose = of_project ? 'p' : 'o';
  const std::string& id = of_project ? filter.only_project_id : filter.organization_id;
  if (filter.status != "all") return match(scope_word(whose, id, filter.status), filter.words);
  return match(scope_word(whose, id, "ready") + " OR " + scope_word(whose, id, "pending"),
               filter.words);
}

std::string match_public(std::string_view words) {
  return match("everybody", words);
}

Status catch_up(Database& db) {
  auto changes = KVCS_TRY(
      db.prepare("SELECT text_id, is_indexed, scope, name, model_name, description, tags_json "
                 "FROM artifact_text_changes"));
  std::vector<int64_t> ids;
  while (KVCS_TRY(changes.step())) {
    const int64_t id = changes.integer(0);
    ids.push_back(id);
    if (changes.integer(1) == 0) continue;
    // The engine keeps no texts: it is told which words to take out.
    auto forget = KVCS_TRY(
        db.prepare("INSERT INTO artifact_text (artifact_text, rowid, scope, name, model_name, "
                   "description, tags_json) VALUES ('delete', ?, ?, ?, ?, ?, ?)"));
    forget.bind(1, id);
    for (int column = 2; column <= 6; column++) forget.bind(column, changes.text(column));
    KVCS_TRY(forget.run());
  }
  if (ids.empty()) return ok();
  for (const int64_t id : ids) {
    auto add = KVCS_TRY(
        db.prepare("INSERT INTO artifact_text (rowid, scope, name, model_name, description, "
                   "tags_json) SELECT * FROM artifact_texts WHERE id = ?"));
    KVCS_TRY(add.bind(1, id).run());
  }
  return db.execute("DELETE FROM artifact_text_changes");
}

Result<bool> mend(Database& db) {
  const Status caught = catch_up(db);
  const Status checked = caught.ok() ? db.execute(
                                           "INSERT INTO artifact_text (artifact_text, rank) "
                                           "VALUES ('integrity-check', 1)")
                                     : caught;
  if (checked.ok()) return false;
  if (checked.reason() != kDbIndexDiffers) return checked;
  KVCS_TRY(db.execute("DELETE FROM artifact_text_changes"));
  KVCS_TRY(db.execute("INSERT INTO artifact_text (artifact_text) VALUES ('rebuild')"));
  return true;
}

}  // namespace kvcs::text_index
