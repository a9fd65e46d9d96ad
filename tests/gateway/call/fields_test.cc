// Goal: `fields` keeps what it names and nothing else, and every kept value keeps its bytes.
#include "gateway/call/fields.h"

#include <catch2/catch.hpp>

#include <ctime>

using namespace kvcs;
using namespace kvcs::gateway;

namespace {
std::string project(const std::vector<std::string>& paths, std::string_view json) {
  const auto selection = FieldSelection::parse(paths);
  REQUIRE(selection.ok());
  const auto out = selection.value().project(json);
  REQUIRE(out.ok());
  return out.value();
}
}  // namespace

TEST_CASE("fields: the documented example comes out byte for byte", "[unit][gateway]") {
  const std::string hubspot =
      R"({"results":[{"id":"123","properties":{"email":"alice@example.com","firstname":"Alice",)"
      R"("createdate":"2026-01-01"},"createdAt":"2026-01-01","archived":false}],)"
      R"("paging":{"next":{"after":"124"}}})";
  CHECK(project({"id", "properties.email"}, hubspot) ==
        R"({"results":[{"id":"123","properties":{"email":"alice@example.com"}}],)"
        R"("paging":{"next":{"after":"124"}}})");
  CHECK(project({"results.id", "results.properties.email"}, hubspot) ==
        project({"id", "properties.email"}, hubspot));
}

TEST_CASE("fields: projection follows its rule", "[unit][gateway]") {
  struct Row {
    const char* what;
    std::vector<std::string> paths;
    const char* json;
    const char* expected;
  };
  const Row rows[] = {
      {"root array", {"a"}, R"([{"a":1,"b":2},{"b":3}])", R"([{"a":1},{}])"},
      {"scalars in a collection stay", {"a"}, R"([1,{"a":1}])", R"([1,{"a":1}])"},
      {"single object", {"a"}, R"({"a":1,"b":2})", R"({"a":1})"},
      {"missing is omitted, never null",
       {"a.x", "b"},
       R"({"a":{"y":1},"b":null})",
       R"({"b":null})"},
      {"arrays map", {"a.b"}, R"({"a":[{"b":1,"c":2},{"b":3},4]})", R"({"a":[{"b":1},{"b":3}]})"},
      {"star",
       {"*.id"},
       R"({"u":{"id":1,"x":2},"v":{"id":3},"w":4})",
       R"({"u":{"id":1},"v":{"id":3}})"},
      {"star and name",
       {"*.id", "u.x"},
       R"({"u":{"id":1,"x":2,"y":3}})",
       R"({"u":{"id":1,"x":2}})"},
      {"whole wins", {"a", "a.b"}, R"({"a":{"b":1,"c":2}})", R"({"a":{"b":1,"c":2}})"},
      {"results before data",
       {"id"},
       R"({"data":[{"id":1,"x":1}],"results":[{"id":2,"x":1}]})",
       R"({"data":[{"id":1,"x":1}],"results":[{"id":2}]})"},
      {"an array of scalars is no collection",
       {"id"},
       R"({"results":[1,2],"id":7})",
       R"({"id":7})"},
      {"numbers and escapes keep their bytes",
       {"n"},
       "[ {\"n\" : 12345678901234567890123 , \"m\":1.10},{\"n\":1.0e+5},{\"n\":\"\\u00e9\\/\"} ]",
       "[{\"n\":12345678901234567890123},{\"n\":1.0e+5},{\"n\":\"\\u00e9\\/\"}]"},
      {"escaped names are matched", {"na"}, "{\"n\\u0061\":1,\"b\":2}", "{\"n\\u0061\":1}"},
      {"no paths, no projection", {}, R"( {"a":1} )", R"({"a":1})"},
      {"a scalar stays", {"a"}, "42", "42"},
      {"empty collection", {"a"}, R"({"items":[],"total":0})", R"({"items":[],"total":0})"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(project(row.paths, row.json) == row.expected);
  }
}

TEST_CASE("fields: too many, too deep and empty names are refused", "[unit][gateway]") {
  CHECK(FieldSelection::parse(std::vector<std::string>(65, "a")).code() == Code::kInvalid);
  CHECK(FieldSelection::parse(std::vector<std::string>(64, "a")).ok());
  CHECK(FieldSelection::parse({"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"}).code() == Code::kInvalid);
  CHECK(FieldSelection::parse({"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p"}).ok());
  for (const char* path : {"", "a..b", ".a", "a."}) {
    CHECK(FieldSelection::parse({path}).code() == Code::kInvalid);
  }
}

TEST_CASE("fields: what is not JSON cannot be projected", "[unit][gateway]") {
  const auto selection = FieldSelection::parse({"a"});
  CHECK(selection.value().project("<html>").code() == Code::kUpstream);
}

TEST_CASE("fields: a deep answer costs what a flat one costs", "[unit][gateway]") {
  CHECK(project({"a.b"}, R"({"a":[[[{"b":1,"c":2},3],[]],4]})") == R"({"a":[[[{"b":1}],[]]]})");
  std::string items;
  for (int i = 0; i < 60'000; ++i) items += R"({"b":1,"c":"xxxxxxxxxxxxxxxx"},)";
  items.pop_back();
  const auto cost = [&](int levels) {
    const std::string json = R"({"a":)" + std::string(static_cast<size_t>(levels), '[') + items +
                             std::string(static_cast<size_t>(levels), ']') + "}";
    const std::clock_t begin = std::clock();
    const size_t size = project({"a.b"}, json).size();
    const std::clock_t took = std::clock() - begin;
    CHECK(size > 60'000);
    return static_cast<double>(took);
  };
  const double flat = cost(1);
  // Read anew at each level it is a hundred times as much.
  CHECK(cost(490) < 10 * flat + CLOCKS_PER_SEC / 50.0);
}
