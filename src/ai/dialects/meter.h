// What the meters of all dialects share: reading counts by tables, and the state of an answer.
// Internal to dialects/. One thread per meter.
#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ai/dialects/usage.h"

namespace simdjson::dom {
class object;
}  // namespace simdjson::dom

namespace kvcs {
class QuickParser;
}

namespace kvcs::ai {

class Members;

inline constexpr size_t kMadeIdsMax = 500;  // Of one answer.
inline constexpr size_t kMadeIdMaxBytes = 200;

// One count of a usage object.
struct CountRule {
  std::string_view object;  // The member that holds it; "" = the usage object itself.
  std::string_view member;
  int64_t TokenUsage::*count;
};

struct UsageRules {
  std::string_view input, output;
  std::string_view total;   // Input and output together; "" = not stated.
  bool is_subsets = false;  // The counts of tokens are parts of input and output, not beside them.
  std::span<const CountRule> counts;
};

class Meter : public UsageMeter {
 public:
  ~Meter() override;
  void on_json(std::string_view body) override;
  bool complete() const override { return complete_; }
  bool has_error() const override { return has_error_; }
  const SeenUsage& seen() const override;
  void note_rest(size_t bytes) override { count_bytes(bytes); }
  int64_t output_so_far() const override { return std::max(raw_.output, seen_.output_bytes); }
  std::string_view response_model() const override { return model_; }
  std::span<const std::string> made_ids() const override { return made_ids_; }

 protected:
  explicit Meter(const UsageRules& rules);

  // What a whole answer has beside the usage; called before that is read.
  virtual void read_whole_answer(const Members& root) = 0;

  // Of a text that was meant to be JSON too. `root` is valid until the next call.
  bool parse(std::string_view text, simdjson::dom::object& root);
  // Notes the model that answered and its service tier: both may differ from those asked for.
  void note_answer(const Members& from);
  // Reads the member "usage" of `from`; false when it has none.
  bool read_usage(const Members& from);
  // Each once, up to kMadeIdsMax. Only what the provider itself has named may come here: a member
  // that a model fills could name what is another's.
  void note_made(const Members& from, std::string_view name);
  void count_text(const Members& from, std::string_view name);
  void count_bytes(size_t bytes) { seen_.output_bytes += static_cast<int64_t>(bytes); }
  void set_complete() { complete_ = true; }
  void set_error() { has_error_ = true; }
  void set_final() { seen_.output_is_final = true; }
  // Whether an answer or event says that it failed, in the words of any provider: an "error" that
  // is not null or false, a type or object of that name, or a "detail" where an answer would be.
  static bool says_error(const Members& from);
  // What a usage object has that no table of counts tells.
  virtual void read_more_usage(const Members& usage);
  // A count as it stands: its value, or none when it is absent or null. `absurd` is set when it is
  // negative or no whole number.
  static bool read_count(const Members& from, std::string_view name, int64_t& out, bool& absurd);
  // The counts as the provider stated them, subsets and all, each the largest so far.
  TokenUsage& raw() { return raw_; }
  SeenUsage& noted() { return seen_; }

 private:
  void note_tier(const Members& from);
  void take_total(const Members& usage);

  const UsageRules& rules_;
  std::unique_ptr<QuickParser> large_;
  std::string model_;
  std::vector<std::string> made_ids_;
  TokenUsage raw_;  // Here `input` and `output` are the totals as stated.
  int64_t total_ = 0;
  mutable SeenUsage seen_;
  bool complete_ = false, has_error_ = false;
};

// Takes `"usage":null` and one comma beside it out of an event's bytes; false when it is not there
// in the one spelling that OpenAI sends (anything else passes unchanged, which clients accept too).
bool cut_null_usage(std::string_view raw, std::string& out);

}  // namespace kvcs::ai
