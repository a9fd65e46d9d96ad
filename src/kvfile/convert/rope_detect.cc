// Tries every shape and order of keys that a row can have against the angles between equal tokens,
// and takes one only when it stands out. Where positions are scaled in an unknown way the lengths
// of pairs, which rotation keeps, decide the order alone.
#include "kvfile/convert/rope_detect.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <unordered_map>

#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kGroupsMax = 64;       // Token ids looked at.
constexpr size_t kPlacesMax = 32;       // Places of each.
constexpr size_t kPlacePairsMax = 256;  // Two places of one token.
constexpr uint64_t kDistanceMax = 512;  // Slow frequencies are scaled in long contexts.
constexpr uint64_t kHeadDimSearched = 1024;
constexpr double kFirstMin = 0.5;          // Agreement of the first pair of every head,
constexpr double kFirstMeanMin = 0.7;      // and of all heads together.
constexpr double kAgreementMin = 0.7;      // Of all pairs; q4_0 keeps 0.97.
constexpr double kAgreementMargin = 0.05;  // The next best must be that much worse.
// Angles that fell together by chance would reach so many standard deviations never.
constexpr double kEvidenceMin = 8;
constexpr double kVisibleAngle = 0.5;  // Radians: pairs that turned less agree with every choice.
constexpr double kBaseMin = 500, kBaseMax = 2e9;  // Models have 10,000 to 100,000,000.
constexpr uint64_t kRopeDimMin = 8;
// On real files of F16, q8_0, q4_0 and iq4_nl the right choice had a spread of at most 0.08 and a
// wrong one of at least 0.23.
constexpr double kSpreadMax = 0.15;
constexpr double kSpreadRatioMin = 1.5;
constexpr uint64_t kValueRotation = 64;
// Positions divided by so much: linear scaling of rotary embedding.
constexpr double kLinearScalings[] = {1, 2, 4, 8, 16, 3, 32};

// Two places of one token: their rows and the distance between them.
struct PlacePair {
  uint64_t row_a = 0, row_b = 0;
  double distance = 0;
};

std::vector<PlacePair> place_pairs(const RepeatedTokens& repeated) {
  std::vector<PlacePair> pairs;
  uint64_t row = 0;
  for (const auto& places : repeated.places) {
    for (size_t step = 1; step <= 4; step++) {
      for (size_t i = 0; i + step < places.size(); i++) {
        pairs.push_back(
            {row + i, row + i + step, static_cast<double>(places[i + step] - places[i])});
      }
    }
    row += places.size();
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const PlacePair& a, const PlacePair& b) { return a.distance < b.distance; });
  const auto far = std::find_if(pairs.begin(), pairs.end(),
                                [](const PlacePair& pair) { return pair.distance > kDistanceMax; });
  const auto near = static_cast<size_t>(far - pairs.begin());
  if (near >= kPlacePairsMax / 4) pairs.erase(far, pairs.end());
  if (pairs.size() <= kPlacePairsMax) return pairs;
  // Evenly over all distances: near places show fast pairs, far ones slow pairs.
  std::vector<PlacePair> some;
  for (size_t i = 0; i < kPlacePairsMax; i++) {
    some.push_back(pairs[i * pairs.size() / kPlacePairsMax]);
  }
  return some;
}

// What two channels (x, y), taken as x + iy, did between each pair of places: the product of one
// with the conjugate of the other, whose angle is the turn and whose length the weight.
struct Turns {
  std::vector<double> real, imaginary;
  double weight = 0;

  double agreement(const std::vector<PlacePair>& pairs, double frequency) const {
    double sum = 0;
    for (size_t i = 0; i < pairs.size(); i++) {
      const double angle = pairs[i].distance * frequency;
      sum += real[i] * std::cos(angle) + imaginary[i] * std::sin(angle);
    }
    return sum;
  }
};

class Search final {
 public:
  Search(const std::vector<float>& keys, uint64_t width, const std::vector<PlacePair>& pairs,
         double precision)
      : keys_(keys), width_(width), pairs_(pairs), precision_(precision) {}

  // Every shape whose heads begin where pairs turn by one radian a token, measured over all pairs.
  std::vector<RopeChoice> choices(bool hadamard, uint64_t block) const {
    std::vector<RopeChoice> found;
    bool is_good = false;
    for (const double scaling : kLinearScalings) {
      for (uint64_t offset = 1; offset <= std::min(width_, kHeadDimSearched) / 2; offset++) {
        if (offset != 1 && offset < kRopeDimMin / 2) continue;
        if (first_agreement(0, offset, 1 / scaling) < kFirstMin) continue;
        const std::optional<uint64_t> head_dim = find_head_dim(offset, block, 1 / scaling);
        if (!head_dim) continue;
        RopeChoice choice = measure(offset, *head_dim, 1 / scaling);
        if (!choice.detected) continue;
        choice.hadamard = hadamard;
        choice.linear_scaling = scaling;
        found.push_back(choice);
        is_good = is_good || choice.agreement >= kAgreementMin;
      }
      if (is_good) break;
    }
    return found;
  }

