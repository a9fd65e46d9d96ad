// Raw pages of LMCache's and SGLang's stores: values and nothing else, in files named after hashes.
// So a geometry.json in the same folder, written by the user, says what they are: numbers, the
// order of the axes, and the pages in the order of their tokens. Not tried on files of a real
// engine.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/json.h"
#include "kvfile/convert/tensor_cache.h"

namespace kvcs::kvfile {
namespace {

constexpr uint64_t kDescriptionBytesMax = 1 << 20;
constexpr size_t kPagesMax = 4096;  // Each is an open file.
constexpr int64_t kLayersMax = 8192;

constexpr std::string_view kDescription = "geometry.json";

enum Axis : uint8_t { kKv, kLayers, kTokens, kHeads, kChannels };
constexpr std::array<std::string_view, 5> kAxes = {"kv", "layers", "tokens", "heads", "channels"};

// What the engines' stores have unless "axes" says otherwise.
constexpr std::pair<std::string_view, std::array<Axis, 5>> kEngines[] = {
    {"lmcache", {kKv, kLayers, kTokens, kHeads, kChannels}},
    {"sglang", {kKv, kLayers, kTokens, kHeads, kChannels}},
    {"sglang page_first", {kKv, kTokens, kLayers, kHeads, kChannels}}};

struct Description {
  std::string engine;
  Dtype dtype = Dtype::kBf16;
  uint64_t layers = 0, heads = 0, dim = 0, page_tokens = 0;
  std::array<Axis, 5> axes{};
  std::vector<std::string> pages;
};

Status fault(const std::string& why) {
  return invalid(std::string(kDescription) + ": " + why);
}

Result<std::vector<std::string>> read_texts(const Json* array, const std::string& name) {
  std::vector<std::string> texts;
  if (array == nullptr) return texts;
  for (const Json& text : *array) {
    if (!text.is_string()) return fault(name + " holds something else than texts");
    if (texts.size() == kPagesMax) {
      return fault(name + " has more than " + std::to_string(kPagesMax) + " entries");
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

// Each axis once; tokens before the heads and the channels, which are last.
Result<std::array<Axis, 5>> read_axes(const std::vector<std::string>& names) {
  std::array<Axis, 5> axes{};
  std::array<size_t, 5> places{};
  bool complete = names.size() == axes.size();
  std::array<bool, 5> seen{};
  for (size_t i = 0; complete && i < names.size(); i++) {
    const auto axis =
        static_cast<size_t>(std::find(kAxes.begin(), kAxes.end(), names[i]) - kAxes.begin());
    complete = axis < kAxes.size() && !seen[axis];
    if (!complete) break;
    seen[axis] = true;
    places[axis] = i;
    axes[i] = static_cast<Axis>(axis);
  }
  if (!complete) return fault("axes are not kv, layers, tokens, heads, channels in some order");
  if (places[kChannels] != 4 || places[kTokens] > places[kHeads]) {
    return fault("axes: channels must be last, and tokens before heads");
  }
  return axes;
}

Result<Description> read_description(const std::string& folder) {
  const std::string path = folder + "/" + std::string(kDescription);
  auto text = read_small_file(path, kDescriptionBytesMax);
  if (text.code() == Code::kNotFound) {
    return not_found("no " + path + ": pages say nothing of their shape, so it must be written");
  }
  const std::string bytes = KVCS_TRY(std::move(text));
  auto parsed = parse_json(bytes);
  if (!parsed.ok()) return std::move(parsed).status().with_context(std::string(kDescription));
  const Json& json = *parsed;
  if (!json.is_object()) return fault("not an object");
  Description description;
  JsonReader reader(json, std::string(kDescription));
  description.engine = reader.one_of("engine", {"lmcache", "sglang", "sglang page_first"});
  const std::string dtype = reader.one_of("dtype", {"F16", "BF16", "F32"});
  description.layers = static_cast<uint64_t>(reader.integer("layers", 1, kLayersMax));
  description.heads = static_cast<uint64_t>(reader.integer("kv_heads", 1, kRowValuesMax));
  description.dim = static_cast<uint64_t>(reader.integer("head_dim", 1, kRowValuesMax));
  description.page_tokens = static_cast<uint64_t>(reader.integer("page_tokens", 1, kTokensMax));
  const Json* const pages = reader.array("pages");
  const Json* const axes = reader.array("axes");
  KVCS_TRY(reader.finish());
  KVCS_TRY(check_row_values({1, description.heads, 1, description.dim}));
  description.dtype = *parse_dtype(dtype);
  description.pages = KVCS_TRY(read_texts(pages, "pages"));
  if (description.pages.empty()) return fault("pages names no file");
  for (const auto& [engine, order] : kEngines) {
    if (engine == description.engine) description.axes = order;
  }
  if (axes != nullptr) {
    const auto names = KVCS_TRY(read_texts(axes, "axes"));
    description.axes = KVCS_TRY(read_axes(names));
  }
  return description;
}

// How many values one step along an axis is, in a page of so many tokens.
uint64_t stride_of(const Description& description, Axis wanted, uint64_t tokens) {
  uint64_t stride = 1;
  for (size_t i = description.axes.size(); i-- > 0 && description.axes[i] != wanted;) {
    const Axis axis = description.axes[i];
    stride *= axis == kKv       ? 2
              : axis == kLayers ? description.layers
              : axis == kTokens ? tokens
              : axis == kHeads  ? description.heads
                                : description.dim;
  }
  return stride;
}

// The tokens of a page follow from its size; only the last may have fewer than the others.
Status add_page(TensorCache& cache, const Description& description, const std::string& folder,
                const std::string& name, bool is_last) {
  if (name.find('/') != std::string::npos) {
    return fault("pages: '" + printable(name, kShownName) + "' is not in the folder");
  }
  auto file = KVCS_TRY(SourceFile::open(folder + "/" + name));
  const uint64_t width = dtype_bytes(description.dtype);
  const uint64_t token_bytes = 2 * description.layers * description.heads * description.dim * width;
  const uint64_t tokens = file->size_bytes() / token_bytes;
  const uint64_t whole = description.page_tokens * token_bytes;
  if (file->size_bytes() == 0 || file->size_bytes() % token_bytes != 0 ||
      file->size_bytes() > whole || (!is_last && file->size_bytes() < whole)) {
    return invalid(printable(name, kShownName) + " has " + std::to_string(file->size_bytes()) +
                   " bytes; a page of " + std::to_string(description.page_tokens) + " tokens has " +
                   std::to_string(whole) + ", a token " + std::to_string(token_bytes));
  }
  const uint64_t layer_bytes = stride_of(description, kLayers, tokens) * width;
  const uint64_t part_bytes = stride_of(description, kKv, tokens) * width;
  for (uint64_t layer = 0; layer < description.layers; layer++) {
    for (auto* const views : {&cache.keys, &cache.values}) {
      TensorView& view = (*views)[layer];
      const uint64_t part = views == &cache.keys ? 0 : part_bytes;
      view.runs.push_back({cache.sources.size(), part + layer * layer_bytes, tokens});
      view.tokens += tokens;
    }
  }
  cache.sources.push_back(std::move(file));
  return ok();
}

}  // namespace

Result<ImportedTensors> open_page_cache(const std::string& folder) {
  const Description description = KVCS_TRY(read_description(folder));
  auto cache = std::make_unique<TensorCache>();
  cache->facts = {{"kvcs.source_format", description.engine + " pages"},
                  {"kvcs.rope_layout", "half"}};
  TensorView view;
  view.heads = description.heads;
  view.dim = description.dim;
  view.dtype = description.dtype;
  view.head_stride = stride_of(description, kHeads, 0);
  view.token_stride = stride_of(description, kTokens, 0);
  cache->keys.assign(description.layers, view);
  cache->values = cache->keys;
  for (size_t i = 0; i < description.pages.size(); i++) {
    const bool is_last = i + 1 == description.pages.size();
    KVCS_TRY(add_page(*cache, description, folder, description.pages[i], is_last));
  }
  KVCS_TRY(cache->finish());
  const std::string pages = std::to_string(description.pages.size());
  return ImportedTensors{std::move(cache), {pages + " pages as geometry.json says"}};
}

}  // namespace kvcs::kvfile
