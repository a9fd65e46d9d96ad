// Goal: dumps of transformers under any common name, mlx-lm's caches, vLLM's folders of every
// version and described pages become the values that were put in, and what cannot be read is
// refused with what is missing. Method: small files by hand in which every value tells its place.
#include <catch2/catch.hpp>

#include "kvfile/convert/foreign_tensors.h"
#include "kvfile/convert/import.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

constexpr uint64_t kHeads = 2, kTokens = 5, kDim = 4;

// Layer `layer` with heads first, as transformers and mlx-lm keep it, of `rows` ≥ kTokens rows.
std::string heads_first(uint64_t layer, bool keys, uint64_t rows = kTokens) {
  return fill({kHeads, rows, kDim}, [&](const std::vector<uint64_t>& at) {
    return at[1] < kTokens ? value_at({layer, at[0], at[1], at[2], keys}) : 0.0F;
  });
}
std::string tokens_first(uint64_t layer, bool keys) {
  return fill({kTokens, kHeads, kDim}, [&](const std::vector<uint64_t>& at) {
    return value_at({layer, at[1], at[0], at[2], keys});
  });
}

void check_values(const Result<ImportedTensors>& imported, uint64_t layers) {
  INFO(imported.status().message());
  REQUIRE(imported.ok());
  const CacheSource& cache = *imported->cache;
  REQUIRE(cache.geometry().layers == layers);
  REQUIRE(cache.geometry().kv_heads == kHeads);
  REQUIRE(cache.geometry().tokens == kTokens);
  REQUIRE(cache.geometry().head_dim == kDim);
  for (uint64_t layer = 0; layer < layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      // All rows at once, and the last alone: a tile begins anywhere.
      for (const uint64_t first : {uint64_t{0}, kTokens - 1}) {
        const uint64_t rows = kTokens - first;
        std::vector<float> x(kHeads * rows * kDim);
        REQUIRE(cache.read(part, layer, first, rows, x.data()).ok());
        for (uint64_t i = 0; i < x.size(); i++) {
          const Place at{layer, i / (rows * kDim), first + i / kDim % rows, i % kDim,
                         part == Part::kKeys};
          REQUIRE(x[i] == value_at(at));
        }
      }
    }
  }
}

void refuses(const Result<ImportedTensors>& imported, const std::string& why) {
  REQUIRE_FALSE(imported.ok());
  INFO(imported.status().message());
  CHECK(imported.status().message().find(why) != std::string::npos);
  CHECK(imported.status().message().size() < 500);
}

// Keys and values of so many layers, named by patterns with {}.
std::vector<ForeignTensor> named(const std::string& keys, const std::string& values,
                                 uint64_t layers = 2) {
  std::vector<ForeignTensor> tensors;
  for (uint64_t layer = 0; layer < layers; layer++) {
    for (const bool part : {true, false}) {
      std::string name = part ? keys : values;
      name.replace(name.find("{}"), 2, std::to_string(layer));
      tensors.push_back({name, "F32", {1, kHeads, kTokens, kDim}, heads_first(layer, part)});
    }
  }
  return tensors;
}

}  // namespace

TEST_CASE("import: dumps of transformers are read under every common name", "[unit][kvfile]") {
  const std::pair<const char*, const char*> names[] = {
      {"key_cache.{}", "value_cache.{}"},
      {"key_cache_{}", "value_cache_{}"},
      {"layers.{}.keys", "layers.{}.values"},
      {"past_key_values.{}.key", "past_key_values.{}.value"},
      {"past_key_values.{}.0", "past_key_values.{}.1"},
      {"past_key_values.layers.{}.keys", "past_key_values.layers.{}.values"},
      {"present.{}.key", "present.{}.value"},
      {"layer_{}_key", "layer_{}_value"},
      {"layer.{}.k", "layer.{}.v"},
      {"keys.{}", "values.{}"},
      {"{}.0", "{}.1"},
      {"k_{}", "v_{}"},
      {"cache/key_states_{}", "cache/value_states_{}"}};
  TempDir dir;
  for (const auto& [keys, values] : names) {
    INFO(keys);
    // Twelve layers: 10 comes after 9, whatever the order of the names.
    write_safetensors(dir.file("a"), named(keys, values, 12));
    check_values(open_hf_cache(dir.file("a")), 12);
  }
  write_safetensors(dir.file("a"), named("blocks.{}.mykeys.x", "blocks.{}.mystuff.x"));
  refuses(open_hf_cache(dir.file("a")), "--key-name 'layers.{}.k'");
  HfImport options;
  options.key_name = "blocks.{}.mykeys.x";
  refuses(open_hf_cache(dir.file("a"), options), "given together");
  options.value_name = "blocks.x";
  refuses(open_hf_cache(dir.file("a"), options), "must have one {}");
  options.value_name = "blocks.{}.mystuff.x";
  check_values(open_hf_cache(dir.file("a"), options), 2);
}