 private:
  void add_turns(uint64_t x, uint64_t y, Turns& turns) const {
    turns.real.resize(pairs_.size());
    turns.imaginary.resize(pairs_.size());
    for (size_t i = 0; i < pairs_.size(); i++) {
      const float* const a = keys_.data() + pairs_[i].row_a * width_;
      const float* const b = keys_.data() + pairs_[i].row_b * width_;
      const double ax = a[x], ay = a[y], bx = b[x], by = b[y];
      turns.real[i] += bx * ax + by * ay;
      turns.imaginary[i] += by * ax - bx * ay;
      turns.weight += std::sqrt((ax * ax + ay * ay) * (bx * bx + by * by));
    }
  }
  double first_agreement(uint64_t channel, uint64_t offset, double frequency) const {
    Turns turns;
    add_turns(channel, channel + offset, turns);
    return turns.weight > 0 ? turns.agreement(pairs_, frequency) / turns.weight : 0;
  }

  // The smallest head at whose beginning, in every head, the first pair turns. A larger one would
  // miss heads; a smaller one would take slow pairs for first ones.
  std::optional<uint64_t> find_head_dim(uint64_t offset, uint64_t block, double frequency) const {
    for (uint64_t dim = 2 * offset; dim <= width_; dim++) {
      if (width_ % dim != 0 || dim % 2 != 0 || dim < kRopeDimMin) continue;
      if (block != 0 && llama_key_rotation(dim) != block) continue;
      double sum = 0;
      bool all = true;
      for (uint64_t start = 0; all && start < width_; start += dim) {
        const double agreement = first_agreement(start, offset, frequency);
        all = agreement >= kFirstMin;
        sum += agreement;
      }
      if (all && sum >= kFirstMeanMin * static_cast<double>(width_ / dim)) return dim;
    }
    return std::nullopt;
  }

  // How well all channels agree with frequencies that fall by a constant factor from pair to pair.
  // The factor comes from the fast pairs first and is refined with more and more slow ones.
  RopeChoice measure(uint64_t offset, uint64_t head_dim, double first) const {
    RopeChoice choice;
    choice.head_dim = head_dim;
    choice.pairing = offset == 1 ? RopePairing::kNorm : RopePairing::kNeox;
    const uint64_t paired = offset == 1 ? head_dim / 2 : offset;
    std::vector<Turns> turns(head_dim / 2);
    for (uint64_t start = 0; start < width_; start += head_dim) {
      for (uint64_t j = 0; j < head_dim / 2; j++) {
        // NEOX channels behind the turned ones are compared two by two, as unturned.
        if (offset == 1) {
          add_turns(start + 2 * j, start + 2 * j + 1, turns[j]);
        } else if (j < offset) {
          add_turns(start + j, start + j + offset, turns[j]);
        } else {
          add_turns(start + 2 * j, start + 2 * j + 1, turns[j]);
        }
      }
    }
    const double fall = find_fall(turns, paired, first);
    const uint64_t turned = offset == 1 ? count_turned(turns, fall, first) : paired;
    choice.rope_dim = 2 * turned;
    choice.base = std::exp(fall * static_cast<double>(turned));
    if (*choice.base < kBaseMin || *choice.base > kBaseMax) return choice;
    double weight = 0, sum = 0;
    for (uint64_t j = 0; j < head_dim / 2; j++) {
      weight += turns[j].weight;
      sum += turns[j].agreement(pairs_, j < turned ? frequency_of(j, fall, first) : 0);
    }
    choice.agreement = weight > 0 ? sum / weight : 0;
    const Evidence evidence = find_evidence(choice, fall, first);
    choice.agreement = std::min(choice.agreement, evidence.agreement);
    choice.detected = evidence.deviations >= kEvidenceMin;
    return choice;
  }

  static double frequency_of(uint64_t pair, double fall, double first) {
    return first * std::exp(-fall * static_cast<double>(pair));
  }

