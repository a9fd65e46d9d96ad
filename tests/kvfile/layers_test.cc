// Goal: a cache whose layers differ (widths, heads, windows, latents, recurrent states) goes
// through every tool with its right values, and what cannot be done with it is refused with the
// reason. Method: seeded files of each kind, written by the module's writer and decoded part by
// part.
#include <catch2/catch.hpp>

#include "kvfile/format/tiles.h"
#include "kvfile/support.h"
#include "kvfile/tools/compare.h"
#include "kvfile/tools/pack.h"
#include "kvfile/tools/quantize.h"
#include "kvfile/tools/slice.h"
#include "kvfile/tools/stats.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

constexpr uint64_t kTokens = 300;

PartShape part(uint64_t heads, uint64_t tokens, uint64_t head_dim) {
  PartShape shape;
  shape.heads = heads;
  shape.tokens = tokens;
  shape.head_dim = head_dim;
  return shape;
}
LayerShape layer(const PartShape& keys, const PartShape& values,
                 std::vector<IndexRange> positions = {}) {
  return {keys, values, std::move(positions)};
}

// A cache of every kind of layer: keys wider than values, fewer heads, a window of the last 64
// tokens, a window with a gap, latents, a recurrent state, and a layer that keeps nothing.
std::vector<LayerShape> all_kinds() {
  return {layer(part(4, kTokens, 192), part(4, kTokens, 128)),
          layer(part(2, kTokens, 64), part(2, kTokens, 64)),
          layer(part(2, 64, 64), part(2, 64, 64), {{236, 300}}),
          layer(part(1, 68, 64), part(1, 68, 64), {{0, 4}, {236, 300}}),
          layer(part(1, kTokens, 96), {}),
          LayerShape{},
          LayerShape{}};
}

Status write_layers(const std::string& path, const std::vector<LayerShape>& shapes, bool state,
                    Metadata metadata = {}) {
  std::vector<Tensor> tensors = layout_tensors(shapes);
  if (state) {
    tensors.push_back({state_name(5, "conv"), Dtype::kF32, {3, 10}, 0, 0});
    tensors.push_back({state_name(5, "ssm"), Dtype::kU8, {77}, 0, 0});
  }
  set_shape_metadata(metadata, shapes, tensors);
  KvHeader header = KVCS_TRY(make_header(std::move(tensors), std::move(metadata)));
  const auto writer = KVCS_TRY(KvWriter::create(path, std::move(header)));
  for (const Tensor& tensor : writer->header().tensors) {
    Noise noise(std::hash<std::string>()(tensor.name) % 977);
    std::string bytes;
    while (bytes.size() < tensor.size_bytes()) {
      bytes += tensor.dtype == Dtype::kU8 ? std::string(1, static_cast<char>(noise.next()))
                                          : encode_value(tensor.dtype, noise.value());
    }
    KVCS_TRY(writer->write(tensor, 0, bytes.data(), bytes.size()));
  }
  return writer->publish();
}

std::vector<float> values_of(const std::string& path, Part which, uint64_t number) {
  const auto file = KvFile::open(path);
  REQUIRE(file.ok());
  auto reader = TileReader::create(**file);
  REQUIRE(reader.ok());
  const PartShape& shape = (*file)->header().shape(which, number);
  std::vector<float> all;
  for (const Tile& tile : tiles_of(shape, which, number)) {
    std::vector<float> x(tile.rows * shape.head_dim);
    REQUIRE(reader->read(tile, x.data()).ok());
    all.insert(all.end(), x.begin(), x.end());
  }
  return all;
}

std::string tensor_bytes(const std::string& path, const std::string& name) {
  const auto file = KvFile::open(path);
  REQUIRE(file.ok());
  const Tensor* const tensor = (*file)->header().find(name);
  REQUIRE(tensor != nullptr);
  std::string bytes(tensor->size_bytes(), '\0');
  REQUIRE((*file)->read(*tensor, 0, bytes.data(), bytes.size()).ok());
  return bytes;
}

Result<SliceReport> cut(const std::string& from, const std::string& to, IndexRange tokens,
                        IndexRange layers = {}) {
  return slice_file({from, to, {tokens, layers}});
}

