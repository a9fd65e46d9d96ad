// Goal: what was imported and is exported again is the same to the byte. Method: real llama.cpp
// files and hand-laid dumps go through a .kv file and back.
#include "kvfile/convert/export.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "kvfile/convert/import.h"
#include "kvfile/support.h"
#include "kvfile/tools/annotate.h"
#include "kvfile/tools/quantize.h"
#include "kvfile/tools/slice.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

Status import_llama(const std::string& from, const std::string& to, Dtype dtype = Dtype::kF16) {
  const auto llama = KVCS_TRY(open_llama_cache(from, {}));
  ImportOptions options;
  options.output = to;
  options.dtype = dtype;
  return write_imported(*llama.cache, options).status();
}

std::string data_of(const std::string& path) {
  return read_bytes(path).substr((*KvFile::open(path))->header().data_start);
}

}  // namespace

TEST_CASE("export: an imported llama.cpp sequence file comes back to the byte", "[unit][kvfile]") {
  TempDir dir;
  const std::string source = data_path("llamacpp/v10-f16-nofa-512.seq.bin");
  REQUIRE(import_llama(source, dir.file("a.kv")).ok());
  REQUIRE(export_llama({.input = dir.file("a.kv"), .output = dir.file("b.bin")}).ok());
  CHECK(read_bytes(dir.file("b.bin")) == read_bytes(source));
}

TEST_CASE("export: values that the dtype cannot hold are refused", "[unit][kvfile]") {
  TempDir dir;
  // Codes of an int8 file whose values were F32, under a scale that F16 has no value for.
  REQUIRE(quantize({.input = data_path("malicious/huge-f32.kv"), .output = dir.file("q.kv")}).ok());
  std::string bytes = read_bytes(dir.file("q.kv"));
  const size_t at = bytes.find(R"("kvcs.dtype":"F32")");
  REQUIRE(at != std::string::npos);
  write_bytes(dir.file("lie.kv"), bytes.replace(at + 14, 3, "F16"));
  const Status status =
      export_safetensors({.input = dir.file("lie.kv"), .output = dir.file("out")}).status();
  CHECK(status.message().find("out of the range of F16") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir.file("out")));
}

TEST_CASE("export: import after export is the identity for every source and dtype",
          "[unit][kvfile]") {
  TempDir dir;
  for (const char* name :
       {"v10-f16-fa-512.session.bin", "v9-f16-nofa-512.session.bin", "v10-q8_0-fa-512.session.bin",
        "slot-q8_0.bin", "prompt-cache-f16.bin"}) {
    for (const Dtype dtype : {Dtype::kF16, Dtype::kF32, Dtype::kBf16}) {
      INFO(name << " " << dtype_name(dtype));
      REQUIRE(
          import_llama(data_path(std::string("llamacpp/") + name), dir.file("a.kv"), dtype).ok());
      const auto report = export_llama({.input = dir.file("a.kv"), .output = dir.file("b.bin")});
      INFO(report.status().message());
      REQUIRE(report.ok());
      REQUIRE(import_llama(dir.file("b.bin"), dir.file("c.kv"), dtype).ok());
      CHECK(data_of(dir.file("a.kv")) == data_of(dir.file("c.kv")));
      CHECK((*read_sidecar(dir.file("a.kv")))->tokens == (*read_sidecar(dir.file("c.kv")))->tokens);
      // A sequence file made here survives the same way to the byte.
      REQUIRE(export_llama({.input = dir.file("c.kv"), .output = dir.file("d.bin")}).ok());
      CHECK(read_bytes(dir.file("b.bin")) == read_bytes(dir.file("d.bin")));
    }
  }
}

TEST_CASE("export: a DynamicCache dump comes back to the byte", "[unit][kvfile]") {
  TempDir dir;
  const std::string source = data_path("import/hf/dynamic_cache.safetensors");
  const auto cache = open_hf_cache(source);
  ImportOptions options;
  options.output = dir.file("a.kv");
  REQUIRE(write_imported(*cache->cache, options).ok());
  REQUIRE(export_safetensors({.input = dir.file("a.kv"), .output = dir.file("b")}).ok());
  // All but the facts, which the source did not have.
  const auto tensors = [](const std::string& path) {
    const std::string bytes = read_bytes(path);
    return bytes.substr(8 + load_u64le(bytes.data()));
  };
  CHECK(tensors(dir.file("b")) == tensors(source));
}

TEST_CASE("export: text, ids and facts go with the values and come back", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kBf16, {11, 2, 3, 64}).ok());
  AnnotateOptions facts;
  facts.input = dir.file("a.kv");
  facts.tokens = {{5, 6, 7}};
  facts.text = "a \"text\"\n";
  facts.facts = {{"kvcs.model", "m"}, {"kvcs.arch", "qwen3"}, {"kvcs.rope_base", "10000"}};
  REQUIRE(annotate(facts).ok());
  const auto check = [&](const Result<ImportedTensors>& imported) {
    INFO(imported.status().message());
    REQUIRE(imported.ok());
    ImportOptions options;
    options.output = dir.file("back.kv");
    REQUIRE(write_imported(*imported->cache, options).ok());
    const auto before = KvFile::open(dir.file("a.kv"));
    const auto after = KvFile::open(options.output);
    const auto data = [](const KvFile& file) {
      return read_bytes(file.path()).substr(file.header().data_start);
    };
    CHECK(data(**after) == data(**before));
    for (const auto& [key, value] : facts.facts) {
      INFO(key);
      REQUIRE((*after)->header().metadata_value(key) != nullptr);
      CHECK(*(*after)->header().metadata_value(key) == value);
    }
    CHECK((*read_sidecar(options.output))->tokens == facts.tokens);
    CHECK(verify({.path = options.output, .context_text = facts.text})->verdict ==
          Verdict::kVerified);
  };
  const ExportOptions options{.input = dir.file("a.kv"), .output = dir.file("b")};
  REQUIRE(export_safetensors(options).ok());
  check(open_hf_cache(dir.file("b")));
  REQUIRE(export_mlx(options).ok());
  check(open_mlx_cache(dir.file("b")));
  // What mlx-lm needs to load it: a class and a state for each layer, and its own "model".
  const std::string head = read_bytes(dir.file("b")).substr(8, 4000);
  for (const char* const entry : {R"("2.10":"KVCache")", R"("0.10":"")", R"("1.model":"m")"}) {
    CHECK(head.find(entry) != std::string::npos);
  }
}

TEST_CASE("export: what llama.cpp could not read is refused", "[unit][kvfile]") {
  TempDir dir;
  const ExportOptions options{.input = dir.file("a.kv"), .output = dir.file("b.bin")};
  CHECK(export_llama(options).code() == Code::kNotFound);
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {2, 2, 300, 64}).ok());
  CHECK(export_llama(options).status().message().find("--rope") != std::string::npos);
  ExportOptions told = options;
  told.rope = RopePairing::kNeox;
  CHECK(export_llama(told).status().message().find("ids") != std::string::npos);
  REQUIRE(import_llama(data_path("llamacpp/prompt-cache-f16.bin"), dir.file("whole.kv")).ok());
  SliceOptions slice{.input = dir.file("whole.kv"), .output = dir.file("a.kv"), .spec = {}};
  slice.spec.tokens = {8, 60};
  REQUIRE(slice_file(slice).ok());
  CHECK(export_llama(options).status().message().find("position 0") != std::string::npos);
  CHECK(export_safetensors({.input = dir.file("a.kv"), .output = dir.file("a.kv")}).code() ==
        Code::kConflict);
  CHECK_FALSE(std::filesystem::exists(dir.file("b.bin")));
}
