// Compares the four choices of pairing and rotation by the spread of pair lengths over repeated
// tokens, and takes one only when it stands out.
#include "kvfile/convert/rope_detect.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <unordered_map>

#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kGroupsMax = 64;  // Token ids looked at.
constexpr size_t kPlacesMax = 32;  // Places of each.
// On real files of F16, q8_0, q4_0 and iq4_nl the right choice had a spread of at most 0.08 and a
// wrong one of at least 0.23.
constexpr double kSpreadMax = 0.15;
constexpr double kSpreadRatioMin = 1.5;  // The next best must be that much worse.
constexpr uint64_t kValueRotation = 64;

// The length of rotary pair `pair` of one head.
double pair_length(const float* head, uint64_t head_dim, uint64_t pair, RopePairing pairing) {
  const bool norm = pairing == RopePairing::kNorm;
  const double a = head[norm ? 2 * pair : pair];
  const double b = head[norm ? 2 * pair + 1 : pair + head_dim / 2];
  return std::sqrt(a * a + b * b);
}

// The deviation of pair lengths within the groups, relative to the lengths themselves: zero for the
// right choice in exact arithmetic. Sums are over all groups, heads and pairs, so that pairs of
// little length, which rounding disturbs most, weigh little.
double spread_of(const RepeatedTokens& repeated, const std::vector<float>& keys, uint64_t heads,
                 uint64_t head_dim, RopePairing pairing) {
  double deviation = 0, size = 0;
  const float* group = keys.data();
  for (const auto& places : repeated.places) {
    for (uint64_t head = 0; head < heads; head++) {
      for (uint64_t pair = 0; pair < head_dim / 2; pair++) {
        double sum = 0, squares = 0;
        for (uint64_t i = 0; i < places.size(); i++) {
          const float* const row = group + (i * heads + head) * head_dim;
          const double length = pair_length(row, head_dim, pair, pairing);
          sum += length;
          squares += length * length;
        }
        const double mean = sum / static_cast<double>(places.size());
        deviation += std::max(0.0, squares - sum * mean);
        size += sum * mean;
      }
    }
    group += places.size() * heads * head_dim;
  }
  return size > 0 ? std::sqrt(deviation / size) : INFINITY;
}

std::string three_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

Status undecided(const std::string& why) {
  return invalid("the order of the rotary pairs cannot be told from the data: " + why +
                 "; say --rope norm (llama, mistral, granite, …) or --rope neox (qwen, phi3, "
                 "gemma, …), and --rotation none or hadamard");
}

}  // namespace

std::string_view pairing_name(RopePairing pairing) {
  return pairing == RopePairing::kNorm ? "norm" : "neox";
}

RepeatedTokens find_repeated_tokens(const std::vector<uint32_t>& tokens) {
  std::unordered_map<uint32_t, size_t> counts;
  for (const uint32_t id : tokens) counts[id]++;
  std::unordered_map<uint32_t, size_t> group_of;
  RepeatedTokens repeated;
  for (uint64_t i = 0; i < tokens.size(); i++) {
    if (counts[tokens[i]] < 2) continue;
    auto it = group_of.find(tokens[i]);
    if (it == group_of.end()) {
      if (repeated.places.size() == kGroupsMax) continue;
      it = group_of.emplace(tokens[i], repeated.places.size()).first;
      repeated.places.emplace_back();
    }
    if (repeated.places[it->second].size() == kPlacesMax) continue;
    repeated.places[it->second].push_back(i);
    repeated.rows++;
  }
  return repeated;
}

uint64_t llama_key_rotation(uint64_t head_dim) {
  // The lowest bit that is set is the largest power of two that divides head_dim.
  return head_dim % kValueRotation == 0 ? head_dim & ~(head_dim - 1) : 0;
}
uint64_t llama_value_rotation(uint64_t head_dim) {
  return head_dim % kValueRotation == 0 ? kValueRotation : 0;
}

Result<RopeChoice> detect_rope(const RepeatedTokens& repeated, const std::vector<float>& keys,
                               uint64_t heads, uint64_t head_dim, const RopeQuestion& question) {
  std::vector<RopeChoice> choices;
  std::vector<float> turned;
  for (const bool hadamard : {false, true}) {
    if (question.hadamard.value_or(hadamard) != hadamard) continue;
    if (hadamard) {
      const uint64_t block = llama_key_rotation(head_dim);
      turned = keys;
      kernels().hadamard(turned.data(), turned.size() / block, block);
    }
    for (const RopePairing pairing : {RopePairing::kNorm, RopePairing::kNeox}) {
      if (question.pairing.value_or(pairing) != pairing) continue;
      const double spread = spread_of(repeated, hadamard ? turned : keys, heads, head_dim, pairing);
      choices.push_back({pairing, hadamard, true, spread, 0, repeated.rows});
    }
  }
  if (repeated.rows == 0) return undecided("no token occurs twice");
  std::sort(choices.begin(), choices.end(),
            [](const RopeChoice& a, const RopeChoice& b) { return a.spread < b.spread; });
  RopeChoice best = choices.front();
  best.other_spread = choices.size() > 1 ? choices[1].spread : INFINITY;
  if (!(best.spread <= kSpreadMax) || best.other_spread < best.spread * kSpreadRatioMin) {
    return undecided("pair lengths of equal tokens differ by " + three_digits(best.spread) +
                     " at best, by " + three_digits(best.other_spread) + " in the next choice");
  }
  return best;
}

}  // namespace kvcs::kvfile