  // The angle per token of a slow pair, and how sure it is.
  struct SlowAngle {
    double angle = 0, deviation = 0;
  };
  SlowAngle slow_angle(const Turns& turns) const {
    double products = 0, squares = 0, noise = 0, weight = 0;
    for (size_t i = 0; i < pairs_.size(); i++) {
      const double distance = pairs_[i].distance;
      const double size = std::hypot(turns.real[i], turns.imaginary[i]);
      products += turns.imaginary[i] * distance;
      squares += size * distance * distance;
      weight += size;
    }
    if (squares <= 0) return {0, INFINITY};
    const double angle = products / squares;
    for (size_t i = 0; i < pairs_.size(); i++) {
      const double size = std::hypot(turns.real[i], turns.imaginary[i]);
      const double off = std::atan2(turns.imaginary[i], turns.real[i]) - angle * pairs_[i].distance;
      noise += size * off * off;
    }
    // The variance of one angle is noise / weight; the mean of its effect on the slope.
    const double variance = noise / weight;
    double effect = 0;
    for (size_t i = 0; i < pairs_.size(); i++) {
      const double size = std::hypot(turns.real[i], turns.imaginary[i]);
      effect += size * size * pairs_[i].distance * pairs_[i].distance;
    }
    return {angle, std::sqrt(variance * effect) / squares + 1e-12};
  }

  // Whether a pair stays as it is from place to place: by its agreement when it would turn far, by
  // its mean slow angle otherwise.
  bool is_unturned(const Turns& turns) const {
    if (turns.weight == 0) return true;
    if (turns.agreement(pairs_, 0) < kAgreementMin * turns.weight) return false;
    const SlowAngle slow = slow_angle(turns);
    return std::fabs(slow.angle) <= 4 * slow.deviation;
  }

  // NORM pairs stand side by side whether all are turned or the first ones only (partial rotary).
  // Pairs behind the turned ones rest; a pair that should turn measurably and rests shows the end.
  uint64_t count_turned(const std::vector<Turns>& turns, double fall, double first) const {
    uint64_t count = turns.size();
    while (count > 1 && is_unturned(turns[count - 1])) count--;
    if (count == turns.size()) return count;
    const Turns& rests = turns[count];
    const double frequency = frequency_of(count, fall, first);
    const double expected = rests.agreement(pairs_, frequency) / rests.weight;
    const double least = slow_angle(rests).deviation + precision_ / pairs_.back().distance;
    const bool should_turn = expected < kAgreementMin || frequency > 8 * least;
    return should_turn ? count : turns.size();
  }

  // The mean cosine of what is left of the angles that turned visibly and of those that should
  // rest, each pair counted alike; and how many standard deviations the turned ones are from the
  // zero of random angles.
  struct Evidence {
    double agreement = 0, deviations = 0;
  };
  Evidence find_evidence(const RopeChoice& choice, double fall, double first) const {
    const bool norm = choice.pairing == RopePairing::kNorm;
    const uint64_t turned = choice.rope_dim / 2;
    double sum = 0, count = 0, rest = 0, resting = 0;
    for (uint64_t start = 0; start < width_; start += choice.head_dim) {
      for (uint64_t j = 0; j < choice.head_dim / 2; j++) {
        const bool turns_here = j < turned;
        const double frequency = turns_here ? frequency_of(j, fall, first) : 0;
        if (turns_here && pairs_.back().distance * frequency < kVisibleAngle) continue;
        const bool halves = turns_here && !norm;
        Turns turns;
        add_turns(start + (halves ? j : 2 * j), start + (halves ? j + turned : 2 * j + 1), turns);
        const double least = 0.1 * turns.weight / static_cast<double>(pairs_.size());
        for (size_t i = 0; i < pairs_.size(); i++) {
          const double angle = pairs_[i].distance * frequency;
          const double size = std::hypot(turns.real[i], turns.imaginary[i]);
          if ((turns_here && angle < kVisibleAngle) || size <= least) continue;
          const double cosine =
              (turns.real[i] * std::cos(angle) + turns.imaginary[i] * std::sin(angle)) / size;
          (turns_here ? sum : rest) += cosine;
          (turns_here ? count : resting) += 1;
        }
      }
    }
    if (count == 0) return {};
    return {(sum + rest) / (count + resting), sum * std::sqrt(2 / count)};
  }

  // The logarithm of the factor between the frequencies of neighbouring pairs.
  double find_fall(const std::vector<Turns>& turns, uint64_t paired, double first) const {
    const auto score = [&](double fall, uint64_t count) {
      double sum = 0;
      for (uint64_t j = 1; j < count; j++) {
        sum += turns[j].agreement(pairs_, first * std::exp(-fall * static_cast<double>(j)));
      }
      return sum;
    };
    uint64_t count = std::min<uint64_t>(paired, 4);
    double best = 0, best_score = -INFINITY;
    // From base 100 over 512 channels to base 10^9 over 16.
    const double step = 0.0005;
    for (double fall = 0.015; fall < 2.7; fall += step) {
      const double here = score(fall, count);
      if (here > best_score) {
        best_score = here;
        best = fall;
      }
    }
    double range = step;
    while (true) {
      const double middle = best;
      best_score = -INFINITY;
      for (int i = -20; i <= 20; i++) {
        const double fall = middle + range * i / 20;
        const double here = score(fall, count);
        if (here > best_score) {
          best_score = here;
          best = fall;
        }
      }
      range /= 4;
      if (count == paired && range < 1e-6) return best;
      // A pair that is not turned at all (partial rotary) would pull the factor: stop there.
      while (count < paired) {
        const double frequency = first * std::exp(-best * static_cast<double>(count));
        if (turns[count].agreement(pairs_, frequency) < turns[count].agreement(pairs_, 0)) {
          paired = count;
          break;
        }
        count++;
        if (count % 4 == 0) break;
      }
    }
  }

