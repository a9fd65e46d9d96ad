// Goal: what was imported and is exported again is the same to the byte. Method: real llama.cpp
// files and hand-laid dumps go through a .kv file and back.
#include "kvfile/convert/export.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "kvfile/convert/import.h"
#include "kvfile/convert/llama_file.h"
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
      const std::string type = lower_ascii(dtype_name(dtype));
      const auto report = export_llama({.input = dir.file("a.kv"),
                                        .output = dir.file("b.bin"),
                                        .key_type = type,
                                        .value_type = type});
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

TEST_CASE("export: every type, order and shape of llama.cpp comes back to the byte",
          "[unit][kvfile]") {
  TempDir dir;
  std::vector<LlamaSample> samples;
  for (const char* const type : {"q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "f16", "bf16"}) {
    for (const bool rotated : {true, false}) {
      samples.push_back({.layers = 2, .key_type = type, .value_type = type});
      samples.back().rotated = rotated && find_llama_type(type)->quantized();
    }
  }
  samples.push_back({.head_dim = 128, .key_type = "q8_0", .value_type = "q4_0"});
  samples.back().rotated = true;
  samples.push_back({.head_dim = 80, .rope_dim = 32, .pairing = RopePairing::kNeox});
  samples.push_back({.head_dim = 128, .rope_dim = 64});
  for (LlamaSample& sample : samples) {
    INFO(sample.key_type << " " << sample.value_type << " " << sample.rotated << " "
                         << sample.head_dim);
    sample.ids = sample.token_ids();
    write_bytes(dir.file("s.seq"), sample.bytes());
    REQUIRE(import_llama(dir.file("s.seq"), dir.file("s.kv"), Dtype::kF32).ok());
    const auto report = export_llama({.input = dir.file("s.kv"), .output = dir.file("b.seq")});
    INFO(report.status().message());
    REQUIRE(report.ok());
    CHECK(read_bytes(dir.file("b.seq")) == sample.bytes());
  }
  // Keys that transformers, too, has as neighbours never left their order.
  const auto adjacent = open_llama_cache(dir.file("s.seq"), {.architecture = "glm4"});
  ImportOptions options;
  options.output = dir.file("s.kv");
  options.dtype = Dtype::kF32;
  REQUIRE(write_imported(*adjacent->cache, options).ok());
  REQUIRE(export_llama({.input = dir.file("s.kv"), .output = dir.file("b.seq")}).ok());
  CHECK(read_bytes(dir.file("b.seq")) == samples.back().bytes());
}

TEST_CASE("export: types, rotation, version and layout are the engine's that is to read the file",
          "[unit][kvfile]") {
  TempDir dir;
  LlamaSample sample{.layers = 1, .key_type = "f16", .value_type = "f16"};
  sample.ids = sample.token_ids();
  write_bytes(dir.file("s.seq"), sample.bytes());
  REQUIRE(import_llama(dir.file("s.seq"), dir.file("s.kv"), Dtype::kF32).ok());
  ExportOptions options{.input = dir.file("s.kv"), .output = dir.file("b.seq")};
  // What an engine of version 3 makes of these values itself, rotated unless it is told not to.
  const auto made = [&](const char* key_type, const char* value_type, bool rotated,
                        uint32_t version) {
    LlamaSample other = sample;
    other.key_type = key_type;
    other.value_type = value_type;
    other.rotated = rotated;
    other.version = version;
    return other.bytes();
  };
  options.key_type = "q8_0";
  options.value_type = "f16";
  REQUIRE(export_llama(options).ok());
  // The sample rounds its F16 keys from F32, so one block more or less may differ.
  const std::string expected = made("q8_0", "f16", true, 3), seen = read_bytes(dir.file("b.seq"));
  REQUIRE(seen.size() == expected.size());
  size_t differing = 0;
  for (size_t i = 0; i < seen.size(); i++) differing += seen[i] != expected[i];
  CHECK(differing < seen.size() / 100);
  options.rotation = RotationChoice::kNone;
  options.llama_version = 2;
  CHECK(export_llama(options)->form.find("ggsq version 2, rope norm, keys q8_0, values f16 in rows "
                                         "(flash attention), not rotated") == 0);
  CHECK(read_bytes(dir.file("b.seq")).substr(4, 4) == std::string("\2\0\0\0", 4));
  options.value_type = "q4_0";
  options.transpose_values = true;
  CHECK(export_llama(options).status().message().find("flash attention") != std::string::npos);
  ExportOptions plain{.input = dir.file("s.kv"), .output = dir.file("b.seq")};
  plain.rotation = RotationChoice::kHadamard;
  CHECK(export_llama(plain).status().message().find("only quantised") != std::string::npos);
  plain.rotation = RotationChoice::kAuto;
  plain.transpose_values = true;
  REQUIRE(export_llama(plain).ok());
  REQUIRE(import_llama(dir.file("b.seq"), dir.file("c.kv"), Dtype::kF32).ok());
  CHECK(data_of(dir.file("c.kv")) == data_of(dir.file("s.kv")));
  plain.key_type = "q6_K";
  CHECK(export_llama(plain).status().message().find("q6_K") != std::string::npos);
}

TEST_CASE("export: some layers of a model are refused, which no engine takes", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(import_llama(data_path("llamacpp/prompt-cache-f16.bin"), dir.file("whole.kv")).ok());
  for (const auto& layers : {IndexRange{2, 4}, IndexRange{0, 2}}) {
    SliceOptions slice{.input = dir.file("whole.kv"), .output = dir.file("a.kv"), .spec = {}};
    slice.spec.layers = layers;
    REQUIRE(slice_file(slice).ok());
    const auto report = export_llama({.input = dir.file("a.kv"), .output = dir.file("b.bin")});
    CHECK(report.status().message().find("takes all layers of a model alone") != std::string::npos);
  }
}

TEST_CASE("export: q8_0 of llama.cpp keeps its codes in a .kv and comes back to the byte",
          "[unit][kvfile]") {
  TempDir dir;
  const auto keep = [&](const std::string& from, const std::string& to) {
    const auto llama = open_llama_cache(from, {});
    REQUIRE(llama.ok());
    REQUIRE(llama->blocks);
    ImportOptions options;
    options.output = to;
    options.blocks = llama->blocks;
    REQUIRE(write_imported(*llama->cache, options).ok());
  };
  for (const bool rotated : {true, false}) {
    for (const RopePairing pairing : {RopePairing::kNorm, RopePairing::kNeox}) {
      for (const uint64_t dim : {64, 128, 96}) {
        if (rotated && dim == 96) continue;
        INFO(rotated << " " << pairing_name(pairing) << " " << dim);
        LlamaSample sample{.tokens = 300, .head_dim = dim, .pairing = pairing};
        sample.key_type = sample.value_type = "q8_0";
        sample.rotated = rotated;
        sample.ids = sample.token_ids();
        write_bytes(dir.file("s.seq"), sample.bytes());
        keep(dir.file("s.seq"), dir.file("q.kv"));
        CHECK((*KvFile::open(dir.file("q.kv")))->header().scheme == Scheme::kQ8);
        REQUIRE(export_llama({.input = dir.file("q.kv"), .output = dir.file("b.seq")}).ok());
        CHECK(read_bytes(dir.file("b.seq")) == sample.bytes());
        // Decoding gives what an import of values gives.
        REQUIRE(import_llama(dir.file("s.seq"), dir.file("f.kv"), Dtype::kF32).ok());
        REQUIRE(dequantize(
                    {.input = dir.file("q.kv"), .output = dir.file("d.kv"), .dtype = Dtype::kF32})
                    .ok());
        CHECK(data_of(dir.file("d.kv")) == data_of(dir.file("f.kv")));
        CHECK((*KvFile::open(dir.file("d.kv")))->header().metadata_value("kvcs.key_order") ==
              nullptr);
        // Another type than that of the blocks is made of the decoded values.
        REQUIRE(export_llama({.input = dir.file("q.kv"),
                              .output = dir.file("b.seq"),
                              .key_type = "f32",
                              .value_type = "f32"})
                    .ok());
        REQUIRE(import_llama(dir.file("b.seq"), dir.file("c.kv"), Dtype::kF32).ok());
        CHECK(data_of(dir.file("c.kv")) == data_of(dir.file("f.kv")));
      }
    }
  }
  // Real blocks.
  keep(data_path("llamacpp/slot-q8_0.bin"), dir.file("q.kv"));
  REQUIRE(export_llama({.input = dir.file("q.kv"), .output = dir.file("b.seq")}).ok());
  CHECK(read_bytes(dir.file("b.seq")) == read_bytes(data_path("llamacpp/slot-q8_0.bin")));
  // A block of zeros has the scale zero; an infinite one is refused.
  std::string bytes = read_bytes(dir.file("s.seq"));
  const size_t last = bytes.size() - 34;
  bytes.replace(last, 34, std::string(34, '\0'));
  write_bytes(dir.file("s.seq"), bytes);
  keep(dir.file("s.seq"), dir.file("q.kv"));
  REQUIRE(export_llama({.input = dir.file("q.kv"), .output = dir.file("b.seq")}).ok());
  CHECK(read_bytes(dir.file("b.seq")) == bytes);
  bytes.replace(last, 2, "\x00\x7c", 2);
  write_bytes(dir.file("s.seq"), bytes);
  const auto infinite = open_llama_cache(dir.file("s.seq"), {});
  ImportOptions options;
  options.output = dir.file("none.kv");
  options.blocks = infinite->blocks;
  CHECK(write_imported(*infinite->cache, options).status().message().find("scale") !=
        std::string::npos);
}

TEST_CASE("kvfile: an order of codes that cannot be is refused", "[unit][kvfile]") {
  TempDir dir;
  const auto with = [&](Metadata facts) {
    return write_sample(dir.file("a.kv"), Dtype::kF16, {1, 2, 4, 64}, 1, std::move(facts));
  };
  CHECK(with({{"kvcs.key_order", "pair"}, {"kvcs.rope_dim", "32"}}).ok());
  CHECK(with({{"kvcs.key_order", "pair"}, {"kvcs.rope_dim", "66"}}).code() == Code::kInvalid);
  CHECK(with({{"kvcs.key_order", "pair"}, {"kvcs.rope_dim", "33"}}).code() == Code::kInvalid);
  CHECK(with({{"kvcs.key_order", "other"}}).code() == Code::kInvalid);
  CHECK(with({{"kvcs.rotation", "none,hadamard-128"}}).code() == Code::kInvalid);
}
