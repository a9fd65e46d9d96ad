// Goal: sidecars and the index of a folder are read as they were written, member by member. Method:
// every member has a value of its own; what is optional is there and is not.
#include "kvfile/kvfile.h"
#include "kvfile/tools/search.h"
#include "support/members.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using namespace kvcs::test;

namespace {

Members members_of(const Sidecar& sidecar) {
  const auto& [model_name, num_layers, num_tokens, dtype, storage_dtype, nbytes, quantized, prompt,
               tokens] = sidecar;
  return name_members(
      "model_name num_layers num_tokens dtype storage_dtype nbytes quantized prompt tokens",
      model_name, num_layers, num_tokens, dtype, storage_dtype, nbytes, quantized, prompt, tokens);
}

Members members_of(const IndexedFile& file) {
  const auto& [name, stamp, model, tokenizer, scheme, dtype, root, tokens, prompt] = file;
  const auto& [size_bytes, sidecar_bytes, changed_ns, sidecar_changed_ns] = stamp;
  return name_members(
      "name size_bytes sidecar_bytes changed_ns sidecar_changed_ns model tokenizer scheme dtype "
      "root tokens prompt",
      name, size_bytes, sidecar_bytes, changed_ns, sidecar_changed_ns, model, tokenizer, scheme,
      dtype, std::string(reinterpret_cast<const char*>(root.data()), root.size()), tokens, prompt);
}

IndexedFile full_file(int number) {
  const std::string suffix = std::to_string(number);
  IndexedFile file{.name = "sub/" + suffix + ".kv",
                   .stamp = {101, 102, 103, 104},
                   .model = "model" + suffix,
                   .tokenizer = "tokenizer" + suffix,
                   .scheme = "scheme" + suffix,
                   .dtype = "dtype" + suffix,
                   .root = {},
                   .tokens = {7, 0xffff'ffff, 9},
                   .prompt = "prompt \"quoted\"\n" + suffix};
  file.root.fill(static_cast<unsigned char>(0xa0 + number));
  return file;
}

}  // namespace

TEST_CASE("records: a sidecar is read as it was written, member by member",
          "[unit][kvfile][records]") {
  for (const bool quantized : {false, true}) {
    const Sidecar written{.model_name = "model \"quoted\"",
                          .num_layers = 101,
                          .num_tokens = 102,
                          .dtype = "F16",
                          .storage_dtype = "U8",
                          .nbytes = 103,
                          .quantized = quantized,
                          .prompt = "prompt\n",
                          .tokens = std::vector<uint32_t>{1, 0xffff'ffff}};
    const Result<Sidecar> read = parse_sidecar(dump_sidecar(written));
    INFO(read.status().to_string());
    REQUIRE(read.ok());
    check_same(members_of(written), members_of(*read), members_of(Sidecar{}));
  }
  // Without what is optional.
  Sidecar bare{.model_name = "m", .num_layers = 1, .num_tokens = 2, .dtype = "F16", .nbytes = 3};
  CHECK(members_of(parse_sidecar(dump_sidecar(bare)).value()) == members_of(bare));
}

TEST_CASE("records: a folder's index is read as it was written, member by member",
          "[unit][kvfile][records]") {
  const std::vector<IndexedFile> written = {full_file(1), full_file(2)};
  const std::vector<IndexedFile> read = parse_folder_index(dump_folder_index(written));
  REQUIRE(read.size() == written.size());
  for (size_t i = 0; i < read.size(); i++) {
    check_same(members_of(written[i]), members_of(read[i]), members_of(IndexedFile{}));
  }
}
