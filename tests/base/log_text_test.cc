// Goal: a line for people says what the line of JSON says, and nothing in it moves the terminal.
#include "base/log_text.h"

#include <catch2/catch.hpp>

#include "base/log.h"

using namespace kvcs;

TEST_CASE("log: a line in words keeps its members in order", "[base][unit]") {
  CHECK(log::in_words(
            "{\"ts\":\"2026-11-30T17:10:49.123Z\",\"level\":\"info\",\"event\":"
            "\"server.ready\",\"url\":\"http://127.0.0.1:8080\",\"pid\":7,\"a\":true}\n"
            "{\"ts\":\"2026-11-30T17:10:49.124Z\",\"level\":\"error\",\"event\":\"x\"}\n") ==
        "17:10:49.123 info  server.ready  url=http://127.0.0.1:8080  pid=7  a=true\n"
        "17:10:49.124 error x\n");
  CHECK(log::in_words("no JSON\n") == "no JSON\n");
  CHECK(log::in_words("[1]") == "[1]\n");
  CHECK(log::in_words("").empty());
}

TEST_CASE("log: what somebody sent reaches no terminal as a control", "[base][unit]") {
  const std::string words = log::in_words(
      R"({"ts":"t","level":"warn","event":"e","name":"a b","esc":"\u001b[2J","nl":"x\ny=1",)"
      R"("bidi":"\u202e","empty":"","quote":"a\"b","na me":1,"list":["\u009b"],"del":"\u007f"})"
      "\n");
  CHECK(words == R"(t warn  e  name="a b"  esc="\u001b[2J"  nl="x\ny=1"  bidi="\u202e"  empty="")"
                 R"(  quote="a\"b"  "na me"=1  list=["\u009b"]  del="\u007f")"
                 "\n");
}

TEST_CASE("log: formats are json, text and auto", "[base][unit]") {
  for (const char* const name : {"json", "text", "auto"}) CHECK(log::is_format(name));
  CHECK_FALSE(log::set_format("xml"));
}
