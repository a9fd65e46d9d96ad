// Goal: names cannot change how what stands around them is shown. Method: texts of each kind.
#include "identity/names.h"

#include <catch2/catch.hpp>

#include "identity/identity_rig.h"
#include "identity/users.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("names: what misleads is refused, other scripts are not", "[unit][identity]") {
  for (const char* name : {"Ada", "Ada Lovelace-King", "Grüße", "Ада", "عدا", "艾达", "👩", "❤️",
                           "a\xC2\xA0"
                           "b",
                           "1\xEF\xB8\x8F\xE2\x83\xA3"}) {
    INFO(name);
    CHECK(normal_name(name).value() == name);
  }
  CHECK(normal_name(" \tAda\n").value() == "Ada");
  // Blanks of every width around it are none of it: U+00A0, 3000, 2003, 2800.
  CHECK(normal_name("\xC2\xA0\xE3\x80\x80"
                    "Ada B\xE2\x80\x83\xE2\xA0\x80")
            .value() == "Ada B");
  for (const char* name :
       {"", "   ", "a\nb", "a\tb", "a\x1b[31mb",
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
        // Of which nothing is seen: U+00A0, 3000, 2800, 202F, FE0F, 3164.
        "\xC2\xA0", "\xE3\x80\x80 \xE2\xA0\x80", "\xE2\x80\xAF", "\xEF\xB8\x8F", "\xE3\x85\xA4",
        // A selector behind what has no variants, and behind another.
        "Ada\xEF\xB8\x8F", "\xE2\x9D\xA4\xEF\xB8\x8F\xEF\xB8\x8F",
        "a\xFF"
        "b"}) {
    INFO(name);
    CHECK(normal_name(name).code() == Code::kInvalid);
  }
  CHECK(normal_name(std::string("a\0b", 3)).code() == Code::kInvalid);
  CHECK(normal_name(std::string(200, 'x')).ok());
  CHECK(normal_name(std::string(201, 'x')).code() == Code::kInvalid);
}

TEST_CASE("names: of keys they are held to the same rule", "[unit][identity]") {
  IdentityRig rig;
  const Organization org = rig.organization();
  for (const PrincipalKind kind : kFamilies) {
    const KeyOwner owner = rig.owner(kind, org, {});
    NewKey wanted;
    for (const char* name : {"\xE2\xA0\x80", "ci\xE2\x80\x8B", "ci\xE2\x80\xAEkey"}) {
      wanted.name = name;
      CHECK(rig.keys.create(owner, wanted, rig.who).code() == Code::kInvalid);
    }
    wanted.name = " ci\xC2\xA0";
    CHECK(rig.keys.create(owner, wanted, rig.who)->record.name == "ci");
  }
  NewKey brought;
  brought.name = "\xE2\x80\x8B";
  const KeyOwner tenant = rig.owner(PrincipalKind::kTenantToken, org);
  const Secret bearer("a-bearer-of-another-system");
  CHECK(rig.keys.import_tenant_token(tenant, brought, bearer, rig.who).code() == Code::kInvalid);
  brought.name.clear();  // One that was given no name.
  CHECK(rig.keys.import_tenant_token(tenant, brought, bearer, rig.who).ok());
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
