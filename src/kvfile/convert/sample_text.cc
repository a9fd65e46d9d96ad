// The text of `kvcs sample` and its token ids: a fixed passage, then sentences that the seed draws.
// The tokenizer is a list of all words and signs that can occur, numbered as they come.
#include <iterator>
#include <map>
#include <string_view>

#include "base/status.h"
#include "kvfile/convert/sample.h"
#include "kvfile/convert/sample_random.h"

namespace kvcs::kvfile {
namespace {

constexpr std::string_view kPassage =
    "A language model reads a text word by word. For every word it computes, in each of its "
    "layers, a key and a value, and it keeps them, because each later word looks back at the keys "
    "of all the words before it and takes a little of their values. What is kept is called the "
    "cache. The cache of a long text is large, and to compute it again costs as much as it cost "
    "the first time. But the keys and values of a word depend on nothing that comes after it. So "
    "two texts that begin with the same words begin with the same cache, and a cache that was "
    "made once can serve every text that begins as it does. This is why people keep the cache of "
    "a manual, of a contract or of a long list of rules in a file, and load the file when a new "
    "question comes. A good file says which model made it, which words it stands for, and how its "
    "numbers are stored. Then a program can find the file whose words agree longest with a new "
    "text, check that nothing in it was changed, and begin where the file ends. This file is such "
    "a cache, but no model made it. Its numbers were drawn, with the habits that real numbers "
    "have: a few channels are much stronger than the others, the first word is looked at by all "
    "the rest, and the keys are turned by their place in the text. It is small, it is always the "
    "same, and it is good for trying every command. The rest of its text is a list of notes, and "
    "the notes differ from sample to sample.";

// A note is " The", a person, a deed, " the", a thing, a place and a full stop.
constexpr std::string_view kPeople[] = {" archivist", " baker",  " captain", " doctor",
                                        " gardener",  " miller", " painter", " sailor"};
constexpr std::string_view kDeeds[] = {" carried", " drew", " found",  " hid",
                                       " kept",    " lost", " mended", " sold"};
constexpr std::string_view kThings[] = {" clock",   " compass", " kettle", " ladder",
                                        " lantern", " letter",  " map",    " violin"};
constexpr std::string_view kPlaces[] = {" at the harbour", " behind the mill", " by the river",
                                        " in the attic",   " near the bridge", " on the roof",
                                        " under the tree", " beside the road"};

constexpr uint32_t kFirstId = 3;  // Smaller ids are special ones in most vocabularies.

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// A word or a sign, with the space before it, as most tokenizers split; empty at the end.
std::string_view next_piece(std::string_view text) {
  size_t length = text.starts_with(' ') ? 1 : 0;
  const size_t first = length;
  while (length < text.size() && is_letter(text[length])) length++;
  if (length == first && length < text.size()) length++;
  return text.substr(0, length);
}

class Vocabulary final {
 public:
  Vocabulary() {
    add(kPassage);
    add(" The the.");
    for (const auto* const words : {&kPeople, &kDeeds, &kThings, &kPlaces}) {
      for (const std::string_view word : *words) add(word);
    }
  }
  uint32_t id(std::string_view piece) const {
    const auto found = ids_.find(piece);
    KVCS_ASSERT(found != ids_.end());
    return found->second;
  }

 private:
  void add(std::string_view text) {
    for (std::string_view piece; !(piece = next_piece(text)).empty();) {
      ids_.emplace(piece, kFirstId + static_cast<uint32_t>(ids_.size()));
      text.remove_prefix(piece.size());
    }
  }
  std::map<std::string_view, uint32_t> ids_;
};

}  // namespace

SampleText make_sample_text(uint64_t seed, uint64_t tokens) {
  std::string source(kPassage);
  uint64_t state = seed;
  const auto draw = [&state](const auto& words) {
    state = sample_mix(state);
    return words[state % std::size(words)];
  };
  // Nine pieces or more a note, so these are enough.
  for (uint64_t note = 0; note < tokens / 8 + 1; note++) {
    source += " The";
    source += draw(kPeople);
    source += draw(kDeeds);
    source += " the";
    source += draw(kThings);
    source += draw(kPlaces);
    source += '.';
  }
  const Vocabulary vocabulary;
  SampleText sample;
  // A context is cut where the tokens end, also within a sentence.
  while (sample.tokens.size() < tokens) {
    const std::string_view piece = next_piece(std::string_view(source).substr(sample.text.size()));
    sample.tokens.push_back(vocabulary.id(piece));
    sample.text += piece;
  }
  return sample;
}

}  // namespace kvcs::kvfile
