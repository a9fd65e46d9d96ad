// The made-up model of `kvcs sample`: the keys and values of a text, and the files that they fill.
#include "kvfile/convert/sample.h"

#include <array>
#include <filesystem>

#include "base/bytes.h"
#include "kvfile/convert/sample_random.h"
#include "kvfile/format/publish.h"

namespace kvcs::kvfile {
namespace {

constexpr uint64_t kLayers = 4, kHeads = 2, kHeadDim = 64;
constexpr uint64_t kPairs = kHeadDim / 2;
constexpr uint64_t kStrongChannels = 3;  // Of a head's keys: about one in twenty.
// 10000^(-2/64): each rotary pair turns by so much less than the one before it.
constexpr double kRopeRatio = 0.7498942093324559;
// Of the noise of keys, what a token keeps of the one before it: 0.6² + 0.8² = 1.
constexpr double kKept = 0.6, kFresh = 0.8;

// The uses of random numbers. Each use has a sequence of its own.
enum class Use : uint64_t { kMean, kStrong, kSpread, kNoise, kValueScale, kValue, kGain };

struct Place {
  uint64_t layer, head, channel;
};
uint64_t hash_of(Use use, const Place& at, uint64_t more = 0) {
  const uint64_t place = (at.layer * kHeads + at.head) * kHeadDim + at.channel;
  return sample_mix(sample_mix(sample_mix(static_cast<uint64_t>(use)) ^ place) ^ more);
}

struct Turn {
  double cosine, sine;
};
// The Taylor series of both, for angles in (0, 1]: 20 terms are more than a double can hold.
Turn turn_by(double angle) {
  Turn turn{1, 0};
  double term = 1;  // angle^n / n!
  for (int n = 1; n <= 20; n++) {
    term = term * angle / n;
    const double sign = n % 4 < 2 ? 1 : -1;
    (n % 2 == 1 ? turn.sine : turn.cosine) += sign * term;
  }
  return turn;
}
Turn both(const Turn& a, const Turn& b) {
  return {a.cosine * b.cosine - a.sine * b.sine, a.sine * b.cosine + a.cosine * b.sine};
}

// How one head of one layer makes keys and values.
struct HeadWeights {
  std::array<double, kHeadDim> key_mean, key_spread, value_scale;

  HeadWeights(uint64_t layer, uint64_t head) {
    for (uint64_t c = 0; c < kHeadDim; c++) {
      const Place at{layer, head, c};
      key_mean[c] = 0.8 * sample_normal(hash_of(Use::kMean, at));
      key_spread[c] = 0.5 + sample_uniform(hash_of(Use::kSpread, at));
      const double u = sample_uniform(hash_of(Use::kValueScale, at));
      // Values grow with the depth of their layer.
      value_scale[c] = (0.2 + 0.6 * u * u) * (1.0 + 0.5 * static_cast<double>(layer));
    }
    for (uint64_t n = 0; n < kStrongChannels; n++) {
      const uint64_t hash = hash_of(Use::kStrong, {layer, head, n});
      const double size = 8.0 + 12.0 * sample_uniform(hash);
      key_mean[hash % kHeadDim] = hash % 2 == 0 ? size : -size;
    }
  }
};

class SampleCache final : public CacheSource {
 public:
  explicit SampleCache(const SampleText& text) : tokens_(text.tokens) {
    geometry_.layers = kLayers;
    geometry_.kv_heads = kHeads;
    geometry_.tokens = tokens_.size();
    geometry_.head_dim = kHeadDim;
    // The first layer sees a token alone, the others all tokens up to it.
    uint64_t history = 0;
    for (const uint32_t token : tokens_) {
      history = sample_mix(history ^ token);
      histories_.push_back(history);
    }
    keys_.resize(kLayers * kHeads * tokens_.size() * kHeadDim);
    values_.resize(keys_.size());
    for (uint64_t layer = 0; layer < kLayers; layer++) {
      for (uint64_t head = 0; head < kHeads; head++) make_head(layer, head);
    }
  }

  const Geometry& geometry() const override { return geometry_; }
  Dtype dtype() const override { return Dtype::kF16; }
  const std::vector<uint32_t>& tokens() const override { return tokens_; }
  Metadata metadata() const override {
    // The pairs of the keys are halves apart, which llama.cpp calls NEOX and has for qwen2.
    return {{"kvcs.source_format", "kvcs sample"},
            {"kvcs.model", "kvcs/sample-4l"},
            {"kvcs.model_revision", "1"},
            {"kvcs.tokenizer", "kvcs-sample-words-1"},
            {"kvcs.arch", "qwen2"},
            {"kvcs.rope_base", "10000"},
            {"kvcs.rope_layout", "half"},
            {"kvcs.llama.rope", "neox"}};
  }
  Status read(Part part, uint64_t layer, uint64_t first, uint64_t rows, float* out) const override {
    const std::vector<float>& all = part == Part::kKeys ? keys_ : values_;
    for (uint64_t head = 0; head < kHeads; head++) {
      const float* const from = all.data() + index(layer, head, first);
      out = std::copy(from, from + rows * kHeadDim, out);
    }
    return ok();
  }
  Status check_unchanged() const override { return ok(); }