TEST_CASE("import: stacked layers and tokens before heads are read", "[unit][kvfile]") {
  TempDir dir;
  const auto all = [](bool keys) { return heads_first(0, keys) + heads_first(1, keys); };
  const std::vector<uint64_t> shape = {2, 1, kHeads, kTokens, kDim};
  write_safetensors(dir.file("a"),
                    {{"keys", "F32", shape, all(true)}, {"values", "F32", shape, all(false)}});
  check_values(open_hf_cache(dir.file("a")), 2);
  std::string both;
  for (uint64_t layer = 0; layer < 2; layer++) {
    both += heads_first(layer, true) + heads_first(layer, false);
  }
  write_safetensors(dir.file("a"),
                    {{"past_key_values", "F32", {2, 2, 1, kHeads, kTokens, kDim}, both}});
  check_values(open_hf_cache(dir.file("a")), 2);
  write_safetensors(dir.file("a"),
                    {{"key_cache.0", "F32", {kTokens, kHeads, kDim}, tokens_first(0, true)},
                     {"value_cache.0", "F32", {kTokens, kHeads, kDim}, tokens_first(0, false)}});
  HfImport options;
  options.layout = TensorLayout::kNhd;
  check_values(open_hf_cache(dir.file("a"), options), 1);
  options.layout = TensorLayout::kHnd;
  options.tokens = kTokens;
  refuses(open_hf_cache(dir.file("a"), options), "say --layout nhd");
}

TEST_CASE("import: the room of a static cache is left out", "[unit][kvfile]") {
  TempDir dir;
  std::vector<ForeignTensor> tensors;
  for (uint64_t layer = 0; layer < 2; layer++) {
    for (const bool keys : {true, false}) {
      tensors.push_back({(keys ? "key_cache." : "value_cache.") + std::to_string(layer),
                         "F32",
                         {1, kHeads, 700, kDim},
                         heads_first(layer, keys, 700)});
    }
  }
  write_safetensors(dir.file("a"), tensors);
  const auto imported = open_hf_cache(dir.file("a"));
  check_values(imported, 2);
  CHECK(imported->seen[0].find("695 rows of zeros") != std::string::npos);
  HfImport options;
  options.tokens = 7;  // Two tokens whose keys and values are zero, and the user knows of them.
  CHECK(open_hf_cache(dir.file("a"), options)->cache->geometry().tokens == 7);
  for (ForeignTensor& tensor : tensors) tensor.bytes.assign(tensor.bytes.size(), '\0');
  write_safetensors(dir.file("a"), tensors);
  const auto zeros = open_hf_cache(dir.file("a"));
  REQUIRE(zeros.ok());
  CHECK(zeros->cache->geometry().tokens == 700);
  CHECK(zeros->seen[0].find("every value is zero") != std::string::npos);
}

