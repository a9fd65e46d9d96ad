// Goal: of LiteLLM's file the rows that are served here are written, each once, with the digits
// that the file has; rows that would then be charged too little are refused by name, members that
// are left out are counted, and so are the other rows, by reason. Method: small files in its form;
// what would be written, and what reaches the server.
#include <nlohmann/json.hpp>

#include <map>

#include "base/clock.h"
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

std::string row(const std::string& provider, const std::string& more, const char* mode = "chat") {
  return R"({"litellm_provider":")" + provider + R"(","mode":")" + mode + "\"" + more + "}";
}
const std::string kPriced = R"(,"input_cost_per_token":1e-7,"output_cost_per_token":2e-7)";

Json planned(CliDesk& desk, const std::string& file) {
  CHECK(desk.run({"prices", "import", desk.write("prices.json", file), "--dry-run", "--json"}) ==
        0);
  CHECK(desk.requests().empty());
  return parse_json(desk.out).value();
}

std::string today() {
  return format_day(make_system_clock()->unix_ms());
}

}  // namespace

TEST_CASE("prices import: a model has our provider's name and no other prefix", "[unit][cli]") {
  CliDesk desk;
  const Json plan = planned(desk, "{\"gpt-4o\":" + row("openai", kPriced) +
                                      ",\"gemini/gemini-2.5-pro\":" + row("gemini", kPriced) +
                                      ",\"xai/grok\":" + row("xai", kPriced) +
                                      ",\"openai/ft:x/y\":" + row("openai", kPriced) + "}");
  CHECK(plan["models"] ==
        Json{"openai/gpt-4o", "google/gemini-2.5-pro", "xai/grok", "openai/ft:x/y"});
  CHECK(plan["dry_run"] == true);
  CHECK(plan["written"] == 0);
}

TEST_CASE("prices import: what is not served here is skipped with its reason", "[unit][cli]") {
  CliDesk desk;
  const Json plan = planned(
      desk, "{\"sample_spec\":{},\"a\":" + row("bedrock", kPriced) + ",\"b\":" +
                row("openai", kPriced, "image_generation") + ",\"c\":" + row("openai", "") +
                ",\"d\":7,\"e\":{\"mode\":\"chat\"},\"f\":{\"litellm_provider\":\"openai\"},"
                "\"gpt\":" +
                row("openai", kPriced) + ",\"openai/gpt\":" + row("openai", kPriced) + "}");
  CHECK(plan["models"] == Json{"openai/gpt"});
  CHECK(plan["skipped_count"] == 7);
  std::map<std::string, std::string> reasons;
  for (const Json& one : plan["skipped"]) {
    reasons[one["model"].get<std::string>()] = one["reason"].get<std::string>();
  }
  CHECK(reasons == std::map<std::string, std::string>{
                       {"a", "provider bedrock is not known"},
                       {"b", "mode image_generation is not served"},
                       {"c", "no price per token"},
                       {"d", "not an object"},
                       {"e", "provider not stated is not known"},
                       {"f", "mode not stated is not served"},
                       {"openai/gpt", "is openai/gpt, which the file has already"}});
}

