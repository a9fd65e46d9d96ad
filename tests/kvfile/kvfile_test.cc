// Goal: what is written reads back the same; nothing half-made ever appears under its name.
// Method: temporary folders; a file size limit stands for a full disk.
#include "kvfile/kvfile.h"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "kvfile/faults.h"
#include "kvfile/format/publish.h"
#include "kvfile/support.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::FileSizeLimit;
using kvcs::test::TempDir;

TEST_CASE("kvfile: a written file reads back with its geometry and metadata", "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  REQUIRE(
      write_sample(path, Dtype::kBf16, {12, 2, 5, 8}, 1, {{"kvcs.model", "m\"\n\xc3\xbc"}}).ok());
  const auto file = KvFile::open(path);
  REQUIRE(file.ok());
  const KvHeader& header = (*file)->header();
  CHECK(header.layers == 12);
  CHECK(header.kv_heads == 2);
  CHECK(header.tokens == 5);
  CHECK(header.head_dim == 8);
  CHECK(header.dtype == Dtype::kBf16);
  CHECK(header.scheme == Scheme::kPlain);
  CHECK(header.data_start % 8 == 0);
  CHECK(*header.metadata_value("kvcs.model") == "m\"\n\xc3\xbc");
  CHECK(header.tensors[2].name == "k_10");  // By name, as the safetensors library writes.
  CHECK(count_files(dir.path()) == 1);
  CHECK((*file)->check_unchanged().ok());
  CHECK((*file)->is_same_file(path));
}

TEST_CASE("kvfile: a file that changes while it is read is noticed", "[fault][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 4, 8}).ok());
  const auto file = KvFile::open(path);
  REQUIRE(file.ok());
  std::filesystem::resize_file(path, (*file)->size_bytes() - 1);
  CHECK((*file)->check_unchanged().code() == Code::kConflict);
  std::string buffer(128, '\0');
  CHECK((*file)->read((*file)->header().get(Part::kValues, 0), 0, buffer.data(), 64).code() ==
        Code::kConflict);
}

TEST_CASE("kvfile: a full disk leaves no file and no temporary one", "[fault][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  Status status;
  {
    FileSizeLimit limit(4096);
    status = write_sample(path, Dtype::kF16, {2, 2, 64, 16});
  }
  CHECK(!status.ok());
  CHECK(status.message().find("a.kv") != std::string::npos);
  CHECK(count_files(dir.path()) == 0);
}

TEST_CASE("kvfile: an output never replaces its input and a failed one leaves the old file",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  write_bytes(path, "old");
  std::filesystem::create_hard_link(path, dir.path() + "/b.kv");
  CHECK(AtomicFile::create(path, {dir.path() + "/b.kv"}).code() == Code::kConflict);
  {
    auto file = AtomicFile::create(path);
    REQUIRE(file.ok());
    REQUIRE((*file)->write(0, "new", 3).ok());
  }
  CHECK(read_bytes(path) == "old");
  CHECK(write_file_atomically(path, "new").ok());
  CHECK(read_bytes(path) == "new");
  CHECK(AtomicFile::create("/dev/null").code() == Code::kInvalid);
  CHECK(!AtomicFile::create(dir.path() + "/none/a.kv").ok());
  CHECK(count_files(dir.path()) == 2);
}

