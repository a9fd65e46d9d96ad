// Goal: caches of llama.cpp, transformers, mlx-lm and vLLM become exactly the .kv they should, and
// hostile state files are refused at once. Method: real files under tests/data, digests of the
// expected tensor bytes, one file patched into each known attack and cut at many places.
#include "kvfile/convert/import.h"

#include <catch2/catch.hpp>

#include <chrono>

#include "base/bytes.h"
#include "base/crypto.h"
#include "kvfile/convert/export.h"
#include "kvfile/support.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

std::string tensor_bytes(const std::string& path) {
  const auto file = KvFile::open(path);
  REQUIRE(file.ok());
  return read_bytes(path).substr((*file)->header().data_start);
}

Result<ImportedLlama> open_llama(const std::string& path, const LlamaImport& options = {}) {
  return open_llama_cache(path, options);
}

Status import_to(const CacheSource& source, const std::string& output,
                 std::optional<Dtype> dtype = {}) {
  ImportOptions options;
  options.output = output;
  options.dtype = dtype;
  return write_imported(source, options).status();
}

std::string patched(uint64_t at, const std::string& bytes) {
  std::string file = read_bytes(data_path("llamacpp/v10-f16-fa-512.session.bin"));
  return file.replace(at, bytes.size(), bytes);
}

}  // namespace

TEST_CASE("import: real llama.cpp files become the expected tensors to the bit", "[unit][kvfile]") {
  struct Row {
    const char *file, *digest;
    bool hadamard;
  };
  const Row rows[] = {
      {"v10-f16-fa-512.session.bin",
       "440c050b0bc39be1cb2105a868b4725f828fd6121ed364d05aa973a52d21b296", false},
      {"v10-f16-nofa-512.seq.bin",
       "d617410ae2c27748eb534f2790b62776164ed5c018f4e628c7c904b45cb7a3f7", false},
      {"v10-q8_0-fa-512.session.bin",
       "6e84bf6509573ec40236f8b1e0bb2bdfa8851837f740856aa92baf960b0518cc", true},
      {"v9-f16-nofa-512.session.bin",
       "116e004cff224629d2c43da3e34cbf4737c27693f16557700c27273199be541e", false},
  };
  TempDir dir;
  for (const Row& row : rows) {
    INFO(row.file);
    const auto llama = open_llama(data_path(std::string("llamacpp/") + row.file));
    INFO(llama.status().message());
    REQUIRE(llama.ok());
    CHECK(llama->rope.detected);
    CHECK(llama->rope.pairing == RopePairing::kNorm);
    CHECK(llama->rope.hadamard == row.hadamard);
    REQUIRE(import_to(*llama->cache, dir.file("a.kv"), Dtype::kF32).ok());
    CHECK(sha256_hex(tensor_bytes(dir.file("a.kv"))) == row.digest);
    const auto report = verify({.path = dir.file("a.kv")});
    CHECK(report->verdict == Verdict::kVerified);
    CHECK(report->sidecar->tokens->size() == 512);
  }
}

TEST_CASE("import: rope raw leaves llama.cpp's keys in their order", "[unit][kvfile]") {
  TempDir dir;
  const auto llama =
      open_llama(data_path("llamacpp/v10-f16-fa-512.session.bin"), {.rope = RopeOrder::kRaw});
  REQUIRE(llama.ok());
  REQUIRE(import_to(*llama->cache, dir.file("a.kv"), Dtype::kF32).ok());
  CHECK(sha256_hex(tensor_bytes(dir.file("a.kv"))) ==
        "487d7c8a39e90144d340148639329e838c323c7189415899f7a22cb27b9c1afc");
}

TEST_CASE("import: slots and prompt caches hold their cells' token ids", "[unit][kvfile]") {
  const auto slot = open_llama(data_path("llamacpp/slot-q8_0.bin"));
  REQUIRE(slot.ok());
  CHECK(slot->cache->tokens().size() == 115);
  CHECK(slot->cache->tokens()[0] == 1);
  CHECK(slot->rope.hadamard);
  const auto prompt = open_llama(data_path("llamacpp/prompt-cache-f16.bin"));
  REQUIRE(prompt.ok());
  CHECK(prompt->cache->tokens().size() == 69);
  CHECK(prompt->seen.find("1 more token ids than cells") != std::string::npos);
}