TEST_CASE("prices import: prices keep their digits, and facts stay behind", "[unit][cli]") {
  CliDesk desk;
  const std::string file =
      desk.write("prices.json",
                 "{\"gpt\":" +
                     row("openai", R"(,"input_cost_per_token":0.00000015,)"
                                   R"("output_cost_per_token":6.0e-07,"max_output_tokens":16384,)"
                                   R"("cache_read_input_token_cost":null,"supports_vision":true,)"
                                   R"("supports_reasoning":true,"source":"https://a.example",)"
                                   R"("input_cost_per_token_above_272k_tokens_priority":3e-7,)"
                                   R"("provider_specific_entry":{"fast":6.0})") +
                     "}");
  const std::string before = today();
  CHECK(desk.run({"prices", "import", file, "--org", "o/1"}) == 0);
  REQUIRE(desk.requests().size() == 1);
  const std::string sent = desk.requests().front();
  const auto sent_on = [&](const std::string& day) {
    return sent == R"x(PUT /admin/ai/prices/openai%2Fgpt?org_id=o%2F1 {"mode":"chat",)x"
                   R"x("input_cost_per_token":0.00000015,"output_cost_per_token":6.0e-07,)x"
                   R"x("max_output_tokens":16384,"supports_reasoning":true,)x"
                   R"x("input_cost_per_token_above_272k_tokens_priority":3e-7,)x"
                   R"x("provider_specific_entry":{"fast":6.0},)x"
                   R"x("source":"LiteLLM (https://a.example)","date":")x" +
                       day + "\"}";
  };
  INFO(sent);
  CHECK((sent_on(before) || sent_on(today())));  // It may be midnight.
  CHECK(desk.out ==
        "Written: 1\nRefused, for they have prices that kvcs does not know: 0\n"
        "Members passed over: 0\nSkipped: 0\n");
}

TEST_CASE("prices import: a row that would be charged too little is refused with its members",
          "[unit][cli]") {
  CliDesk desk;
  const std::string file = desk.write(
      "prices.json",
      "{\"good\":" + row("openai", kPriced + R"(,"input_cost_per_token_batches":5e-8,"tier":"x")") +
          ",\"picture\":" +
          row("gemini", kPriced + R"(,"output_cost_per_image":0.04,"input_cost_per_second":0.1)") +
          ",\"free\":" + row("openai", kPriced + R"(,"output_cost_per_image":0.0)") +
          ",\"gpt-x-search-preview\":" + row("openai", kPriced) + ",\"also-good\":" +
          row("xai", kPriced + R"(,"input_cost_per_token_batches":5e-8)") + "}");
  CHECK(desk.run({"prices", "import", file}) == 3);
  CHECK(desk.requests().size() == 3);
  CHECK(desk.out ==
        "Written: 3\n"
        "Refused, for they have prices that kvcs does not know: 2\n"
        "  google/picture: output_cost_per_image, input_cost_per_second\n"
        "  openai/gpt-x-search-preview: web_search_cost_per_call\n"
        "Members passed over: 3\n"
        "  input_cost_per_token_batches ×2\n"
        "  output_cost_per_image ×1\n"
        "  tier ×1\n"
        "Skipped: 0\n");
  CHECK(desk.run({"prices", "import", file, "--dry-run", "--json"}) == 3);
  const Json plan = parse_json(desk.out).value();
  CHECK(plan["refused_count"] == 2);
  CHECK(plan["refused"][0] ==
        Json{{"model", "google/picture"},
             {"members", {"output_cost_per_image", "input_cost_per_second"}}});
  CHECK(plan["passed_over"]["input_cost_per_token_batches"] == 2);
  CHECK(plan["models"] == Json{"openai/good", "openai/free", "xai/also-good"});
}

TEST_CASE("prices import: one odd row does not keep the others out, a refusal does",
          "[unit][cli]") {
  CliDesk desk;
  const std::string file = desk.write("prices.json", "{\"a\":" + row("openai", kPriced) +
                                                         ",\"b\":" + row("openai", kPriced) +
                                                         ",\"c\":" + row("openai", kPriced) + "}");
  desk.answer({{"{}"}, {R"({"error":"odd price"})", "400 Bad Request"}, {"{}"}});
  CHECK(desk.run({"admin", "prices", "import", file}) == 3);
  CHECK(desk.requests().size() == 3);
  CHECK(desk.out ==
        "Written: 2\nRefused, for they have prices that kvcs does not know: 1\n"
        "  openai/b: odd price\nMembers passed over: 0\nSkipped: 0\n");
  const std::string negative =
      desk.write("negative.json", "{\"n\":" + row("openai", R"(,"input_cost_per_token":-1)") + "}");
  CHECK(desk.run({"prices", "import", negative, "--dry-run"}) == 3);
  CHECK(desk.out.find("To write: 0") != std::string::npos);
  CHECK(desk.out.find("openai/n: n.input_cost_per_token") != std::string::npos);
  desk.answer({{"{}"}, {R"({"error":"No."})", "403 Forbidden"}});
  CHECK(desk.run({"prices", "import", file}) == 1);
  CHECK(desk.requests().size() == 2);
  CHECK(desk.error.find("openai/b") != std::string::npos);
}

TEST_CASE("prices import: what is no object of models is refused with the file's name",
          "[unit][cli]") {
  CliDesk desk;
  for (const char* wrong : {"[]", "7", "{", ""}) {
    INFO(wrong);
    const std::string file = desk.write("prices.json", wrong);
    CHECK(desk.run({"prices", "import", file, "--dry-run"}) == 1);
    CHECK(desk.error.find("prices.json") != std::string::npos);
  }
}

TEST_CASE("prices import: a dry run shows prices and needs no server", "[unit][cli]") {
  CliDesk desk;
  const std::string file = desk.write("prices.json", "{\"a\":" + row("openai", kPriced) + "}");
  const test::Env away("KVCS_API_URL", "http://127.0.0.1:1");
  CHECK(desk.run({"prices", "import", file, "--dry-run"}) == 0);
  CHECK(desk.out ==
        "openai/a  1e-7  2e-7\nTo write: 1\n"
        "Refused, for they have prices that kvcs does not know: 0\nMembers passed over: 0\n"
        "Skipped: 0\n");
}