 private:
  size_t index(uint64_t layer, uint64_t head, uint64_t token) const {
    return ((layer * kHeads + head) * tokens_.size() + token) * kHeadDim;
  }
  // The seed of a token's random numbers: the token itself in layer 0, above it also the tokens
  // before it.
  uint64_t cause(uint64_t layer, uint64_t token) const {
    return layer == 0 ? tokens_[token] : histories_[token];
  }

  void make_head(uint64_t layer, uint64_t head) {
    const HeadWeights weights(layer, head);
    std::array<double, kHeadDim> noise{};
    std::array<Turn, kPairs> step, turned;
    double angle = 1;
    for (Turn& turn : step) {
      turn = turn_by(angle);
      angle *= kRopeRatio;
    }
    turned.fill({1, 0});
    for (uint64_t token = 0; token < tokens_.size(); token++) {
      make_key(layer, head, token, weights, noise, turned);
      make_value(layer, head, token, weights);
      for (uint64_t pair = 0; pair < kPairs; pair++) turned[pair] = both(turned[pair], step[pair]);
    }
  }

  // In the first layer a key is the token's, turned by its place, and nothing else: from this the
  // import of a llama.cpp file finds out the order of the pairs.
  void make_key(uint64_t layer, uint64_t head, uint64_t token, const HeadWeights& weights,
                std::array<double, kHeadDim>& noise, const std::array<Turn, kPairs>& turned) {
    const double sink = token == 0 && layer > 0 ? 0.5 : 1.0;
    const bool goes_on = token > 0 && layer > 0;
    std::array<double, kHeadDim> key;
    for (uint64_t c = 0; c < kHeadDim; c++) {
      const double fresh =
          sample_normal(hash_of(Use::kNoise, {layer, head, c}, cause(layer, token)));
      noise[c] = goes_on ? kKept * noise[c] + kFresh * fresh : fresh;
      key[c] = sink * (weights.key_mean[c] + weights.key_spread[c] * noise[c]);
    }
    float* const out = keys_.data() + index(layer, head, token);
    for (uint64_t pair = 0; pair < kPairs; pair++) {
      const double a = key[pair], b = key[pair + kPairs];
      const Turn& turn = turned[pair];
      out[pair] = static_cast<float>(a * turn.cosine - b * turn.sine);
      out[pair + kPairs] = static_cast<float>(b * turn.cosine + a * turn.sine);
    }
  }

  // Long tails: one value in some hundred is several times as large as the rest, and some tokens
  // are louder than others. The first token, which all look at, says next to nothing.
  void make_value(uint64_t layer, uint64_t head, uint64_t token, const HeadWeights& weights) {
    const uint64_t why = cause(layer, token);
    const double loud = sample_uniform(hash_of(Use::kGain, {layer, head, 0}, why));
    const double gain = (token == 0 && layer > 0 ? 0.02 : 1.0) * (0.7 + 0.8 * loud * loud);
    float* const out = values_.data() + index(layer, head, token);
    for (uint64_t c = 0; c < kHeadDim; c++) {
      const uint64_t hash = hash_of(Use::kValue, {layer, head, c}, why);
      const double u = sample_uniform(sample_mix(hash)), u2 = u * u, u4 = u2 * u2;
      const double tail = 0.8 + 1.6 * u4 * u4;
      out[c] = static_cast<float>(gain * weights.value_scale[c] * tail * sample_normal(hash));
    }
  }

  Geometry geometry_;
  const std::vector<uint32_t> tokens_;
  std::vector<uint64_t> histories_;
  std::vector<float> keys_, values_;  // [layer][head][token][channel]
};

std::string token_ids_json(const std::vector<uint32_t>& ids) {
  std::string json = "[";
  for (const uint32_t id : ids) json += (json.size() > 1 ? "," : "") + std::to_string(id);
  return json + "]\n";
}

// A link that leads nowhere is in the way too. A name that no file can have is not taken; writing
// it will say what is wrong with it.
bool is_taken(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

}  // namespace

std::unique_ptr<CacheSource> make_sample_cache(const SampleText& text) {
  return std::make_unique<SampleCache>(text);
}

SamplePaths sample_paths(const std::string& artifact) {
  constexpr std::string_view kEnding = ".kv";
  std::string stem = artifact;
  if (stem.ends_with(kEnding)) stem.resize(stem.size() - kEnding.size());
  return {artifact, sidecar_path(artifact), stem + ".ids.json", stem + ".txt"};
}

Result<SampleReport> write_sample(const SampleOptions& options) {
  const SamplePaths paths = sample_paths(options.output);
  for (const std::string& path : {paths.artifact, paths.sidecar, paths.token_ids, paths.text}) {
    if (!options.replace && is_taken(path)) {
      return conflict(printable(path) + " exists; --force replaces it.");
    }
  }
  const SampleText text = make_sample_text(options.seed, options.tokens);
  ImportOptions import;
  import.output = paths.artifact;
  import.prompt = text.text;
  import.companions = {{paths.token_ids, token_ids_json(text.tokens)}, { paths.text, text.text }};
  auto report = KVCS_TRY(write_imported(*make_sample_cache(text), import));
  return SampleReport{std::move(report.header), paths, text.text.size()};
}

}  // namespace kvcs::kvfile
