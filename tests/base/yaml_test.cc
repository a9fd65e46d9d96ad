// YAML: scalars as written, lines in every complaint, no bombs.
#include "base/yaml.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace kvcs;

TEST_CASE("yaml: scalars stay the text that was written", "[unit][base]") {
  const auto document = YamlDocument::parse("a: 1.50e-07\nb: [x, 'y']\nc:\n  d: yes\n", "f.yaml");
  REQUIRE(document.ok());
  CHECK(document->root()["a"] == "1.50e-07");
  CHECK(document->root()["b"][1] == "y");
  CHECK(document->root()["c"]["d"] == "yes");
  CHECK(document->where({"c", "d"}) == "f.yaml, line 4");
  CHECK(document->where({"c", "missing"}) == "f.yaml, line 3");
}

TEST_CASE("yaml: faults name file and line", "[unit][base]") {
  const auto fault = [](const char* text) {
    return YamlDocument::parse(text, "f.yaml").status().message();
  };
  CHECK(fault("a: 1\na: 2\n").find("f.yaml, line 2") == 0);
  CHECK(fault("a: [1\n").find("f.yaml, line") == 0);
  CHECK(fault("? [x]\n: y\n").find("plain text") != std::string::npos);
}

TEST_CASE("yaml: an alias bomb and deep nesting are refused", "[unit][base]") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; i++) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; k++) bomb += ", " + before;
    bomb += "]\n";
  }
  CHECK(YamlDocument::parse(bomb, "f").status().message().find("too large") != std::string::npos);
  CHECK(YamlDocument::parse(std::string(100, '['), "f").code() == Code::kInvalid);
}