TEST_CASE("import: layers that are not whole, and what is no layer, are told", "[unit][kvfile]") {
  TempDir dir;
  auto tensors = named("keys.{}", "values.{}", 3);
  auto gap = tensors;
  gap.erase(gap.begin() + 2, gap.begin() + 4);
  write_safetensors(dir.file("a"), gap);
  refuses(open_hf_cache(dir.file("a")), "layer 1 is missing");
  auto half = tensors;
  half.pop_back();
  write_safetensors(dir.file("a"), half);
  refuses(open_hf_cache(dir.file("a")), "layer 2 has keys without values");
  auto other = tensors;
  other.push_back({"cross.0", "F32", {1, 1, 1, 1}, std::string(4, '\1')});
  write_safetensors(dir.file("a"), other);
  refuses(open_hf_cache(dir.file("a")), "\"cross.0\": it is no layer's by its name");
  auto stray = tensors;
  stray.push_back({"attention_mask", "U8", {1, 5}, std::string(5, '\1')});
  write_safetensors(dir.file("a"), stray);
  const auto imported = open_hf_cache(dir.file("a"));
  check_values(imported, 3);
  CHECK(imported->seen == std::vector<std::string>{"1 other tensor left out: attention_mask"});
  // Counters and ids of a dtype that no .kv has; ids are taken when they are as many as the tokens.
  std::string ids;
  for (uint64_t id = 1; id <= kTokens; id++) append_u64le(ids, id * 100);
  stray.push_back({"_seen_tokens", "I64", {}, std::string(8, '\1')});
  stray.push_back({"input_ids", "I64", {1, kTokens}, ids});
  write_safetensors(dir.file("a"), stray);
  const auto with_ids = open_hf_cache(dir.file("a"));
  check_values(with_ids, 3);
  CHECK(with_ids->cache->tokens() == std::vector<uint32_t>{100, 200, 300, 400, 500});
  stray.back().bytes.replace(8, 8, std::string(8, '\xff'));
  write_safetensors(dir.file("a"), stray);
  refuses(open_hf_cache(dir.file("a")), "\"input_ids\": value 1 is no token id");
  tensors[3].shape = {1, kTokens, kHeads, kDim};
  write_safetensors(dir.file("a"), tensors);
  refuses(open_hf_cache(dir.file("a")), "layer 1's values are 5 heads × 2 tokens × 4 F32");
  auto batch = named("keys.{}", "values.{}", 1);
  for (ForeignTensor& tensor : batch) {
    tensor.shape[0] = 2;
    tensor.bytes += tensor.bytes;
  }
  write_safetensors(dir.file("a"), batch);
  refuses(open_hf_cache(dir.file("a")), "a batch of 2");
}

TEST_CASE("import: codes of quantisers whose files are incomplete are named", "[unit][kvfile]") {
  TempDir dir;
  const auto with = [&](const std::string& name) {
    write_safetensors(dir.file("a"), {{name, "F32", {1, 1, 1, 1}, std::string(4, '\1')}});
    return open_hf_cache(dir.file("a"));
  };
  refuses(with("past.0.key_states_quant_trans"), "KIVI's codes: group size and bits");
  refuses(with("cache.0.key_scales"), "ExLlama's codes");
  refuses(with("layers.0.turboquant_codes"), "TurboQuant's codes: its rotation and its codebook");
  write_safetensors(dir.file("a"), named("{}.0", "{}.1"), {{"2.0", "TurboQuantKVCache"}});
  refuses(open_mlx_cache(dir.file("a")), "TurboQuant's codes");
  write_safetensors(dir.file("a"), named("{}.0", "{}.1"), {{"2.0", "KVCache"}});
  refuses(open_hf_cache(dir.file("a")), "--from mlx");
}