  const std::vector<float>& keys_;
  const uint64_t width_;
  const std::vector<PlacePair>& pairs_;
  const double precision_;
};

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
  return invalid("the order of the rotary pairs cannot be told from the data: " + why);
}

// Keys whose angles fit no known frequencies: lengths of pairs tell the order when the size of a
// head is known.
Result<RopeChoice> detect_by_length(const RepeatedTokens& repeated, const std::vector<float>& keys,
                                    uint64_t width, const RopeQuestion& question,
                                    const std::string& why_not) {
  if (!question.head_dim) return undecided(why_not);
  const uint64_t dim = *question.head_dim;
  std::vector<std::pair<double, RopeChoice>> choices;
  std::vector<float> turned;
  for (const bool hadamard : {false, true}) {
    if (question.hadamard.value_or(hadamard) != hadamard) continue;
    const uint64_t block = llama_key_rotation(dim);
    if (hadamard && block == 0) continue;
    if (hadamard) {
      turned = keys;
      kernels().hadamard(turned.data(), turned.size() / block, block);
    }
    for (const RopePairing pairing : {RopePairing::kNorm, RopePairing::kNeox}) {
      RopeChoice choice;
      choice.pairing = pairing;
      choice.hadamard = hadamard;
      choice.detected = choice.by_length_only = true;
      choice.head_dim = dim;
      choice.rows_compared = repeated.rows;
      const auto& rows = hadamard ? turned : keys;
      choices.emplace_back(spread_of(repeated, rows, width / dim, dim, pairing), choice);
    }
  }
  std::sort(choices.begin(), choices.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  if (choices.size() < 2) return undecided(why_not);
  const double best = choices[0].first, next = choices[1].first;
  if (!(best <= kSpreadMax) || next < best * kSpreadRatioMin) {
    return undecided("pair lengths of equal tokens differ by " + three_digits(best) +
                     " at best, by " + three_digits(next) + " in the next choice");
  }
  choices[0].second.agreement = 1 - best;
  choices[0].second.other_agreement = 1 - next;
  return choices[0].second;
}

}  // namespace

std::string_view pairing_name(RopePairing pairing) {
  return pairing == RopePairing::kNorm ? "norm" : "neox";
}

RepeatedTokens find_repeated_tokens(const std::vector<uint32_t>& tokens, uint64_t rows_max) {
  std::unordered_map<uint32_t, size_t> counts;
  for (const uint32_t id : tokens) counts[id]++;
  std::unordered_map<uint32_t, size_t> group_of;
  RepeatedTokens repeated;
  for (uint64_t i = 0; i < tokens.size() && repeated.rows < rows_max; i++) {
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
                               uint64_t width, const RopeQuestion& question) {
  const std::vector<PlacePair> pairs = place_pairs(repeated);
  if (pairs.empty()) return undecided("no token occurs twice");
  std::vector<RopeChoice> choices;
  std::vector<float> turned;
  if (!question.hadamard.value_or(false)) {
    choices = Search(keys, width, pairs, question.precision).choices(false, 0);
  }
  if (question.hadamard.value_or(true)) {
    for (uint64_t block = kValueRotation; block <= width && width % block == 0; block *= 2) {
      turned = keys;
      kernels().hadamard(turned.data(), turned.size() / block, block);
      for (const RopeChoice& choice :
           Search(turned, width, pairs, question.precision).choices(true, block)) {
        choices.push_back(choice);
      }
    }
  }
  std::sort(choices.begin(), choices.end(),
            [](const RopeChoice& a, const RopeChoice& b) { return a.agreement > b.agreement; });
  if (choices.empty() || choices[0].agreement < kAgreementMin) {
    return detect_by_length(repeated, keys, width, question,
                            "no pair of channels turns with the position");
  }
  RopeChoice best = choices[0];
  best.rows_compared = repeated.rows;
  if (choices.size() > 1) best.other_agreement = choices[1].agreement;
  if (best.other_agreement > best.agreement - kAgreementMargin) {
    return detect_by_length(
        repeated, keys, width, question,
        "too few tokens occur twice (" + std::to_string(repeated.rows) + " places)");
  }
  return best;
}

}  // namespace kvcs::kvfile
