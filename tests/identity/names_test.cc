// Goal: names cannot change how what stands around them is shown. Method: texts of each kind.
#include "identity/names.h"

#include <catch2/catch.hpp>

#include "identity/users.h"

using namespace kvcs;

TEST_CASE("names: what misleads is refused, other scripts are not", "[unit][identity]") {
  for (const char* name : {"Ada", "Ada Lovelace-King", "Grüße", "Ада", "عدا", "艾达", "👩", "❤️",
                           "a\xC2\xA0"
                           "b"}) {
    INFO(name);
    CHECK(normal_name(name).value() == name);
  }
  CHECK(normal_name(" \tAda\n").value() == "Ada");
  for (const char* name : {"", "   ", "a\nb", "a\tb", "a\x1b[31mb",
                           "a\x7f"
                           "b",
                           "a\xC2\x85"
                           "b",
                           "a\xE2\x80\xA8"
                           "b",
                           "a\xE2\x80\xAE"
                           "b",
                           "a\xE2\x81\xA6"
                           "b",
                           "a\xE2\x81\xA9"
                           "b",
                           // Without width: U+00AD, 200B, 200D, 2060, FEFF, E0041.
                           "a\xC2\xAD"
                           "b",
                           "a\xE2\x80\x8B"
                           "b",
                           "a\xE2\x80\x8D"
                           "b",
                           "a\xE2\x81\xA0"
                           "b",
                           "a\xEF\xBB\xBF"
                           "b",
                           "a\xF3\xA0\x81\x81"
                           "b",
                           "a\xFF"
                           "b"}) {
    INFO(name);
    CHECK(normal_name(name).code() == Code::kInvalid);
  }
  CHECK(normal_name(std::string("a\0b", 3)).code() == Code::kInvalid);
  CHECK(normal_name(std::string(200, 'x')).ok());
  CHECK(normal_name(std::string(201, 'x')).code() == Code::kInvalid);
}

TEST_CASE("names: an address holds nothing that misleads", "[unit][identity]") {
  CHECK(normal_email("Ada@Example.com").value() == "ada@example.com");
  CHECK(normal_email("a\xC2\x85"
                     "b@x.io")
            .code() == Code::kInvalid);
  CHECK(normal_email("a\xE2\x80\xAE"
                     "b@x.io")
            .code() == Code::kInvalid);
}