TEST_CASE("import: mlx-lm's quantised caches are decoded", "[unit][kvfile]") {
  TempDir dir;
  // Eight channels in groups of four; scale and bias of each group are exact in F16.
  constexpr uint64_t kWide = 32, kGroup = 16;
  for (const uint64_t bits : {2, 3, 4, 5, 6, 8}) {
    INFO(bits);
    std::vector<ForeignTensor> tensors;
    const auto code = [&](uint64_t row, uint64_t c) { return (row * 7 + c * 3) % (1U << bits); };
    for (const char* const part : {"0.0", "0.1"}) {
      std::string codes, scales, biases;
      for (uint64_t row = 0; row < kHeads * kTokens; row++) {
        std::string packed(kWide * bits / 8, '\0');
        for (uint64_t bit = 0; bit < kWide * bits; bit++) {
          const bool set = (code(row, bit / bits) >> (bit % bits) & 1) != 0;
          if (set) packed[bit / 8] = static_cast<char>(packed[bit / 8] | 1 << (bit % 8));
        }
        codes += packed;
        for (uint64_t group = 0; group < kWide / kGroup; group++) {
          scales += encode_value(Dtype::kF16, 0.5F * static_cast<float>(group + 1));
          biases += encode_value(Dtype::kF16, -static_cast<float>(row));
        }
      }
      const std::string name = part;
      tensors.push_back({name + ".0", "U32", {1, kHeads, kTokens, kWide * bits / 32}, codes});
      tensors.push_back({name + ".1", "F16", {1, kHeads, kTokens, 2}, scales});
      tensors.push_back({name + ".2", "F16", {1, kHeads, kTokens, 2}, biases});
    }
    const Metadata metadata = {{"0.0.0", "5"},
                               {"0.0.1", "16"},
                               {"0.0.2", std::to_string(bits)},
                               {"1.model", "m"},
                               {"2.0", "QuantizedKVCache"}};
    write_safetensors(dir.file("a"), tensors, metadata);
    const auto imported = open_mlx_cache(dir.file("a"));
    INFO(imported.status().message());
    REQUIRE(imported.ok());
    CHECK(imported->cache->geometry().head_dim == kWide);
    CHECK(imported->cache->dtype() == Dtype::kF16);
    for (const uint64_t first : {0, 3}) {
      const uint64_t rows = kTokens - first;
      std::vector<float> x(kHeads * rows * kWide);
      REQUIRE(imported->cache->read(Part::kValues, 0, first, rows, x.data()).ok());
      for (uint64_t i = 0; i < x.size(); i++) {
        const uint64_t c = i % kWide, row = i / kWide / rows * kTokens + first + i / kWide % rows;
        const float scale = 0.5F * static_cast<float>(c / kGroup + 1);
        REQUIRE(x[i] == static_cast<float>(code(row, c)) * scale - static_cast<float>(row));
      }
    }
    tensors.pop_back();
    write_safetensors(dir.file("a"), tensors, metadata);
    refuses(open_mlx_cache(dir.file("a")), "\"0.1.2\" is missing");
  }
}

TEST_CASE("import: mlx-lm's other caches are read where nothing is lost", "[unit][kvfile]") {
  TempDir dir;
  const auto open = [&](const std::string& name, const std::vector<std::string>& state,
                        uint64_t rows = kTokens) {
    std::vector<ForeignTensor> tensors;
    for (const bool keys : {true, false}) {
      tensors.push_back(
          {keys ? "0.0" : "0.1", "F32", {1, kHeads, rows, kDim}, heads_first(0, keys, rows)});
    }
    Metadata metadata = {{"2.0", name}};
    for (size_t i = 0; i < state.size(); i++) {
      metadata.emplace_back("0.0." + std::to_string(i), state[i]);
    }
    write_safetensors(dir.file("a"), tensors, metadata);
    return open_mlx_cache(dir.file("a"));
  };
  check_values(open("KVCache", {}), 1);
  check_values(open("ConcatenateKVCache", {}), 1);
  check_values(open("ChunkedKVCache", {"8192", "0"}), 1);
  check_values(open("RotatingKVCache", {"4", "4096", "5", "5"}), 1);
  check_values(open("RotatingKVCache", {"4", "4096", "256", "5", "5"}, 8), 1);
  refuses(open("RotatingKVCache", {"4", "5", "9", "4"}), "dropped 4 of its 9 tokens");
  refuses(open("RotatingKVCache", {"4", "5"}), "four or five numbers");
  refuses(open("ChunkedKVCache", {"8192", "3"}), "dropped its first 3 tokens");
  refuses(open("MambaCache", {}), "MambaCache");
}