TEST_CASE("kvfile: a file with missing bytes is not published", "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  auto header = make_header(layout_tensors(Scheme::kPlain, Dtype::kF16, {1, 1, 4, 8}), {});
  REQUIRE(header.ok());
  auto writer = KvWriter::create(path, std::move(*header));
  REQUIRE(writer.ok());
  CHECK((*writer)->publish().code() == Code::kInternal);
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("kvfile: the sidecar is written in kvcdn's order and read back", "[unit][kvfile]") {
  Sidecar sidecar;
  sidecar.model_name = "Qwen/Qwen3-0.6B";
  sidecar.num_layers = 28;
  sidecar.num_tokens = 2;
  sidecar.dtype = "F16";
  sidecar.nbytes = 400;
  CHECK(dump_sidecar(sidecar) ==
        "{\n  \"model_name\": \"Qwen/Qwen3-0.6B\",\n  \"num_layers\": 28,\n  \"num_tokens\": 2,\n"
        "  \"dtype\": \"F16\",\n  \"storage_dtype\": null,\n  \"nbytes\": 400,\n"
        "  \"quantized\": false\n}");
  sidecar.storage_dtype = "U8";
  sidecar.prompt = "a \"b\"\n";
  sidecar.tokens = {1, 2};
  const std::string text = dump_sidecar(sidecar);
  CHECK(
      text.ends_with("  \"prompt\": \"a \\\"b\\\"\\n\",\n  \"tokens\": [\n    1,\n    2\n  ]\n}"));
  const auto read = parse_sidecar(text);
  REQUIRE(read.ok());
  CHECK(dump_sidecar(*read) == text);
}

TEST_CASE("kvfile: a bad sidecar is refused with the member that is wrong", "[unit][kvfile]") {
  const auto refuses = [](const std::string& json, const std::string& why) {
    const Status status = parse_sidecar(json).status();
    INFO(json << " -> " << status.message());
    CHECK(status.code() == Code::kInvalid);
    CHECK(status.message().find(why) != std::string::npos);
  };
  const std::string good = R"("model_name":"m","num_layers":1,"num_tokens":4,"dtype":"F16",)"
                           R"("nbytes":400,"quantized":false)";
  REQUIRE(parse_sidecar("{" + good + R"(,"other":{"deep":[1,-2.5e3,null,true]}})").ok());
  refuses("{}", "model_name is missing");
  refuses("[1]", "an object was expected");
  refuses("{" + good + ",\"nbytes\":1}", "twice");
  refuses("{" + good + ",\"tokens\":[1,-2]}", "negative");
  refuses("{" + good + ",\"tokens\":[4294967296]}", "over 2^32-1");
  refuses("{" + good + ",\"tokens\":[1.5]}", "fraction");
  refuses("{" + good + "} x", "behind the end");
  refuses("{" + good + ",\"x\":" + std::string(100'000, '[') + "}", "nested deeper");
}

TEST_CASE("kvfile: each limit of a reader is named by its error", "[unit][kvfile]") {
  TempDir dir;
  const auto refuses = [](const Status& status, const std::string& why) {
    INFO(status.message());
    CHECK_FALSE(status.ok());
    CHECK(status.message().find(why) != std::string::npos);
  };
  const auto plain = [](uint64_t heads, uint64_t tokens, uint64_t dim) {
    const Geometry size{1, heads, tokens, dim};
    return make_header(layout_tensors(Scheme::kPlain, Dtype::kF16, size), {}).status();
  };
  CHECK(plain(1, kTokensMax, 1).ok());
  refuses(plain(1, kTokensMax + 1, 1), "16777217 tokens are over the limit of 16777216");
  refuses(plain(kTokensMax + 1, 1, 1), "16777217 heads are over the limit");
  refuses(plain(1, 1, kTokensMax + 1), "16777217 head_dim are over the limit");

  std::string ids = "[0";
  ids.reserve(2 * kTokensMax + 4);
  for (uint64_t i = 1; i < kTokensMax; i++) ids += ",0";
  CHECK(parse_token_ids(ids + "]").ok());
  refuses(parse_token_ids(ids + ",0]").status(), "more token ids than the limit of 16777216");

  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 1, 4, 8}).ok());
  write_bytes(dir.file("a.kv.json"), "{}");
  std::filesystem::resize_file(dir.file("a.kv.json"), kSidecarBytesMax + 1);
  refuses(read_sidecar(dir.file("a.kv")).status(), "67108865 bytes; the limit is 67108864");

  Sidecar large = describe_header((*KvFile::open(dir.file("a.kv")))->header());
  large.prompt = std::string(kSidecarBytesMax, 'x');
  const Status refused = sidecar_companion(dir.file("a.kv"), large).status();
  CHECK(refused.code() == Code::kTooLarge);
  refuses(refused, "the limit is 64.00 MiB");
}
