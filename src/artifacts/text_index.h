// The full-text index of artifacts: name, model, description and tags, word by word, whatever their
// case and accents. A search has the caller's scope as one more word, so that it reads no rows of
// others; what the index proposes is held against the rows again.
//
// The index follows the rows in the transactions that change them: triggers note what has changed
// (schema.cc), and catch_up() brings the index there. A transaction that forgets it leaves the
// notes to the next one. mend() compares all of it, and makes it anew when it differs. One thread,
// that of the Database.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "artifacts/artifacts.h"
#include "db/db.h"

namespace kvcs::text_index {

// How a query finds by the index; all that only this engine reads stands in these two files.
// `kFrom` has artifacts as a and projects as p, the hits of the index first: the engine must not
// look at each artifact whether it is one. `kNumber` is the row's text_id, and the order in which
// the index finds.
inline constexpr std::string_view kFrom =
    " FROM artifact_text CROSS JOIN artifacts a ON a.text_id = artifact_text.rowid "
    "CROSS JOIN projects p ON p.id = a.project_id";
inline constexpr std::string_view kFits = "artifact_text MATCH ?";
inline constexpr std::string_view kNumber = "artifact_text.rowid";
// The same for a search that is sorted by something else: its newest kSortedMax hits, as all of
// them would have to be read before the first is known. The query is the first of what is bound.
inline constexpr std::string_view kNewestFrom =
    " FROM (SELECT rowid FROM artifact_text WHERE artifact_text MATCH ? ORDER BY rowid DESC LIMIT "
    "1000) hit CROSS JOIN artifacts a ON a.text_id = hit.rowid "
    "CROSS JOIN projects p ON p.id = a.project_id";
inline constexpr size_t kSortedMax = 1000;

inline constexpr size_t kWordsMax = 16;
inline constexpr size_t kQueryMaxBytes = 400;

// Invalid: too long, too many words, or no UTF-8.
Status check_words(std::string_view words);
// What to ask the index for words that check_words() took: all of them must be there. A last word
// that ends in a star is the beginning of one; nothing else that a caller writes is an operator.
// (The index has no lists for beginnings: it puts them together, which takes some milliseconds for
// those that many artifacts have.) Without a letter or digit it finds nothing.
std::string match_own(const ArtifactFilter& filter);
std::string match_public(std::string_view words);

// In the transaction of the change.
Status catch_up(Database& db);
// Whether the index differed from the rows and was made anew.
Result<bool> mend(Database& db);

}  // namespace kvcs::text_index
