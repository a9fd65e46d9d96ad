// What is left of a body before it is kept.
#include "ai/redact.h"

#include <catch2/catch.hpp>

#include <random>

using kvcs::Secret;
using kvcs::ai::redacted;

namespace {

std::string kept(const std::string& body) {
  return redacted(body, 10'000);
}

}  // namespace

TEST_CASE("redact: what people write stays, byte for byte", "[unit][ai]") {
  for (const char* text :
       {R"({"model":"gpt-4o-mini","messages":[{"role":"user","content":"2 + 2 = 4, é, 50 %"}]})",
        "tokens: 15, token count", R"({"max_tokens":10,"token":5})", "a@b", "@home", "sk-short",
        "call 555-0100", "1234567890123", "", "key", R"({"password":)"}) {
    CHECK(kept(text) == text);
  }
}

TEST_CASE("redact: keys and tokens go, wherever they stand", "[unit][ai]") {
  const std::string secret(32, 'a');
  for (const std::string prefix : {"sk-", "gw_live_", "kv_", "ka_", "ghp_", "AKIA", "eyJ"}) {
    CHECK(kept("my key " + prefix + secret + ", ok") == "my key ***, ok");
    CHECK(kept("https://x.org/" + prefix + secret) == "https://x.org/***");
  }
  CHECK(kept("-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\nx") == "[PEM]\\nx");
  CHECK(kept("-----BEGIN RSA PRIVATE KEY-----\nMIIE") == "[PEM]");
}

TEST_CASE("redact: the values of members that hold secrets go", "[unit][ai]") {
  CHECK(kept(R"({"password":"p\"w","x":1})") == R"({"password":"***","x":1})");
  CHECK(kept(R"({"API_KEY" : "abc"})") == R"({"API_KEY" : "***"})");
  CHECK(kept(R"({"arguments":"{\"token\":\"abc\",\"b\":2}"})") ==
        R"({"arguments":"{\"token\":\"***\",\"b\":2}"})");
  CHECK(kept(R"({"password":"cut off)") == R"({"password":"***)");
}

TEST_CASE("redact: people and cards go", "[unit][ai]") {
  CHECK(kept("write to ada.l@example.co.uk now") == "write to [email] now");
  CHECK(kept("4111 1111 1111 1111 and 4111-1111-1111-1112") == "[card] and 4111-1111-1111-1112");
  CHECK(kept("5500005555555559") == "[card]");
}

TEST_CASE("redact: pictures become their size, and all of it is bounded", "[unit][ai]") {
  const std::string picture(100'000, 'A');
  CHECK(kept("{\"url\":\"data:image/png;base64," + picture + "==\",\"x\":1}") ==
        "{\"url\":\"data:image/png;base64,[100000 bytes]==\",\"x\":1}");
  std::string words;
  for (int i = 0; i < 10'000; i++) words += "word ";
  CHECK(redacted(words, 100) == words.substr(0, 100));
  // A secret across the edge is gone before the cut.
  CHECK(redacted("1234567 sk-" + std::string(40, 'z'), 20) == "1234567 ***");
}

TEST_CASE("redact: whatever the bytes, it ends and stays within its bound", "[unit][ai]") {
  const std::string_view pieces[] = {"\"",          "\\",   ":",         " ", "password", "sk-",
                                     "-----BEGIN ", "4111", "@",         ".", "x",        "\n",
                                     "\xff",        "{",    "-----END ", "9"};
  for (unsigned seed = 1; seed <= 300; seed++) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    std::string text;
    for (unsigned i = random() % 80; i > 0; i--) text += pieces[random() % std::size(pieces)];
    const size_t max = random() % 200;
    CHECK(redacted(text, max).size() <= max);
    CHECK(redacted(text, max).find("sk-xxxxxxxxxxxx") == std::string::npos);
  }
}

TEST_CASE("redact: a credential goes in every spelling of JSON", "[unit][ai]") {
  const Secret key("sk-a/b+c==");
  const auto hidden = [&](std::string text) {
    kvcs::ai::hide_credential(key, text);
    return text;
  };
  CHECK(hidden("sk-a/b+c==, sk-a/b+c==sk-a/b+c==") == "***, ******");
  CHECK(hidden(R"({"key":"sk-a\/b+c=="})") == R"({"key":"***"})");
  CHECK(hidden(R"(sk\u002da\u002Fb+c\u003d\u003D!)") == "***!");
  CHECK(hidden(R"("{\"key\":\"sk-a\\\/b+c==\"}")") == R"("{\"key\":\"***\"}")");
  CHECK(hidden(R"(sk\u002d and \u0073k-a, sk-a\/b+c=)") == R"(sk\u002d and \u0073k-a, sk-a\/b+c=)");
  CHECK(hidden("sk-a\\/b+c=") == "sk-a\\/b+c=");
  std::string short_text = "short";
  kvcs::ai::hide_credential(Secret("short"), short_text);
  CHECK(short_text == "short");
  std::string many;
  for (int i = 0; i < 100'000; i++) many += R"(sk-a\/b+c==)";
  CHECK(hidden(many).size() == 300'000);
  // Long runs of backslashes cost no more than their length.
  const std::string slashes = std::string(200'000, '\\') + "u0";
  CHECK(hidden(slashes) == slashes);
}
