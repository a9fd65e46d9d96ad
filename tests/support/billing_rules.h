// The rules by which the providers of billing_provider.h bill: their prices, what a request may use
// as the providers' documentation has it, and the amount for that. Written without a look at
// src/ai. Pure functions.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/chance.h"

namespace kvcs::test {

// The prices of a model, in pico-USD.
struct Sheet {
  std::string provider, model, mode;
  std::map<std::string, int64_t> pico;     // By member, LiteLLM's names.
  std::map<std::string, int64_t> by_size;  // Web searches.
  int64_t context = 8'000, output_max = 1'000, image_tokens = 0, long_above = 0;
  bool reasons = false, has_factors = false;
};
const std::vector<Sheet>& sheets();

// What a request used. The kinds do not overlap.
struct Use {
  int64_t plain = 0, cached = 0, written = 0, written_1h = 0, heard = 0;
  int64_t text = 0, reasoning = 0, spoken = 0;
  int64_t searches = 0, files = 0, sessions = 0, images = 0;
  std::string tier, size = "medium";
  bool is_fast = false, is_us = false;
  int64_t input() const { return plain + cached + written + written_1h + heard; }
  int64_t output() const { return text + reasoning + spoken; }
};
int64_t amount_nano_usd(const Sheet& sheet, const Use& use);
std::string shown(const Use& use);

// A request, and the use that was drawn for it from all that it allows.
struct Reading {
  const Sheet* sheet = nullptr;
  std::string api, marker;
  std::shared_ptr<Json> body;
  Random random;
  bool streams = false;
  int64_t choices = 1;
  Use use;
  // Of a compaction: what it used before the message itself, which `use` does not hold.
  bool is_compacted = false;
  Use compaction;
  int64_t first_input = 0;  // What message_start says, before searches bring in more.
};
void draw_use(Reading& reading);
// The sum of the message and its compaction.
Use billed_use(const Reading& reading);

}  // namespace kvcs::test
