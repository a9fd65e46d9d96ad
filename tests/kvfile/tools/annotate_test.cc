// Goal: what a file records can be added and corrected without touching its values, and nothing is
// written that a reader would refuse. Method: small files, annotated in place and to another name,
// compared with what they were; the commands that use what was recorded are run.
#include "kvfile/tools/annotate.h"

#include <catch2/catch.hpp>

#include "cli/cli_desk.h"
#include "kvfile/format/publish.h"
#include "kvfile/support.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using namespace kvcs::test;

namespace {

std::string data_of(const std::string& path) {
  return read_bytes(path).substr((*KvFile::open(path))->header().data_start);
}

}  // namespace

TEST_CASE("annotate: text, ids and facts are recorded, and the values stay", "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.file("a.kv");
  REQUIRE(write_sample(path, Dtype::kF16, {2, 2, 3, 64}).ok());
  const std::string values = data_of(path);
  AnnotateOptions options;
  options.input = path;
  options.tokens = {{5, 6, 7}};
  options.text = "a text\n";
  options.facts = {{"kvcs.model", "m"}, {"kvcs.rope_base", "10000"}};
  const auto report = annotate(options);
  INFO(report.status().message());
  REQUIRE(report.ok());
  CHECK(report->changed ==
        std::vector<std::string>{"kvcs.model", "kvcs.rope_base", "token ids", "text"});
  CHECK(data_of(path) == values);
  const auto sidecar = *read_sidecar(path);
  CHECK(sidecar->tokens == options.tokens);
  CHECK(sidecar->prompt == options.text);
  CHECK(sidecar->model_name == "m");
  CHECK(verify({.path = path, .context_text = "a text\n", .tokens = options.tokens})->verdict ==
        Verdict::kVerified);
  CHECK(annotate(options)->changed.empty());
  // Other ids have another chain.
  AnnotateOptions corrected;
  corrected.input = path;
  corrected.tokens = {{5, 6, 8}};
  CHECK(annotate(corrected)->changed == std::vector<std::string>{"token ids"});
  CHECK(verify({.path = path, .tokens = corrected.tokens})->verdict == Verdict::kVerified);
  REQUIRE(annotate(options).ok());

  // A fact and the text are taken out again, elsewhere; the file itself keeps them.
  AnnotateOptions other;
  other.input = path;
  other.output = dir.file("b.kv");
  other.facts = {{"kvcs.rope_base", ""}, {"kvcs.model", "n"}};
  other.text = "";
  REQUIRE(annotate(other).ok());
  CHECK((*KvFile::open(path))->header().metadata_value("kvcs.rope_base") != nullptr);
  CHECK((*KvFile::open(other.output))->header().metadata_value("kvcs.rope_base") == nullptr);
  CHECK_FALSE((*read_sidecar(other.output))->prompt);
  CHECK((*read_sidecar(other.output))->model_name == "n");
  CHECK((*read_sidecar(other.output))->tokens == options.tokens);
  CHECK(data_of(other.output) == values);
}

TEST_CASE("annotate: ids in a tensor are replaced, and a link keeps its name", "[unit][kvfile]") {
  TempDir dir;
  const Geometry size{1, 1, 3, 8};
  auto tensors = layout_tensors(Scheme::kPlain, Dtype::kF16, size);
  tensors.push_back({"tokens", Dtype::kU32, {3}, 0, 0});
  auto writer = KvWriter::create(dir.file("a.kv"), *make_header(tensors, {}));
  REQUIRE(writer.ok());
  for (const Tensor& tensor : (*writer)->header().tensors) {
    const std::string bytes(tensor.size_bytes(), '\1');
    REQUIRE((*writer)->write(tensor, 0, bytes.data(), bytes.size()).ok());
  }
  REQUIRE((*writer)->publish().ok());
  write_bytes(quant_event_path(dir.file("a.kv")), "{}");
  std::filesystem::create_symlink("a.kv", dir.file("link.kv"));
  AnnotateOptions options;
  options.input = dir.file("link.kv");
  options.tokens = {{1, 2, 3}};
  const auto report = annotate(options);
  INFO(report.status().message());
  REQUIRE(report.ok());
  CHECK(std::filesystem::is_symlink(dir.file("link.kv")));
  const auto file = KvFile::open(dir.file("a.kv"));
  CHECK(*recorded_tokens(**file, std::nullopt) == *options.tokens);
  CHECK(verify({.path = dir.file("a.kv"), .tokens = options.tokens})->verdict ==
        Verdict::kVerified);
}

TEST_CASE("annotate: what would contradict the file is refused, and nothing changes",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.file("a.kv");
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 3, 8}).ok());
  const std::string before = read_bytes(path);
  const auto refuses = [&](AnnotateOptions options, const std::string& why) {
    options.input = path;
    const auto report = annotate(options);
    REQUIRE(report.code() == Code::kInvalid);
    INFO(report.status().message());
    CHECK(report.status().message().find(why) != std::string::npos);
  };
  refuses({.tokens = {{1, 2}}}, "2 token ids for a cache of 3 tokens");
  refuses({.text = "\xff"}, "not UTF-8");
  refuses({.facts = {{"kvcs.n_tokens", "9"}}}, "kvcs.n_tokens");
  CHECK(read_bytes(path) == before);
  CHECK(count_files(dir.path()) == 1);
  AnnotateOptions same;
  same.input = same.output = path;
  CHECK(annotate(same).code() == Code::kConflict);
}

TEST_CASE("cli: annotate makes a file known to verify and search", "[unit][cli][kvfile]") {
  CliDesk desk;
  const std::string path = desk.folder.file("a.kv");
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 3, 8}).ok());
  const std::string text = desk.write("t.txt", "it begins like this");
  CHECK(desk.run({"verify", path, "--context-file", text}) == 4);
  CHECK(desk.run({"annotate", path}) == 2);
  CHECK(desk.run({"annotate", path, "--rope-base", "0"}) == 2);
  CHECK(desk.run({"annotate", path, "--text-file", text, "--model", "m"}) == 0);
  CHECK(desk.out == path + ": kvcs.model, text\n");
  CHECK(desk.run({"verify", path, "--context-file", text}) == 0);
  CHECK(desk.run({"search", desk.folder.path(), "--text", text, "--json"}) == 0);
  CHECK(desk.out.find("a.kv") != std::string::npos);
  CHECK(desk.run({"annotate", path, "--tokens", "-", "--json"}) == 1);
  const Stdin piped("7 8 9");
  CHECK(desk.run({"annotate", path, "--tokens", "-", "--json"}) == 0);
  CHECK((*read_sidecar(path))->tokens == std::vector<uint32_t>{7, 8, 9});
}