TEST_CASE("import: vLLM's folders of every version are read", "[unit][kvfile]") {
  const auto parts_first = [](uint64_t layer) {
    return tokens_first(layer, true) + tokens_first(layer, false);
  };
  const auto parts_second = [](uint64_t layer) {
    return fill({kTokens, 2, kHeads, kDim}, [&](const std::vector<uint64_t>& at) {
      return value_at({layer, at[2], at[0], at[3], at[1] == 0});
    });
  };
  const auto parts_last = [](uint64_t layer) {
    return fill({kTokens, kHeads, 2 * kDim}, [&](const std::vector<uint64_t>& at) {
      return value_at({layer, at[1], at[0], at[2] % kDim, at[2] < kDim});
    });
  };
  struct Row {
    std::vector<uint64_t> shape;
    std::function<std::string(uint64_t)> bytes;
    uint64_t told_heads;
  };
  const Row rows[] = {{{2, kTokens, kHeads * kDim}, parts_first, kHeads},
                      {{2, kTokens, kHeads, kDim}, parts_first, 0},
                      {{kTokens, 2, kHeads, kDim}, parts_second, 0},
                      {{kTokens, kHeads, 2 * kDim}, parts_last, 0}};
  const std::string names[] = {"model.layers.{}.self_attn.attn",
                               "language_model.model.layers.{}.self_attn.attn",
                               "transformer.h.{}.attn.attn", "model.decoder.layers.{}.attn"};
  for (const Row& row : rows) {
    for (const std::string& pattern : names) {
      INFO(pattern << " " << row.shape.size());
      TempDir dir;
      for (uint64_t layer = 0; layer < 11; layer++) {
        std::string name = pattern;
        name.replace(name.find("{}"), 2, std::to_string(layer));
        write_safetensors(dir.file(name + ".safetensors"),
                          {{"kv_cache", "F32", row.shape, row.bytes(layer)}});
      }
      check_values(open_vllm_cache(dir.path(), {.kv_heads = row.told_heads}), 11);
      refuses(open_vllm_cache(dir.path(), {.kv_heads = 3}), "heads");
    }
  }
}

TEST_CASE("import: vLLM's narrow values are multiplied by their scales", "[unit][kvfile]") {
  TempDir dir;
  const std::string name = dir.file("model.layers.0.self_attn.attn.safetensors");
  // 0x38 is 1 in E4M3, 0x40 is 2; in E5M2 they are 0.5 and 2.
  const std::string bytes = std::string(4, '\x38') + std::string(4, '\x40');
  const auto first_values = [&](const Result<ImportedTensors>& imported) {
    INFO(imported.status().message());
    REQUIRE(imported.ok());
    CHECK(imported->cache->dtype() == Dtype::kBf16);
    std::vector<float> x(4), y(4);
    REQUIRE(imported->cache->read(Part::kKeys, 0, 0, 1, x.data()).ok());
    REQUIRE(imported->cache->read(Part::kValues, 0, 0, 1, y.data()).ok());
    return std::pair(x[0], y[0]);
  };
  write_safetensors(name, {{"kv_cache", "U8", {1, 1, 8}, bytes}});
  const auto plain = open_vllm_cache(dir.path());
  CHECK(first_values(plain) == std::pair(1.0F, 2.0F));
  CHECK(plain->seen[0].find("a scale of 1") != std::string::npos);
  CHECK(first_values(open_vllm_cache(dir.path(), {.narrow = Dtype::kF8E5m2})) ==
        std::pair(0.5F, 2.0F));
  CHECK(first_values(open_vllm_cache(dir.path(), {.key_scale = 0.5F, .value_scale = 3.0F})) ==
        std::pair(0.5F, 6.0F));
  std::string quarter(4, '\0');
  const float value = 0.25F;
  std::memcpy(quarter.data(), &value, 4);
  write_safetensors(name,
                    {{"kv_cache", "F8_E4M3", {1, 1, 8}, bytes}, {"k_scale", "F32", {}, quarter}});
  CHECK(first_values(open_vllm_cache(dir.path())) == std::pair(0.25F, 2.0F));
  write_safetensors(name, {{"kv_cache", "F8_E4M3", {1, 1, 8}, bytes},
                           {"k_scale", "F32", {}, std::string(4, '\0')}});
  refuses(open_vllm_cache(dir.path()), "not a scale above zero");
}

