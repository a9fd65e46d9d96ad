// Goal: a hostile file is refused with one line and few resources, a good one is proved, and the
// context is compared. Method: the table in tests/data/malicious/INDEX.tsv, then files made here.
#include "kvfile/tools/verify.h"

#include <catch2/catch.hpp>

#include "kvfile/format/finite.h"
#include "kvfile/hostile.h"
#include "kvfile/support.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

std::string minimal_header(const std::string& tail = "") {
  return R"({"k_0":{"dtype":"F16","shape":[1,2,4,8],"data_offsets":[0,128]},)"
         R"("v_0":{"dtype":"F16","shape":[1,2,4,8],"data_offsets":[128,256]})" +
         tail + "}";
}
Status parse(const std::string& json) {
  return parse_header(json, 8 + json.size() + 256).status();
}

VerifyReport must_verify(const VerifyOptions& options) {
  auto report = verify(options);
  INFO(report.status().message());
  REQUIRE(report.ok());
  return std::move(*report);
}

}  // namespace

TEST_CASE("verify: every hostile file of the table is answered as the table says",
          "[unit][kvfile]") {
  TempDir dir;
  make_hostile_folder(dir.path());
  const std::vector<HostileFile> rows = hostile_files();
  REQUIRE(rows.size() > 40);
  for (const HostileFile& row : rows) {
    if (row.is_state()) continue;
    const VerifyReport report = must_verify({.path = dir.file(row.name)});
    INFO(row.name << ": " << report.why);
    const bool reject = row.expected == "reject";
    CHECK((report.verdict == Verdict::kMismatch) == reject);
    CHECK(report.why.empty() != reject);
    CHECK(report.why.find('\n') == std::string::npos);
    CHECK(report.why.find('\x1b') == std::string::npos);
  }
}

TEST_CASE("verify: the header's parser refuses what a lenient one lets pass", "[unit][kvfile]") {
  REQUIRE(parse(minimal_header()).ok());
  const auto refuses = [](const std::string& json, const std::string& why) {
    const Status status = parse(json);
    INFO(json << " -> " << status.message());
    CHECK(status.code() == Code::kInvalid);
    CHECK(status.message().find(why) != std::string::npos);
  };
  refuses(" " + minimal_header(), "does not begin with '{'");
  refuses(minimal_header() + "x", "behind the end");
  refuses(minimal_header() + "\n", "behind the end");
  refuses(minimal_header(",\"k_0\":{}"), "twice");
  refuses(minimal_header(R"(,"x":{"dtype":"F16","shape":[0],"data_offsets":[256,256]})"),
          "not a tensor name");
  refuses(minimal_header(R"(,"k_7":{"dtype":"F16","shape":[0],"data_offsets":[256,256]})"),
          "does not belong");
  refuses(minimal_header(R"(,"k_0_s":{"dtype":"F32","shape":[0],"data_offsets":[256,256]})"),
          "does not belong");
  refuses(minimal_header(R"(,"tokens":{"dtype":"U32","shape":[0],"data_offsets":[256,256]})"),
          "must be U32 [4]");
  refuses(minimal_header(R"(,"__metadata__":{"a":"b","a":"c"})"), "twice");
  refuses(minimal_header(R"(,"__metadata__":{"kvcs.scheme":"int8"})"), "kvcs.scheme");
  refuses(R"({"k_0":{"dtype":"F16","shape":[1,2,4,8],"data_offsets":[0,128],"x":1}})", "unknown");
  refuses(R"({"k_0":{"dtype":"F16","shape":[1,2,4,8,1],"data_offsets":[0,128]}})", "more than 4");
  refuses(R"({"k_0":{"dtype":"F16","shape":[01],"data_offsets":[0,128]}})", "leading zero");
  refuses(R"({"k_0":{"dtype":"F16","shape":[1.0],"data_offsets":[0,128]}})", "fraction");
  refuses(R"({"k_0":{"dtype":"F64","shape":[1],"data_offsets":[0,128]}})", "F64");
  refuses(R"({"k_0":{"dtype":"F16","shape":[9223372036854775808]}})", "over 2^63-1");
  refuses(R"({"k_0":{"dtype":"F16","shape":[1,2,4,8],"data_offsets":[8,136]}})", "a hole");
  refuses(R"({"k_0":)", "expected");
  refuses("{\"k_0", "without its end");
}

TEST_CASE("verify: facts that the tensors contradict or cannot have are refused",
          "[unit][kvfile]") {
  const auto with = [](const std::string& facts) {
    return parse(R"({"__metadata__":{)" + facts + "}," + minimal_header().substr(1)).message();
  };
  const auto says = [&](const std::string& facts, const std::string& why) {
    INFO(facts << " -> " << with(facts));
    CHECK(with(facts).find(why) != std::string::npos);
  };
  CHECK(with(R"("kvcs.n_tokens":"4","kvcs.position_offset":"4294967295","kvcs.rotation":"none")")
            .empty());
  says(R"("kvcs.n_tokens":"5")", "kvcs.n_tokens says 5, the tensors have 4");
  says(R"("kvcs.n_tokens":"many")", "kvcs.n_tokens must be a whole number");
  says(R"("kvcs.position_offset":"-3")", "kvcs.position_offset must be a whole number");
  says(R"("kvcs.position_offset":"18446744073709551615")", "over the limit of 4294967295");
  says(R"("kvcs.first_layer":"4294967296")", "over the limit of 4294967295");
  says(R"("kvcs.rotation":"hadamard-3")", "does not fit head_dim 8");
  says(R"("kvcs.scheme":"int8")", "kvcs.scheme says int8");
}

