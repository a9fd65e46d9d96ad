// Goal: bytes that are here need not come again, and nobody gets bytes, or learns of them, that he
// does not hold. Method: two organizations and two projects; proofs made of right and wrong bytes,
// late and repeated.
#include <chrono>

#include "uploads_world.h"

namespace kvcs {
namespace {

using test::RawResponse;
using test::TusDoor;

constexpr size_t kSize = 2 << 20;

std::string make_bytes(char kind) {
  std::string bytes(kSize, kind);
  for (size_t at = 0; at + 8 < kSize; at += 1000)
    bytes.replace(at, 8, std::to_string(10'000'000 + at));
  return bytes;
}

void store(TusDoor& d, const std::string& bytes, const std::string& key) {
  const std::string path = d.begin(bytes, key);
  REQUIRE(d.patch(path, 0, bytes, {}, key).status == 204);
}

RawResponse offer(TusDoor& d, const std::string& bytes, const std::string& key = "acme") {
  return d.create({{"Upload-Length", std::to_string(bytes.size())},
                   {"Upload-Metadata", TusDoor::metadata(bytes)},
                   {"Upload-Have", "1"}},
                  "", key);
}

std::string proof_of(const std::string& challenge, const std::string& bytes) {
  const size_t space = challenge.find(' ');
  REQUIRE(space == 64);
  std::string text = from_hex(challenge.substr(0, space)).value();
  const auto places = split(std::string_view(challenge).substr(space + 1), ',');
  CHECK(places.size() == 16);
  for (const std::string_view place : places) {
    text += bytes.substr(parse_u64(place, "place").value(), 4096);
  }
  return sha256_hex(text);
}

RawResponse prove(TusDoor& d, const std::string& path, const std::string& proof) {
  return d.send("POST", path, {{"Upload-Proof", proof}});
}

}  // namespace

TEST_CASE("tus: bytes that the caller reaches need not come again", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string bytes = make_bytes('a');
  store(d, bytes, "acme");
  const RawResponse made = offer(d, bytes);
  const std::string path = TusDoor::location(made);
  CHECK(made.header("upload-offset") == std::to_string(kSize));
  CHECK(made.header("upload-challenge").empty());
  CHECK(d.is_ready(path));
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{2, 2 * kSize});
  CHECK(d.offset(path) == std::to_string(kSize));
  CHECK(d.w.blob_count() == 1);
  // A key of another project reaches them not; one of the organization does.
  CHECK(offer(d, bytes, "sibling").header("upload-offset") == "0");
  const std::string of_sibling =
      TusDoor::metadata(bytes, ",project_id " + to_base64(d.w.sibling.project_id));
  CHECK(d.create({{"Upload-Length", std::to_string(kSize)},
                  {"Upload-Have", "1"},
                  {"Upload-Metadata", of_sibling}},
                 "", "whole_acme")
            .header("upload-offset") == std::to_string(kSize));
  // Who does not ask begins at the first byte, as the protocol has it.
  CHECK(d.create({{"Upload-Length", std::to_string(kSize)},
                  {"Upload-Metadata", TusDoor::metadata(bytes)}})
            .header("upload-offset") == "0");
  // Of another size they are not these.
  CHECK(d.create({{"Upload-Length", "5"},
                  {"Upload-Have", "1"},
                  {"Upload-Metadata", TusDoor::metadata(bytes)}})
            .header("upload-offset") == "0");
}

TEST_CASE("tus: whoever holds another's bytes proves it and need not send them",
          "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string bytes = make_bytes('b');
  store(d, bytes, "other");
  const RawResponse made = offer(d, bytes);
  CHECK(made.header("upload-offset") == "0");
  const std::string path = TusDoor::location(made), challenge = made.header("upload-challenge");
  CHECK_FALSE(d.is_ready(path));
  const RawResponse proved = prove(d, path, proof_of(challenge, bytes));
  CHECK(proved.status == 204);
  CHECK(proved.header("upload-offset") == std::to_string(kSize));
  CHECK(d.is_ready(path));
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, kSize});
  CHECK(d.w.blob_count() == 1);
  CHECK(d.w.audits().size() == 2);
}

