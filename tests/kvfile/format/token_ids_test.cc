// Goal: token ids are read in every form that tokenizers and servers write, and nothing else is
// taken for ids. Method: each form by hand, with the ids that it must give or the words of its
// refusal.
#include <catch2/catch.hpp>

#include "cli/cli_desk.h"
#include "kvfile/kvfile.h"
#include "kvfile/support.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using namespace kvcs::test;

TEST_CASE("kvfile: token ids are read in every common form", "[unit][kvfile]") {
  const std::vector<uint32_t> ids = {1, 22, 333};
  for (const char* const text : {
           "[1, 22,333]\n",
           " [[1,22,333]]",
           "1 22 333\n",
           "1,22,\t333",
           "1\r\n22\r\n333\r\n",
           R"({"tokens":[1,22,333]})",
           R"({"count":3,"max_model_len":4096,"tokens":[1,22,333],"token_strs":null})",
           R"({"tokens":[[1,22,333]],"count":[3]})",
           R"({"tokens":[{"id":1,"piece":"a"},{"id":22,"piece":[195]},{"piece":"c","id":333}]})",
           R"({"input_ids":[[1,22,333]],"attention_mask":[[1,1,1]]})",
           R"({"attention_mask":[1,1,1],"token_type_ids":[0,0,0],"input_ids":[1,22,333]})",
           R"({"ids":[1,22,333],"tokens":["a","b","c"],"offsets":[[0,1],[1,2],[2,3]]})",
           R"({"tokens":["a","b","c"],"ids":[1,22,333]})",
           R"({"token_ids":[9],"prompt_token_ids":[1,22,333]})",
           R"({"prompt_token_ids":[1,22,333],"token_ids":[9]})",
       }) {
    INFO(text);
    const auto read = parse_token_ids(text);
    REQUIRE(read.ok());
    CHECK(*read == ids);
  }
  CHECK(parse_token_ids("[]")->empty());
}

TEST_CASE("kvfile: what is no list of token ids is refused with the reason", "[unit][kvfile]") {
  const std::pair<const char*, const char*> rows[] = {
      {"", "the text has none"},
      {"{}", "no list of ids in the object"},
      {R"({"tokens":"1 2"})", "no list of ids in the object"},
      {R"({"tokens":["a"]})", "no list of ids in the object"},
      {R"(["a","b"])", "the array holds texts"},
      {R"([1,"b"])", "texts between the ids"},
      {"[[1,2],[3]]", "a second sequence"},
      {"[[1],2]", "an id beside a sequence"},
      {"[[[1]]]", "a whole number was expected"},
      {"[1.5]", "fraction"},
      {"[-1]", "negative"},
      {"[4294967296]", "over 2^32-1"},
      {"1 2 x", "\"x\" at byte 4 is not an id"},
      {"4294967296", "is not an id"},
      {"1 -2", "\"-2\" at byte 2"},
      {"[1] 2", "behind the end"},
      {R"({"tokens":[{"piece":"a"}]})", "a token without \"id\""},
      {R"({"input_ids":[0,5],"attention_mask":[0,1]})", "the ids are padded"},
  };
  for (const auto& [text, why] : rows) {
    INFO(text);
    const auto read = parse_token_ids(text);
    REQUIRE(read.code() == Code::kInvalid);
    INFO(read.status().message());
    CHECK(read.status().message().find(why) != std::string::npos);
  }
}

TEST_CASE("cli: token ids come from stdin, too", "[unit][cli][kvfile]") {
  CliDesk desk;
  const std::string path = desk.folder.file("a.kv");
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 3, 8}).ok());
  Sidecar sidecar = describe_header((*KvFile::open(path))->header());
  sidecar.tokens = {1, 22, 333};
  REQUIRE(write_sidecar(path, sidecar).ok());
  {
    const Stdin piped(R"({"tokens":[1,22,333]})");
    CHECK(desk.run({"verify", path, "--tokens", "-"}) == 0);
  }
  {
    const Stdin piped("1 22 334\n");
    CHECK(desk.run({"verify", path, "--tokens", "-"}) == 3);
  }
  {
    const Stdin piped("one two");
    CHECK(desk.run({"verify", path, "--tokens", "-"}) == 1);
    CHECK(desk.error.find("stdin: token ids: \"one\" at byte 0") != std::string::npos);
  }
}
