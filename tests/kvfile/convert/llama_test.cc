// Goal: a llama.cpp file's shape, order, base and rotation are found in its keys, whatever is told
// and contradicted is refused, and what cannot be known is asked for. Method: files made by hand in
// many shapes, and real files.
#include <catch2/catch.hpp>

#include "kvfile/convert/import.h"
#include "kvfile/convert/llama_file.h"
#include "kvfile/convert/llama_reader.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

Result<ImportedLlama> open_sample(const TempDir& dir, const LlamaSample& sample,
                                  const LlamaImport& options = {}) {
  write_bytes(dir.file("sample.seq"), sample.bytes());
  return open_llama_cache(dir.file("sample.seq"), options);
}

// A sample whose file has its token ids.
LlamaSample with_ids(LlamaSample sample) {
  sample.ids = sample.token_ids();
  return sample;
}

bool says(const Status& status, const std::string& text) {
  return status.code() == Code::kInvalid && status.message().find(text) != std::string::npos;
}

// The largest difference between the imported keys and those that the sample was made of.
double key_error(const CacheSource& cache, const LlamaSample& sample, uint64_t layer) {
  const Geometry& shape = cache.geometry();
  const uint64_t rows = std::min<uint64_t>(shape.tokens, 256);
  std::vector<float> out(shape.kv_heads * rows * shape.head_dim);
  REQUIRE(cache.read(Part::kKeys, layer, 0, rows, out.data()).ok());
  double error = 0;
  const std::vector<uint32_t> ids = sample.token_ids();
  for (uint32_t row = 0; row < rows; row++) {
    const std::vector<float> key = sample.key(layer, ids[row], row);
    for (uint64_t h = 0; h < shape.kv_heads; h++) {
      for (uint64_t c = 0; c < shape.head_dim; c++) {
        const double seen = out[(h * rows + row) * shape.head_dim + c];
        error = std::max(error, std::fabs(seen - double{key[h * shape.head_dim + c]}));
      }
    }
  }
  return error;
}