TEST_CASE("import: hostile llama.cpp files are refused at once with one line", "[unit][kvfile]") {
  const std::string lots = "\xff\xff\xff\xff";
  const std::string sequence = read_bytes(data_path("llamacpp/v10-f16-nofa-512.seq.bin"));
  const std::pair<const char*, std::string> files[] = {
      {"token count", patched(8, lots)},
      {"token count over the limit", patched(8, std::string("\x01\x00\x00\x01", 4))},
      {"architecture length", patched(2060, "\xff\xff\xff\x7f")},
      {"sequence count", patched(2081, lots)},
      {"layer count", patched(8225, lots)},
      {"value type", patched(8229, lots)},
      {"row bytes", patched(8233, std::string(8, '\xff'))},
      {"cell count", patched(2073, lots)},
      {"stream count", patched(2069, lots)},
      {"position", patched(2077, "\x05")},
      {"magic", patched(0, "ggla")},
      {"tail", patched(0, "") + "x"},
      {"empty", ""},
      {"short", "nsgg"},
      {"values too wide", std::string(sequence).replace(sequence.size() - 131'084 + 8, 4, lots)},
  };
  TempDir dir;
  for (const auto& [what, bytes] : files) {
    INFO(what);
    write_bytes(dir.file("hostile.bin"), bytes);
    const auto start = std::chrono::steady_clock::now();
    const auto llama = open_llama(dir.file("hostile.bin"));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
    REQUIRE_FALSE(llama.ok());
    CHECK(llama.code() == Code::kInvalid);
    const std::string message = llama.status().message();
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < 400);
  }
  // A hole of the size that the token count claims.
  write_bytes(dir.file("t.bin"), patched(8, std::string("\x01\x00\x00\x01", 4)));
  std::filesystem::resize_file(dir.file("t.bin"), 5 * kTokensMax);
  CHECK(open_llama(dir.file("t.bin"))
            .status()
            .message()
            .find("16777217 token ids; the limit is 16777216") != std::string::npos);
}

TEST_CASE("import: a llama.cpp file cut anywhere is refused", "[unit][kvfile]") {
  TempDir dir;
  const std::string whole = read_bytes(data_path("llamacpp/prompt-cache-f16.bin"));
  for (size_t size = 0; size < whole.size(); size += size < 2000 ? 13 : 4999) {
    INFO(size);
    write_bytes(dir.file("cut.bin"), whole.substr(0, size));
    CHECK(open_llama(dir.file("cut.bin")).code() == Code::kInvalid);
  }
}

TEST_CASE("import: transformers, mlx-lm and vLLM caches equal the reference", "[unit][kvfile]") {
  TempDir dir;
  const std::string expected = tensor_bytes(data_path("import/ref.kv"));
  const auto check = [&](const Result<ImportedTensors>& cache) {
    INFO(cache.status().message());
    REQUIRE(cache.ok());
    REQUIRE(import_to(*cache->cache, dir.file("a.kv")).ok());
    CHECK(tensor_bytes(dir.file("a.kv")) == expected);
  };
  check(open_hf_cache(data_path("import/hf/dynamic_cache.safetensors")));
  check(open_hf_cache(data_path("import/hf/past_key_values.safetensors")));
  check(open_mlx_cache(data_path("import/mlx/prompt_cache.safetensors")));
  CHECK((*KvFile::open(dir.file("a.kv")))->header().metadata_value("kvcs.model") != nullptr);
  check(open_vllm_cache(data_path("import/vllm"), {.kv_heads = 2}));
}

TEST_CASE("import: token ids are recorded and must be as many as the tokens", "[unit][kvfile]") {
  TempDir dir;
  const auto cache = open_hf_cache(data_path("import/hf/dynamic_cache.safetensors"));
  ImportOptions options;
  options.output = dir.file("a.kv");
  options.tokens = *read_token_ids(data_path("import/tokens.json"));
  options.facts = {{"kvcs.model", "m"}, {"kvcs.tokenizer", "t"}};
  REQUIRE(write_imported(*cache->cache, options).ok());
  const auto sidecar = read_sidecar(dir.file("a.kv"));
  CHECK(sidecar->value().tokens == options.tokens);
  CHECK(sidecar->value().model_name == "m");
  CHECK(*(*KvFile::open(dir.file("a.kv")))->header().metadata_value("kvcs.tokenizer") == "t");
  // The sidecar lies outside the file's digest; the chain of its ids does not.
  CHECK(verify({.path = dir.file("a.kv")})->verdict == Verdict::kVerified);
  Sidecar other = **sidecar;
  other.tokens->back()++;
  REQUIRE(write_sidecar(dir.file("a.kv"), other).ok());
  CHECK(verify({.path = dir.file("a.kv")})->why ==
        "the token ids are not those of kvcs.token_chain");
  options.output = dir.file("b.kv");
  options.tokens->pop_back();
  CHECK(write_imported(*cache->cache, options).code() == Code::kInvalid);
  CHECK(count_files(dir.path()) == 2);
}

TEST_CASE("import: what cannot be imported is refused by name", "[unit][kvfile]") {
  TempDir dir;
  const std::string mlx = read_bytes(data_path("import/mlx/prompt_cache.safetensors"));
  for (const std::string& name : {std::string("RotatingKVCache"), std::string("OtherCache")}) {
    std::string bytes = mlx;
    const size_t at = bytes.find("\"KVCache\"");
    bytes.replace(at + 1, 7, name);
    uint64_t header_bytes = load_u64le(bytes.data()) + name.size() - 7;
    std::string length;
    append_u64le(length, header_bytes);
    write_bytes(dir.file("m"), bytes.replace(0, 8, length));
    const auto cache = open_mlx_cache(dir.file("m"));
    REQUIRE_FALSE(cache.ok());
    CHECK(cache.status().message().find(name) != std::string::npos);
  }
  CHECK(open_hf_cache(data_path("import/mlx/prompt_cache.safetensors")).code() == Code::kInvalid);
  CHECK(open_mlx_cache(data_path("import/ref.kv")).code() == Code::kInvalid);
  CHECK(open_hf_cache(data_path("import/tokens.json")).code() == Code::kInvalid);
  CHECK(open_vllm_cache(data_path("import/vllm"), {.kv_heads = 3}).code() == Code::kInvalid);
  CHECK(open_vllm_cache(data_path("import/hf"), {.kv_heads = 2}).code() == Code::kInvalid);
  CHECK(open_vllm_cache(dir.file("none"), {.kv_heads = 2}).code() == Code::kNotFound);
}

TEST_CASE("import, export: rows wider than memory is kept for are refused with the limit",
          "[unit][kvfile]") {
  TempDir dir;
  // One token of 16,385 heads: a small file whose 256 rows would not be.
  const auto write_wide = [&](uint64_t heads) {
    REQUIRE(write_sample(dir.file("wide.kv"), Dtype::kF16, {1, heads, 1, 2}).ok());
    Sidecar sidecar = describe_header((*KvFile::open(dir.file("wide.kv")))->header());
    sidecar.tokens = {7};
    REQUIRE(write_sidecar(dir.file("wide.kv"), sidecar).ok());
    return export_safetensors({.input = dir.file("wide.kv"), .output = dir.file("wide.st")});
  };
  const auto to_llama = [&] {
    return export_llama(
        {.input = dir.file("wide.kv"), .output = dir.file("wide.bin"), .rope = RopePairing::kNeox});
  };
  REQUIRE(write_wide(kRowValuesMax / 2).ok());
  CHECK(to_llama().ok());
  CHECK(import_to(*open_hf_cache(dir.file("wide.st"))->cache, dir.file("back.kv")).ok());
  CHECK(open_llama(dir.file("wide.bin"),
                   {.kv_heads = kRowValuesMax / 2, .head_dim = 2, .rope = RopeOrder::kNeox})
            .ok());
  REQUIRE(write_wide(kRowValuesMax / 2 + 1).ok());
  for (const Status& status : {open_hf_cache(dir.file("wide.st")).status(), to_llama().status()}) {
    CHECK(status.code() == Code::kInvalid);
    CHECK(status.message().find("over the limit of 16384") != std::string::npos);
  }
}
