// Goal: a GGUF or a config.json says the shape of its model's cache, and a file that is none, or
// lies about its sizes, is refused. Method: descriptions made here, cut and patched.
#include "kvfile/convert/model_facts.h"

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "kvfile/support.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

// GGUF metadata: texts, u32, F32, and lists of i32 and of texts.
class Gguf {
 public:
  Gguf& text(const std::string& key, const std::string& value) {
    begin(key, 8);
    put_text(body_, value);
    return *this;
  }
  Gguf& number(const std::string& key, uint32_t value) {
    begin(key, 4);
    append_u32le(body_, value);
    return *this;
  }
  Gguf& real(const std::string& key, float value) {
    begin(key, 6);
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    append_u32le(body_, bits);
    return *this;
  }
  Gguf& list(const std::string& key, const std::vector<uint32_t>& values) {
    begin(key, 9);
    append_u32le(body_, 5);
    append_u64le(body_, values.size());
    for (const uint32_t value : values) append_u32le(body_, value);
    return *this;
  }
  Gguf& texts(const std::string& key, const std::vector<std::string>& values) {
    begin(key, 9);
    append_u32le(body_, 8);
    append_u64le(body_, values.size());
    for (const std::string& value : values) put_text(body_, value);
    return *this;
  }
  std::string bytes() const {
    std::string out = "GGUF";
    append_u32le(out, 3);
    append_u64le(out, 0);
    append_u64le(out, entries_);
    return out + body_;
  }

 private:
  void begin(const std::string& key, uint32_t type) {
    put_text(body_, key);
    append_u32le(body_, type);
    entries_++;
  }
  static void put_text(std::string& out, const std::string& text) {
    append_u64le(out, text.size());
    out += text;
  }
  std::string body_;
  uint64_t entries_ = 0;
};

Gguf model_of(const std::string& architecture) {
  return Gguf()
      .texts("tokenizer.ggml.tokens", {"<s>", "a"})
      .text("general.architecture", architecture)
      .text("general.name", "m")
      .number(architecture + ".block_count", 6)
      .number(architecture + ".embedding_length", 256)
      .number(architecture + ".attention.head_count", 4)
      .real(architecture + ".rope.freq_base", 500'000);
}

Result<ModelFacts> gguf_facts(const TempDir& dir, const std::string& bytes) {
  write_bytes(dir.file("m.gguf"), bytes);
  return read_gguf_facts(dir.file("m.gguf"));
}
Result<ModelFacts> config_facts(const TempDir& dir, const std::string& json) {
  write_bytes(dir.file("config.json"), json);
  return read_config_facts(dir.file("config.json"));
}

}  // namespace

TEST_CASE("model facts: a GGUF says heads, rope, windows, latent attention", "[unit][kvfile]") {
  TempDir dir;
  const auto plain =
      gguf_facts(dir, model_of("llama").number("llama.attention.head_count_kv", 2).bytes());
  INFO(plain.status().message());
  REQUIRE(plain.ok());
  CHECK(plain->architecture == "llama");
  CHECK(plain->name == "m");
  CHECK(plain->kv_heads == std::vector<uint64_t>(6, 2));
  CHECK(plain->key_dim == 64);
  CHECK(plain->rope_base == 500'000);
  CHECK(plain->is_window.empty());
  // Without a number of its own, every query head has keys.
  CHECK(gguf_facts(dir, model_of("llama").bytes())->kv_heads == std::vector<uint64_t>(6, 4));
  const auto hybrid = gguf_facts(
      dir, model_of("lfm2").list("lfm2.attention.head_count_kv", {0, 0, 2, 0, 0, 2}).bytes());
  CHECK(hybrid->kv_heads == std::vector<uint64_t>{0, 0, 2, 0, 0, 2});
  const auto window = gguf_facts(dir, model_of("gemma3")
                                          .number("gemma3.attention.sliding_window", 64)
                                          .number("gemma3.attention.key_length", 128)
                                          .bytes());
  CHECK(window->is_window == std::vector<bool>{true, true, true, true, true, false});
  CHECK(window->key_dim == 128);
  const auto latent = gguf_facts(dir, model_of("deepseek2")
                                          .number("deepseek2.attention.head_count_kv", 1)
                                          .number("deepseek2.attention.key_length", 160)
                                          .number("deepseek2.attention.key_length_mla", 96)
                                          .number("deepseek2.rope.dimension_count", 32)
                                          .bytes());
  CHECK(latent->is_latent);
  CHECK(latent->key_dim == 160);
  CHECK(latent->rope_dim == 32);
}

TEST_CASE("model facts: a GGUF that is none, is cut or lies is refused", "[unit][kvfile]") {
  TempDir dir;
  const std::string whole = model_of("llama").bytes();
  for (size_t size = 0; size < whole.size(); size++) {
    INFO(size);
    CHECK(gguf_facts(dir, whole.substr(0, size)).code() == Code::kInvalid);
  }
  CHECK(gguf_facts(dir, std::string(whole).replace(4, 1, "\x07")).code() == Code::kInvalid);
  for (const size_t count : {16, 24}) {  // Of entries, and of the first key's bytes.
    CHECK(gguf_facts(dir, std::string(whole).replace(count, 8, std::string(8, '\xff'))).code() ==
          Code::kInvalid);
  }
  CHECK(read_gguf_facts(dir.file("none.gguf")).code() == Code::kNotFound);
}

TEST_CASE("model facts: transformers' config.json says the same", "[unit][kvfile]") {
  TempDir dir;
  const auto plain = config_facts(dir, R"({"model_type":"mistral","num_hidden_layers":3,
      "num_attention_heads":8,"num_key_value_heads":2,"hidden_size":512,"rope_theta":1000000.0})");
  INFO(plain.status().message());
  REQUIRE(plain.ok());
  CHECK(plain->architecture == "llama");
  CHECK(plain->kv_heads == std::vector<uint64_t>(3, 2));
  CHECK(plain->key_dim == 64);
  CHECK(plain->rope_base == 1'000'000);
  const auto part = config_facts(dir, R"({"model_type":"x","text_config":{"model_type":"glm4",
      "num_hidden_layers":2,"num_attention_heads":8,"head_dim":128,
      "rope_parameters":{"rope_theta":10000,"partial_rotary_factor":0.5}}})");
  CHECK(part->architecture == "glm4");
  CHECK(part->rope_dim == 64);
  CHECK(part->kv_heads == std::vector<uint64_t>(2, 8));
  const auto mixed = config_facts(dir, R"({"model_type":"qwen3_next","num_hidden_layers":4,
      "num_attention_heads":4,"head_dim":64,"layer_types":["linear_attention","linear_attention",
      "sliding_attention","full_attention"]})");
  CHECK(mixed->kv_heads == std::vector<uint64_t>{0, 0, 4, 4});
  CHECK(mixed->is_window == std::vector<bool>{false, false, true, false});
  const auto latent = config_facts(dir, R"({"model_type":"deepseek_v3","num_hidden_layers":2,
      "num_attention_heads":128,"kv_lora_rank":512,"qk_rope_head_dim":64})");
  CHECK(latent->is_latent);
  CHECK(latent->key_dim == 576);
  CHECK(latent->rope_dim == 64);
  for (const char* const bad : {"", "[]", "{", R"({"model_type":"llama"})",
                                R"({"num_hidden_layers":1e9})", R"({"num_hidden_layers":-1})"}) {
    INFO(bad);
    CHECK(config_facts(dir, bad).code() == Code::kInvalid);
  }
}
