// Goal: what a request brings beside text is reserved at the most that it can count. Method: bodies
// with media of each kind, at a price row whose rules are round numbers.
#include <catch2/catch.hpp>

#include "ai/worst_case.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

constexpr int64_t kContext = 1'000'000, kImageTokens = 10'000;

Price price_of_pictures() {
  Price price;
  price.output_pico = 0;
  price.model = "m";
  price.input_pico = 1'000'000;
  price.input_audio_pico = 1'000'000;
  price.max_input_tokens = kContext;
  price.max_output_tokens = 1;
  price.image_tokens_max = kImageTokens;
  return price;
}

// The reserved input of a message with these parts.
int64_t reserved(const std::string& parts, const Price& price) {
  const auto chat =
      dialect(ApiKind::kChatCompletions)
          .read_request(R"({"model":"m","messages":[{"role":"user","content":[)" + parts + "]}]}");
  REQUIRE(chat.ok());
  const auto worst = worst_case(*chat, price, {});
  INFO(worst.status().to_string());
  REQUIRE(worst.ok());
  return worst->input_tokens;
}

std::string picture(const std::string& url) {
  return R"({"type":"image_url","image_url":{"url":")" + url + "\"}}";
}

}  // namespace

TEST_CASE("worst case: each picture counts by the model's rule, however large and wherever it is",
          "[unit][ai]") {
  const Price price = price_of_pictures();
  const std::string inside = picture("data:image/png;base64," + std::string(50'000, 'A'));
  const std::string outside = picture("https://example.com/a.png");
  constexpr int64_t kTextMax = 500;  // Of the body around them.
  for (const std::string& one : {inside, outside}) {
    CHECK(reserved(one, price) >= kImageTokens);
    CHECK(reserved(one, price) < kImageTokens + kTextMax);
    CHECK(reserved(one + "," + one + "," + one, price) >= 3 * kImageTokens);
    CHECK(reserved(one + "," + one + "," + one, price) < 3 * kImageTokens + kTextMax);
  }
  Price without_rule = price;
  without_rule.image_tokens_max = 0;
  CHECK(reserved(outside, without_rule) == kContext);
}

TEST_CASE("worst case: sound counts by its bytes, documents as all that the model reads",
          "[unit][ai]") {
  const Price price = price_of_pictures();
  const std::string sound = R"({"type":"input_audio","input_audio":{"format":"wav","data":")" +
                            std::string(40'000, 'A') + "\"}}";
  CHECK(reserved(sound, price) >= 30'000);
  CHECK(reserved(sound, price) < 31'000);
  CHECK(reserved(R"({"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}})",
                 price) == kContext);
}