TEST_CASE("verify: a header with very many tensors or entries costs little", "[unit][kvfile]") {
  std::string many = "{";
  for (int i = 0; i < 250'000; i++) {
    many += (i > 0 ? ",\"k_" : "\"k_") + std::to_string(i % 100'000) +
            R"(":{"dtype":"F16","shape":[0],"data_offsets":[0,0]})";
  }
  many += "}";
  REQUIRE(many.size() < kHeaderBytesMax);
  CHECK(parse(many).message().find("more than 16384 tensors") != std::string::npos);
  std::string long_name = "{\"" + std::string(1'000'000, 'k') + "\":{}}";
  const std::string why = parse(long_name).message();
  CHECK(why.size() < 200);
}

TEST_CASE("verify: a NaN or an infinity is found in every dtype", "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  for (const Dtype dtype : {Dtype::kF16, Dtype::kBf16, Dtype::kF32}) {
    REQUIRE(write_sample(path, dtype, {2, 2, 33, 8}).ok());
    CHECK(must_verify({.path = path}).verdict == Verdict::kVerified);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      std::string bytes = read_bytes(path);
      const std::string value = encode_value(dtype, bad);
      bytes.replace(bytes.size() - 3 * value.size(), value.size(), value);
      write_bytes(path + "x", bytes);
      const VerifyReport report = must_verify({.path = path + "x"});
      CHECK(report.verdict == Verdict::kMismatch);
      CHECK(report.nonfinite == 1);
      CHECK(report.why.find("\"v_1\"") != std::string::npos);
    }
  }
  const unsigned char e4m3[] = {0x7e, 0x7f, 0xff, 0x78};
  CHECK(count_nonfinite(Dtype::kF8E4m3, e4m3, 4) == 2);
  const unsigned char e5m2[] = {0x7b, 0x7c, 0xfd, 0x80};
  CHECK(count_nonfinite(Dtype::kF8E5m2, e5m2, 4) == 2);
  const float scales[] = {1.0F, 0.0F, -0.0F, -1.0F, NAN, INFINITY, 1e-40F};
  CHECK(count_bad_scales(Dtype::kF32, scales, sizeof scales) == 5);
}

TEST_CASE("verify: token ids and text are compared, and the report says where they part",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 4, 8}).ok());
  CHECK(must_verify({.path = path, .tokens = {{1, 2}}}).verdict == Verdict::kUnverifiable);
  CHECK(must_verify({.path = path, .context_text = "ab"}).verdict == Verdict::kUnverifiable);
  Sidecar sidecar = describe_header((*KvFile::open(path))->header());
  sidecar.prompt = "one\ntwo";
  sidecar.tokens = {5, 6, 7, 8};
  REQUIRE(write_sidecar(path, sidecar).ok());

  CHECK(must_verify({.path = path, .tokens = {{5, 6, 7, 8}}}).verdict == Verdict::kVerified);
  const VerifyReport other = must_verify({.path = path, .tokens = {{5, 6, 9, 8}}});
  CHECK(other.verdict == Verdict::kMismatch);
  REQUIRE(other.tokens_context);
  CHECK(other.tokens_context->common_prefix == 2);
  CHECK(other.tokens_context->recorded_token == 7U);
  CHECK(other.tokens_context->given_token == 9U);
  const VerifyReport shorter = must_verify({.path = path, .tokens = {{5, 6}}});
  CHECK(shorter.verdict == Verdict::kMismatch);
  CHECK(shorter.why.find("given the end") != std::string::npos);

  CHECK(must_verify({.path = path, .context_text = "one\ntwo"}).verdict == Verdict::kVerified);
  const VerifyReport text = must_verify({.path = path, .context_text = "one\ntxo"});
  CHECK(text.verdict == Verdict::kMismatch);
  CHECK(text.text_context->line == 2);
  CHECK(text.text_context->column == 2);
  const std::string digest = must_verify({.path = path}).sha256;
  CHECK(digest.size() == 64);
  CHECK(must_verify({.path = path, .sha256 = digest}).verdict == Verdict::kVerified);
  CHECK(must_verify({.path = path, .sha256 = std::string(64, '0')}).verdict == Verdict::kMismatch);
}

TEST_CASE("verify: a missing file is a failure, not a verdict", "[unit][kvfile]") {
  CHECK(verify({.path = "/nonexistent/a.kv"}).code() == Code::kNotFound);
}

TEST_CASE("verify: what an editor does to a text is named, and columns are characters",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.file("a.kv");
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 4, 8}).ok());
  Sidecar sidecar = describe_header((*KvFile::open(path))->header());
  sidecar.prompt = "one\n\xc3\xa9t\xc3\xa9 two\n";
  REQUIRE(write_sidecar(path, sidecar).ok());
  const std::pair<std::string, const char*> rows[] = {
      {*sidecar.prompt + "\n", "the given text has one line end more at its end: the texts part"},
      {"one\n\xc3\xa9t\xc3\xa9 two", "the given text lacks the line end at its end: "},
      {"one\r\n\xc3\xa9t\xc3\xa9 two\r\n", "the texts differ in their line ends alone"},
      {"\xef\xbb\xbf" + *sidecar.prompt, "the given text begins with a byte order mark: "},
      {"one\n\xc3\xa9t\xc3\xa9 xwo\n", "the texts part at byte 10 (line 2, column 5;"},
      {"one\n\xc3\xa9t\xc3\xa8 two\n", "the texts part at byte 8 (line 2, column 3;"}};
  for (const auto& [given, why] : rows) {
    const VerifyReport report = must_verify({.path = path, .context_text = given});
    INFO(report.why);
    CHECK(report.verdict == Verdict::kMismatch);
    CHECK(report.why.starts_with(why));
  }
}