TEST_CASE("import: a folder that is not vLLM's is refused by name", "[unit][kvfile]") {
  TempDir dir;
  refuses(open_vllm_cache(dir.path()), "no file as model.layers.0");
  const auto add = [&](const std::string& name, std::vector<uint64_t> shape) {
    write_safetensors(dir.file(name), {{"kv_cache", "F32", shape, std::string(160, '\1')}});
  };
  add("model.layers.1.attn.safetensors", {5, 2, 4});
  refuses(open_vllm_cache(dir.path()), "layers are not 0 to 0: layer 0 is missing");
  add("model.layers.0.attn.safetensors", {5, 8});
  refuses(open_vllm_cache(dir.path()), "latent cache (MLA)");
  add("model.layers.0.attn.safetensors", {5, 1, 1, 8});
  refuses(open_vllm_cache(dir.path()), "not a shape");
  add("model.layers.0.cross.safetensors", {5, 2, 4});
  refuses(open_vllm_cache(dir.path()), "two files of layer 0");
  add("model.safetensors", {5, 2, 4});
  refuses(open_vllm_cache(dir.path()), "without a layer's number");
}

TEST_CASE("import: pages are read as their geometry.json says", "[unit][kvfile]") {
  TempDir dir;
  const auto describe = [&](const std::string& more) {
    write_bytes(dir.file("geometry.json"),
                R"({"dtype":"F32","layers":2,"kv_heads":2,"head_dim":4,"page_tokens":3,)" + more);
  };
  // Pages of three tokens and of two.
  const auto write_pages = [&](bool page_first) {
    for (uint64_t page = 0; page < 2; page++) {
      const uint64_t tokens = page == 0 ? 3 : 2;
      const std::vector<uint64_t> shape = page_first
                                              ? std::vector<uint64_t>{2, tokens, 2, kHeads, kDim}
                                              : std::vector<uint64_t>{2, 2, tokens, kHeads, kDim};
      const size_t token_axis = page_first ? 1 : 2, layer_axis = page_first ? 2 : 1;
      write_bytes(
          dir.file("p" + std::to_string(page)), fill(shape, [&](const std::vector<uint64_t>& at) {
            return value_at({at[layer_axis], at[3], page * 3 + at[token_axis], at[4], at[0] == 0});
          }));
    }
  };
  write_pages(false);
  for (const char* const engine : {"lmcache", "sglang"}) {
    describe("\"engine\":\"" + std::string(engine) + R"(","pages":["p0","p1"]})");
    check_values(open_page_cache(dir.path()), 2);
  }
  refuses(open_vllm_cache(dir.path()), "no file as");
  write_pages(true);
  describe(R"("engine":"sglang page_first","pages":["p0","p1"]})");
  check_values(open_page_cache(dir.path()), 2);
  describe(R"("engine":"lmcache","axes":["kv","tokens","layers","heads","channels"],)"
           R"("pages":["p0","p1"]})");
  check_values(open_page_cache(dir.path()), 2);
  describe(R"("engine":"lmcache","pages":["p1","p0"]})");
  refuses(open_page_cache(dir.path()), "p1 has 256 bytes; a page of 3 tokens has 384");
  describe(R"("engine":"lmcache","pages":["../p0"]})");
  refuses(open_page_cache(dir.path()), "is not in the folder");
  describe(R"("engine":"lmcache","pages":[]})");
  refuses(open_page_cache(dir.path()), "pages names no file");
  describe(R"("engine":"lmcache","axes":["heads","tokens"],"pages":["p0"]})");
  refuses(open_page_cache(dir.path()), "axes are not");
  describe(R"("engine":"lmcache","axes":["kv","layers","heads","tokens","channels"],)"
           R"("pages":["p0"]})");
  refuses(open_page_cache(dir.path()), "tokens before heads");
  describe(R"("engine":"other","pages":["p0"]})");
  refuses(open_page_cache(dir.path()), "engine");
  std::filesystem::remove(dir.file("geometry.json"));
  refuses(open_page_cache(dir.path()), "no " + dir.file("geometry.json"));
}