const std::string* fact(const Metadata& metadata, const std::string& key) {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("import: heads, order, base and partial rotary are found in the keys", "[unit][kvfile]") {
  TempDir dir;
  const auto neox = RopePairing::kNeox, norm = RopePairing::kNorm;
  struct Row {
    uint64_t heads, head_dim, rope_dim;
    RopePairing pairing;
    double base;
    const char* base_text;
  };
  for (const Row& row :
       {Row{2, 64, 64, norm, 10'000, "10000"}, Row{8, 64, 64, neox, 500'000, "500000"},
        Row{1, 256, 256, neox, 10'000, "10000"}, Row{4, 96, 96, norm, 10'000, "10000"},
        Row{4, 80, 32, neox, 10'000, "10000"}, Row{2, 128, 64, norm, 10'000, "10000"},
        Row{2, 128, 32, neox, 1'000'000, "1000000"},
        Row{2, 192, 192, norm, 10'000'000, "10000000"}}) {
    INFO(row.heads << " x " << row.head_dim << " over " << row.rope_dim);
    LlamaSample sample = with_ids({.layers = 1,
                                   .heads = row.heads,
                                   .head_dim = row.head_dim,
                                   .rope_dim = row.rope_dim,
                                   .pairing = row.pairing,
                                   .base = row.base});
    const auto llama = open_sample(dir, sample);
    INFO(llama.status().message());
    REQUIRE(llama.ok());
    CHECK(llama->heads == row.heads);
    CHECK(llama->cache->geometry().head_dim == row.head_dim);
    CHECK(llama->rope.pairing == row.pairing);
    CHECK(llama->rope.rope_dim == row.rope_dim);
    CHECK(llama->rope.agreement > 0.999);
    CHECK(*fact(llama->cache->metadata(), "kvcs.rope_base") == row.base_text);
    CHECK(*fact(llama->cache->metadata(), "kvcs.rope_dim") == std::to_string(row.rope_dim));
    CHECK(fact(llama->cache->metadata(), "kvcs.rope_confidence")->find("over 96 places") !=
          std::string::npos);
    CHECK(key_error(*llama->cache, sample, 0) < 1e-6);
  }
}

TEST_CASE("import: rotated keys of every type show their shape", "[unit][kvfile]") {
  TempDir dir;
  for (const char* const type : {"q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "f16", "bf16"}) {
    for (const bool rotated : {true, false}) {
      for (const uint64_t dim : {64, 128, 192}) {
        INFO(type << (rotated ? " rotated " : " ") << dim);
        LlamaSample sample =
            with_ids({.layers = 1, .head_dim = dim, .key_type = type, .value_type = type});
        sample.rotated = rotated;
        const auto llama = open_sample(dir, sample);
        INFO(llama.status().message());
        REQUIRE(llama.ok());
        CHECK(llama->heads == 2);
        CHECK(llama->rope.hadamard == (rotated && find_llama_type(type)->quantized()));
        CHECK(key_error(*llama->cache, sample, 0) <
              (type[0] == 'q' || type[0] == 'i' ? 0.5 : 0.02));
      }
    }
  }
}

TEST_CASE("import: what is told and contradicted by the keys is refused", "[unit][kvfile]") {
  TempDir dir;
  const std::string rotated = data_path("llamacpp/v10-q8_0-fa-512.session.bin");
  const std::string plain = data_path("llamacpp/v10-f16-fa-512.session.bin");
  const auto refusal = [](const std::string& path, const LlamaImport& options) {
    return open_llama_cache(path, options).status();
  };
  // Two heads of 64 taken for one of 128, where the rotation mixes both, or cut in the middle.
  for (const std::string& path : {rotated, plain}) {
    CHECK(
        says(refusal(path, {.kv_heads = 1, .head_dim = 128}), "they are 2 heads × 64, rope norm"));
    CHECK(says(refusal(path, {.kv_heads = 4, .head_dim = 32}), "they are 2 heads × 64"));
    CHECK(says(refusal(path, {.head_dim = 128}), "--head-dim 128 contradicts the keys"));
    CHECK(says(refusal(path, {.kv_heads = 3}), "3 heads"));
    CHECK(says(refusal(path, {.rope = RopeOrder::kNeox}), "--rope neox contradicts the keys"));
    CHECK(says(refusal(path, {.architecture = "qwen3"}), "--arch qwen3 contradicts the keys"));
    CHECK(says(refusal(path, {.rope_base = 500'000}), "--rope-base 500000 contradicts the keys"));
    CHECK(refusal(path, {.kv_heads = 2, .head_dim = 64, .architecture = "llama"}).ok());
  }
  CHECK(says(refusal(rotated, {.rotation = RotationChoice::kNone}), "--rotation none contradicts"));
  CHECK(says(refusal(plain, {.rotation = RotationChoice::kHadamard}), "only quantised"));
  CHECK(refusal(data_path("llamacpp/none.bin"), {}).code() == Code::kNotFound);
}

TEST_CASE("import: without repeated tokens the architecture, the model or the user says it",
          "[unit][kvfile]") {
  TempDir dir;
  const LlamaSample sample{.tokens = 8, .layers = 1, .pairing = RopePairing::kNeox};
  LlamaSample unique = sample;
  unique.ids = {1, 2, 3, 4, 5, 6, 7, 8};
  CHECK(says(open_sample(dir, unique).status(), "no token occurs twice"));
  CHECK(says(open_sample(dir, unique).status(), "--head-dim"));
  CHECK(says(open_sample(dir, unique, {.head_dim = 64}).status(), "--rope norm"));
  const auto by_architecture = open_sample(dir, unique, {.head_dim = 64, .architecture = "qwen3"});
  REQUIRE(by_architecture.ok());
  CHECK_FALSE(by_architecture->rope.detected);
  CHECK(by_architecture->heads == 2);
  CHECK(by_architecture->rope.pairing == RopePairing::kNeox);
  CHECK(fact(by_architecture->cache->metadata(), "kvcs.rope_confidence") == nullptr);
  CHECK(open_sample(dir, unique, {.kv_heads = 2, .architecture = "llama"})->is_reordered);
  ModelFacts model;
  model.source = "--gguf m";
  model.architecture = "qwen3";
  model.kv_heads = {2};
  model.key_dim = 64;
  model.rope_base = 1e6;
  const auto by_model = open_sample(dir, unique, {.model = model});
  REQUIRE(by_model.ok());
  CHECK(*fact(by_model->cache->metadata(), "kvcs.rope_base") == "1000000");
  CHECK(*fact(by_model->cache->metadata(), "kvcs.arch") == "qwen3");
  // A model that does not fit the file, or the keys, is not the one that wrote it.
  model.key_dim = 32;
  CHECK(says(open_sample(dir, unique, {.model = model}).status(), "are not the 128 values"));
  model.kv_heads = {4};
  CHECK(says(open_sample(dir, with_ids({.layers = 1}), {.model = model}).status(),
             "--gguf m 32 contradicts the keys"));
}

TEST_CASE("import: keys come into transformers' order of their architecture", "[unit][kvfile]") {
  TempDir dir;
  const LlamaSample sample = with_ids({.layers = 1});
  const auto llama = open_sample(dir, sample, {.architecture = "llama"});
  CHECK(llama->is_reordered);
  CHECK(*fact(llama->cache->metadata(), "kvcs.rope_layout") == "half");
  CHECK(key_error(*llama->cache, sample, 0) < 1e-6);
  for (const char* const name : {"command-r", "cohere2", "glm4", "llama4"}) {
    const auto adjacent = open_sample(dir, sample, {.architecture = name});
    REQUIRE(adjacent.ok());
    CHECK(adjacent->is_adjacent);
    CHECK_FALSE(adjacent->is_reordered);
    CHECK(*fact(adjacent->cache->metadata(), "kvcs.rope_layout") == "pair");
    CHECK(key_error(*adjacent->cache, sample, 0) > 0.5);
  }
}

TEST_CASE("import: quantised values beside plain keys are taken as the version writes them",
          "[unit][kvfile]") {
  TempDir dir;
  LlamaSample sample = with_ids({.layers = 1, .value_type = "q8_0"});
  CHECK(open_sample(dir, sample)->rope.hadamard);
  CHECK_FALSE(open_sample(dir, sample, {.rotation = RotationChoice::kNone})->rope.hadamard);
  sample.version = 2;
  CHECK(says(open_sample(dir, sample).status(), "say --rotation hadamard"));
}

TEST_CASE("import: cells may lie in any order, but no position may be missing", "[unit][kvfile]") {
  TempDir dir;
  const auto real = open_llama_cache(data_path("llamacpp/multi0.seq"), {});
  INFO(real.status().message());
  REQUIRE(real.ok());
  CHECK(real->cache->tokens().size() == 130);
  CHECK(real->rope.agreement > 0.999);
  LlamaSample sample = with_ids({.layers = 1});
  for (uint32_t i = 0; i < 96; i++) sample.positions.push_back((i * 7 + 5) % 96);
  const auto llama = open_sample(dir, sample);
  REQUIRE(llama.ok());
  CHECK(key_error(*llama->cache, sample, 0) < 1e-6);
  sample.positions[3] = sample.positions[4];
  CHECK(says(open_sample(dir, sample).status(), "occurs twice"));
  sample.positions.erase(sample.positions.begin() + 4);
  CHECK(says(open_sample(dir, sample).status(), "is missing"));
}

TEST_CASE("import: one of several sequences is taken when it is named", "[unit][kvfile]") {
  TempDir dir;
  LlamaSample sample{.tokens = 60, .layers = 1};
  for (uint32_t i = 0; i < 60; i++) {
    sample.positions.push_back(i);
    sample.sequences.push_back(i < 20 ? std::vector<uint32_t>{0, 2} : std::vector<uint32_t>{0});
  }
  for (uint32_t i = 20; i < 50; i++) {
    sample.positions.push_back(i);
    sample.sequences.push_back({2});
  }
  const Status several = open_sample(dir, sample).status();
  CHECK(says(several, "0 (60 tokens), 2 (50 tokens); say which with --sequence N"));
  LlamaImport options{.sequence = 2};
  options.tokens = sample.token_ids();
  options.tokens->resize(50);
  const auto second = open_sample(dir, sample, options);
  INFO(second.status().message());
  REQUIRE(second.ok());
  CHECK(second->cache->geometry().tokens == 50);
  CHECK(key_error(*second->cache, sample, 0) < 1e-6);
  CHECK(*fact(second->cache->metadata(), "kvcs.llama.sequences") == "2");
  CHECK(says(open_sample(dir, sample, {.sequence = 1}).status(), "--sequence 1"));
}

TEST_CASE("import: a version that is not known is read when its body is", "[unit][kvfile]") {
  TempDir dir;
  LlamaSample sample = with_ids({.layers = 1});
  for (const uint32_t version : {1U, 4U, 77U}) {
    sample.version = version;
    const auto llama = open_sample(dir, sample);
    REQUIRE(llama.ok());
    CHECK((llama->seen.find("newer than this kvcs") != std::string::npos) == (version > 3));
  }
}

TEST_CASE("import: a file without token ids takes those that are told", "[unit][kvfile]") {
  TempDir dir;
  const LlamaSample sample{.layers = 1};
  CHECK(open_sample(dir, sample).code() == Code::kInvalid);
  CHECK(
      open_sample(dir, sample, {.head_dim = 64, .architecture = "llama"})->cache->tokens().empty());
  LlamaImport options;
  options.tokens = sample.token_ids();
  CHECK(open_sample(dir, sample, options)->rope.detected);
  options.tokens->pop_back();
  CHECK(says(open_sample(dir, sample, options).status(), "95 token ids for a cache of 96"));
}

TEST_CASE("import: what a whole file is and lacks is said, not that it is damaged",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string bytes = with_ids({.layers = 1}).bytes();
  const size_t type_at = bytes.size() - 2 * (96 * 512 + 12);
  const auto with_type = [&](char number) {
    std::string patched = bytes;
    patched[type_at] = number;
    write_bytes(dir.file("t.seq"), patched);
    return open_llama_cache(dir.file("t.seq"), {}).status();
  };
  CHECK(says(with_type(43), "the keys of layer 0 are of ggml type 43 (a fork's own"));
  CHECK(says(with_type(43), "--cache-type-k f16"));
  CHECK(says(with_type(39), "mxfp4"));
  write_bytes(dir.file("t.seq"), bytes + "junk");
  CHECK(says(open_llama_cache(dir.file("t.seq"), {}).status(),
             "4 bytes follow a complete cache of 1 layer"));
  write_bytes(dir.file("t.seq"), bytes.substr(0, bytes.size() - 9));
  CHECK(says(open_llama_cache(dir.file("t.seq"), {}).status(), "are left"));
}

TEST_CASE("import: real files of other kinds of models are read to their end and named",
          "[unit][kvfile]") {
  TempDir dir;
  struct Row {
    const char *file, *kind, *seen;
  };
  for (const Row& row :
       {Row{"gemma3-short.seq", "a sliding-window model's state",
            "sliding window, 5 layers at the positions 0 to 39"},
        Row{"lfm2.seq", "a hybrid model's state", "states of 4 recurrent layers"},
        Row{"deepseek2.seq", "latent attention", "keys of 160 values and no values"},
        Row{"mamba.seq", "a recurrent model's state", "states of 4 recurrent layers"}}) {
    INFO(row.file);
    const std::string path = data_path(std::string("llamacpp/") + row.file);
    CHECK(says(open_llama_cache(path, {}).status(), row.kind));
    CHECK(says(open_llama_cache(path, {}).status(), row.seen));
    const auto source = SourceFile::open(path);
    const auto file = parse_llama(**source);
    REQUIRE(file.ok());
    CHECK(file->token_count() == 40);
    CHECK(file->tokens.size() == 40);
    // Whatever is cut off, it is not taken for a smaller cache of the same kind.
    const std::string bytes = read_bytes(path);
    for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 60) {
      write_bytes(dir.file("cut.seq"), bytes.substr(0, size));
      CHECK(open_llama_cache(dir.file("cut.seq"), {}).code() == Code::kInvalid);
    }
  }
}

TEST_CASE("import: rotary positions that are scaled evenly are told with the scale",
          "[unit][kvfile]") {
  // 8 positions of the sample are one of the model: the same angles, an eighth apart.
  std::vector<uint32_t> ids;
  std::vector<float> keys;
  const LlamaSample sample{.tokens = 200, .heads = 4};
  RepeatedTokens repeated = find_repeated_tokens(sample.token_ids());
  for (auto& places : repeated.places) {
    for (uint64_t& place : places) {
      const std::vector<float> key = sample.key(
          0, static_cast<uint32_t>(&places - repeated.places.data()), static_cast<uint32_t>(place));
      keys.insert(keys.end(), key.begin(), key.end());
      place *= 8;
    }
  }
  const auto choice = detect_rope(repeated, keys, 256, {});
  REQUIRE(choice.ok());
  CHECK(choice->linear_scaling == 8);
  CHECK(choice->head_dim == 64);
  CHECK(std::fabs(*choice->base - 10'000) < 100);
}

TEST_CASE("import: keys without positions show nothing", "[unit][kvfile]") {
  TempDir dir;
  const LlamaSample sample = with_ids({.layers = 1, .rope_dim = 1});
  CHECK(says(open_sample(dir, sample).status(), "no pair of channels turns with the position"));
}