void refuses(const Status& status, const std::string& why) {
  INFO(status.message());
  CHECK(status.code() == Code::kInvalid);
  CHECK(status.message().find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("kvfile: layers that differ are read with their own shapes", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_layers(dir.file("a.kv"), all_kinds(), true).ok());
  const auto file = KvFile::open(dir.file("a.kv"));
  REQUIRE(file.ok());
  const KvHeader& header = (*file)->header();
  CHECK_FALSE(header.is_uniform);
  CHECK(header.layers == 7);
  CHECK(header.tokens == kTokens);
  CHECK(header.kv_heads == 0);
  CHECK(header.head_dim == 0);
  CHECK(header.shape(Part::kKeys, 0).head_dim == 192);
  CHECK(header.shape(Part::kValues, 0).head_dim == 128);
  CHECK(header.shapes[3].positions == std::vector<IndexRange>{{0, 4}, {236, 300}});
  CHECK_FALSE(header.shape(Part::kValues, 4).exists());
  CHECK(header.states(5).size() == 2);
  CHECK(*header.metadata_value("kvcs.positions") == "2=236:300;3=0:4,236:300");
  CHECK(*header.metadata_value("kvcs.keys_only") == "4");
  CHECK(*header.metadata_value("kvcs.absent_layers") == "6");
  CHECK(verify({.path = dir.file("a.kv")})->verdict == Verdict::kVerified);

  const auto stats = layer_stats(**file);
  REQUIRE(stats.ok());
  CHECK((*stats)[2].values.values == 2 * 64 * 64);
  CHECK((*stats)[4].values.values == 0);
  CHECK((*stats)[5].keys.values == 0);
}

TEST_CASE("kvfile: layers that differ keep their shapes and states in every scheme",
          "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_layers(dir.file("a.kv"), all_kinds(), true).ok());
  for (const Scheme scheme : {Scheme::kInt8, Scheme::kInt8c, Scheme::kQ8, Scheme::kInt4c,
                              Scheme::kFp8E4m3, Scheme::kFp8E5m2}) {
    for (const bool rotate : {false, true}) {
      if (rotate && scheme != Scheme::kQ8 && scheme != Scheme::kInt4c) continue;
      INFO(scheme_name(scheme) << (rotate ? " hadamard" : ""));
      QuantizeOptions options;
      options.input = dir.file("a.kv");
      options.output = dir.file("q.kv");
      options.scheme = scheme;
      options.rotate_hadamard = rotate;
      options.verify = true;
      options.attention_layers = UINT64_MAX;
      const auto quantized = quantize(options);
      INFO(quantized.status().message());
      REQUIRE(quantized.ok());
      CHECK(quantized->errors->snr_min_db > (scheme == Scheme::kInt4c ? 12 : 20));
      CHECK(quantized->errors->layers[0].attention_error.has_value());
      CHECK_FALSE(quantized->errors->layers[4].attention_error.has_value());
      CHECK(quantized->errors->other_states == 0);
      DequantizeOptions back;
      back.input = dir.file("q.kv");
      back.output = dir.file("d.kv");
      const auto plain = dequantize(back);
      INFO(plain.status().message());
      REQUIRE(plain.ok());
      CHECK(plain->header.shapes[3].positions.size() == 2);
      CHECK(tensor_bytes(dir.file("d.kv"), "state_5_ssm") ==
            tensor_bytes(dir.file("a.kv"), "state_5_ssm"));
      const auto same = compare(**KvFile::open(dir.file("q.kv")), **KvFile::open(dir.file("d.kv")),
                                {.round_to_dtype = true});
      REQUIRE(same.ok());
      CHECK(same->snr_min_db > 60);
    }
  }
}

TEST_CASE("kvfile: a window, a latent and a state are cut only where that makes sense",
          "[unit][kvfile]") {
  TempDir dir;
  const std::vector<LayerShape> kinds = all_kinds();
  REQUIRE(write_layers(dir.file("a.kv"), kinds, true).ok());
  refuses(cut(dir.file("a.kv"), dir.file("x.kv"), {0, 200}).status(), "layer 2 is a window");
  refuses(cut(dir.file("a.kv"), dir.file("x.kv"), {100, 300}).status(), "\"state_5_conv\"");
  CHECK_FALSE(std::filesystem::exists(dir.file("x.kv")));

  // Without the state: from token 250 on each window loses what is before that position.
  const auto tail = cut(dir.file("a.kv"), dir.file("t.kv"), {250, 300}, {0, 5});
  INFO(tail.status().message());
  REQUIRE(tail.ok());
  CHECK(tail->header.tokens == 50);
  CHECK(tail->header.shapes[2].positions == std::vector<IndexRange>{{250, 300}});
  CHECK(*tail->header.metadata_value("kvcs.position_offset") == "250");
  const std::vector<float> whole = values_of(dir.file("a.kv"), Part::kValues, 3);
  const std::vector<float> part_of = values_of(dir.file("t.kv"), Part::kValues, 3);
  REQUIRE(part_of.size() == 50 * 64);
  CHECK(std::equal(part_of.begin(), part_of.end(), whole.end() - 50 * 64));
  refuses(cut(dir.file("t.kv"), dir.file("x.kv"), {0, 20}).status(), "must end at 50");
  // A second cut counts from the same positions.
  const auto again = cut(dir.file("t.kv"), dir.file("u.kv"), {10, 50});
  REQUIRE(again.ok());
  CHECK(again->header.shapes[3].positions == std::vector<IndexRange>{{260, 300}});

  // Layers move with their states, and what is declared of layers moves with them.
  const auto layers = cut(dir.file("a.kv"), dir.file("l.kv"), {}, {4, 7});
  REQUIRE(layers.ok());
  CHECK(*layers->header.metadata_value("kvcs.keys_only") == "0");
  CHECK(*layers->header.metadata_value("kvcs.absent_layers") == "2");
  CHECK(tensor_bytes(dir.file("l.kv"), "state_1_conv") ==
        tensor_bytes(dir.file("a.kv"), "state_5_conv"));
  // A recurrent model alone has no keys that could tell its tokens.
  const auto state = cut(dir.file("a.kv"), dir.file("s.kv"), {}, {5, 6});
  INFO(state.status().message());
  REQUIRE(state.ok());
  CHECK(state->header.tokens == kTokens);
}

TEST_CASE("kvfile: quantised windows are cut where their groups begin", "[unit][kvfile]") {
  TempDir dir;
  const std::vector<LayerShape> shapes = {layer(part(2, 700, 64), part(2, 700, 64)),
                                          layer(part(2, 444, 64), part(2, 444, 64), {{256, 700}})};
  REQUIRE(write_layers(dir.file("a.kv"), shapes, false).ok());
  for (const Scheme scheme : {Scheme::kInt8c, Scheme::kInt4c, Scheme::kQ8}) {
    INFO(scheme_name(scheme));
    QuantizeOptions options;
    options.input = dir.file("a.kv");
    options.output = dir.file("q.kv");
    options.scheme = scheme;
    options.report = false;
    REQUIRE(quantize(options).ok());
    const auto tail = cut(dir.file("q.kv"), dir.file("t.kv"), {512, 700});
    INFO(tail.status().message());
    REQUIRE(tail.ok());
    for (const Part which : {Part::kKeys, Part::kValues}) {
      const std::vector<float> whole = values_of(dir.file("q.kv"), which, 1);
      const std::vector<float> got = values_of(dir.file("t.kv"), which, 1);
      REQUIRE(got.size() == 2 * 188 * 64);
      for (size_t head = 0; head < 2; head++) {
        CHECK(std::equal(got.begin() + static_cast<ptrdiff_t>(head * 188 * 64),
                         got.begin() + static_cast<ptrdiff_t>((head + 1) * 188 * 64),
                         whole.begin() + static_cast<ptrdiff_t>((head * 444 + 256) * 64)));
      }
    }
  }
}

TEST_CASE("kvfile: kvcdn's latents of rank 3 stay as kvcdn writes them", "[unit][kvfile]") {
  TempDir dir;
  PartShape latents = part(1, 12, 64);
  latents.is_latent = true;
  const std::vector<LayerShape> shapes = {layer(latents, part(1, 12, 32)),
                                          layer(latents, part(1, 12, 32))};
  REQUIRE(write_layers(dir.file("a.kv"), shapes, false).ok());
  const auto header = (*KvFile::open(dir.file("a.kv")))->header();
  CHECK(header.find("k_1")->shape == std::vector<uint64_t>{1, 12, 64});
  CHECK(header.tokens == 12);
  CHECK(header.metadata.empty());
  QuantizeOptions options;
  options.input = dir.file("a.kv");
  options.output = dir.file("q.kv");
  options.scheme = Scheme::kInt8;
  REQUIRE(quantize(options).ok());
  CHECK((*KvFile::open(dir.file("q.kv")))->header().find("k_1_q")->shape ==
        std::vector<uint64_t>{1, 12, 64});
  const auto prefix = cut(dir.file("a.kv"), dir.file("p.kv"), {0, 5});
  REQUIRE(prefix.ok());
  CHECK(prefix->header.find("k_0")->shape == std::vector<uint64_t>{1, 5, 64});
  CHECK(prefix->header.find("v_0")->shape == std::vector<uint64_t>{1, 1, 5, 32});
  REQUIRE(pack_file(dir.file("a.kv"), dir.file("a.pk")).ok());
  REQUIRE(unpack_file(dir.file("a.pk"), dir.file("b.kv")).ok());
  CHECK(read_bytes(dir.file("a.kv")) == read_bytes(dir.file("b.kv")));
}

TEST_CASE("kvfile: what layers lack must be declared, and what is declared must be true",
          "[unit][kvfile]") {
  const auto header = [](const std::vector<LayerShape>& shapes, const Metadata& metadata) {
    return make_header(layout_tensors(shapes), metadata).status();
  };
  const LayerShape full = layer(part(2, 8, 16), part(2, 8, 16));
  const LayerShape window = layer(part(2, 4, 16), part(2, 4, 16));
  CHECK(header({full, window}, {{"kvcs.positions", "1=4:8"}}).ok());
  CHECK(header({full, window}, {{"kvcs.positions", "1=0,5:8"}}).ok());
  refuses(header({full, window}, {}), "kvcs.positions does not say which it holds");
  refuses(header({full, window}, {{"kvcs.positions", "1=4:7"}}), "3 positions of layer 1");
  refuses(header({full, window}, {{"kvcs.positions", "1=5:9"}}), "not within those of the file");
  refuses(header({full, window}, {{"kvcs.positions", "1=4:8;1=4:8"}}), "layer 1 twice");
  refuses(header({full, window}, {{"kvcs.positions", "2=4:8"}}), "passes 2");
  refuses(header({full, window}, {{"kvcs.positions", "1=6:8,4:6"}}), "not ascending");
  refuses(header({full, window}, {{"kvcs.positions", "4:8"}}), "LAYERS=POSITIONS");
  // The other way round: the full layer is the one that lacks tokens.
  refuses(header({window, full}, {{"kvcs.positions", "1=0:8"}}), "not within");
  const LayerShape keys = layer(part(2, 8, 16), {});
  CHECK(header({keys}, {{"kvcs.keys_only", "0"}}).ok());
  refuses(header({keys}, {}), "\"v_0\" is missing");
  refuses(header({full}, {{"kvcs.keys_only", "0"}}), "kvcs.keys_only has layer 0");
  CHECK(header({full, {}, full}, {{"kvcs.absent_layers", "1"}}).ok());
  CHECK(header({full, full, {}}, {{"kvcs.absent_layers", "2:4"}}).ok());
  refuses(header({full, {}, full}, {}), "layer 1 is missing");
  refuses(header({full}, {{"kvcs.absent_layers", "0"}}), "which is there");
  refuses(header({full}, {{"kvcs.absent_layers", "1:99999"}}), "passes 16384");
  refuses(header({layer(part(2, 8, 16), part(1, 8, 16))}, {}), "1 heads, the keys have 2");
  refuses(header({layer(part(2, 8, 16), part(2, 4, 16))}, {}), "4 tokens, the keys have 8");
  // Values alone are no layer, a state has a name, and a recurrent model says its tokens.
  refuses(header({layer({}, part(2, 8, 16))}, {}), "has no keys");
  const auto state = [](const std::string& name, const Metadata& metadata) {
    return make_header({{name, Dtype::kF32, {4}, 0, 0}}, metadata).status();
  };
  CHECK(state("state_0_ssm", {{"kvcs.n_tokens", "9"}}).ok());
  refuses(state("state_0_ssm", {}), "0 tokens");
  refuses(state("state_0_", {}), "not a tensor name");
  refuses(state("state_0_SSM", {}), "not a tensor name");
  refuses(state("state_00_ssm", {}), "not a tensor name");
  refuses(state("state_0_aaaaaaaaaaaaaaaaa", {}), "not a tensor name");
  LayerShape mixed = full;
  mixed.values.scheme = Scheme::kInt8c;
  CHECK(header({mixed}, {{"kvcs.scheme", "mixed"}}).ok());
  refuses(header({mixed}, {}), "does not say \"mixed\"");
}