TEST_CASE("tus: a proof that does not hold tells nothing", "[artifacts][tus]") {
  TusDoor d;
  const std::string known = make_bytes('c'), unknown = make_bytes('d');
  store(d, known, "other");
  std::vector<RawResponse> refused;
  for (const bool is_known : {true, false}) {
    const std::string& bytes = is_known ? known : unknown;
    const RawResponse made = offer(d, bytes);
    const std::string path = TusDoor::location(made), challenge = made.header("upload-challenge");
    CHECK(made.header("upload-offset") == "0");
    REQUIRE(challenge.size() > 64);
    const auto begun = std::chrono::steady_clock::now();
    // As good as a caller can make it that knows the digest alone; the right one, where nobody has
    // the bytes.
    const std::string proof = proof_of(challenge, is_known ? make_bytes('x') : bytes);
    refused.push_back(prove(d, path, proof));
    // Waits have a clock of their own grain.
    CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(990));
    // It was good for one answer.
    const RawResponse again = prove(d, path, proof_of(challenge, bytes));
    CHECK(again.status == 409);
    CHECK(again.body.find("No challenge of this upload is open") != std::string::npos);
    // The bytes themselves are as welcome as ever.
    CHECK(d.patch(path, 0, bytes).status == 204);
    CHECK(d.is_ready(path));
  }
  CHECK(refused[0].status == 403);
  CHECK(refused[1].status == 403);
  CHECK(refused[0].body == refused[1].body);
}

TEST_CASE("tus: challenges for one digest are drawn so often an hour", "[artifacts][tus]") {
  TusDoor d;
  const std::string bytes = make_bytes('f');
  store(d, bytes, "other");
  for (int64_t drawn = 0; drawn < kProofDrawsPerHour; drawn++) {
    const RawResponse made = offer(d, bytes);
    CHECK_FALSE(made.header("upload-challenge").empty());
    CHECK(d.send("DELETE", TusDoor::location(made)).status == 204);
  }
  // Nothing is left of the one that is refused, also for another key of the organization.
  for (const char* key : {"acme", "sibling"}) {
    const RawResponse refused = offer(d, bytes, key);
    CHECK(refused.status == 429);
    CHECK(refused.body.find("has drawn 20 challenges") != std::string::npos);  // proof_draws
    CHECK_FALSE(refused.header("retry-after").empty());
  }
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{0, 0});
  // Other bytes, bytes that are sent, and those of other organizations are not concerned.
  CHECK(offer(d, make_bytes('g')).status == 201);
  d.w.clock.advance_ms(181'000);
  CHECK(offer(d, bytes).status == 201);
  CHECK(offer(d, bytes).status == 429);
  store(d, bytes, "acme");
  // What the caller reaches needs no challenge.
  CHECK(offer(d, bytes).header("upload-offset") == std::to_string(kSize));
}

TEST_CASE("tus: a challenge of a repeated creation is drawn as any other", "[artifacts][tus]") {
  TusDoor d;
  const std::string bytes = make_bytes('r');
  store(d, bytes, "other");
  const auto create = [&] {
    return d.create({{"Upload-Length", std::to_string(kSize)},
                     {"Upload-Metadata", TusDoor::metadata(bytes)},
                     {"Upload-Have", "1"},
                     {"Idempotency-Key", "same"}});
  };
  const RawResponse first = create();
  for (int64_t drawn = 1; drawn < kProofDrawsPerHour; drawn++) {
    const RawResponse again = create();
    CHECK(TusDoor::location(again) == TusDoor::location(first));
    CHECK(again.header("upload-challenge") != first.header("upload-challenge"));
  }
  CHECK(create().status == 429);
}

TEST_CASE("tus: a challenge ends after a minute, and is for its upload alone", "[artifacts][tus]") {
  TusDoor d;
  const std::string bytes = make_bytes('e');
  store(d, bytes, "other");
  const RawResponse first = offer(d, bytes), second = offer(d, bytes);
  const std::string path = TusDoor::location(first), other = TusDoor::location(second);
  CHECK(first.header("upload-challenge") != second.header("upload-challenge"));
  CHECK(prove(d, path, proof_of(second.header("upload-challenge"), bytes)).status == 403);
  d.w.clock.advance_ms(60'001);
  CHECK(prove(d, other, proof_of(second.header("upload-challenge"), bytes)).status == 409);
  CHECK(prove(d, other, "abc").status == 400);
  CHECK(d.send("POST", other, {{"Upload-Proof", sha256_hex("")}}, "", "other").status == 404);
  // What is short is sent, and who does not ask gets none.
  const std::string brief = "bytes";
  CHECK(offer(d, brief).header("upload-challenge").empty());
  CHECK(d.create({{"Upload-Length", std::to_string(kSize)},
                  {"Upload-Metadata", TusDoor::metadata(bytes)}})
            .header("upload-challenge")
            .empty());
}

}  // namespace kvcs
