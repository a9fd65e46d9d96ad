// Writes a .kv file again with other metadata and another sidecar; its data is copied.
#include "kvfile/tools/annotate.h"

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "kvfile/format/publish.h"
#include "kvfile/tools/prefix_chain.h"

namespace kvcs::kvfile {
namespace {

constexpr uint64_t kEventBytesMax = 16 << 20;
constexpr size_t kCopyBytes = 4 << 20;

void change_fact(Metadata& metadata, std::string_view key, const std::string& value,
                 AnnotateReport& report) {
  const auto at = std::find_if(metadata.begin(), metadata.end(),
                               [key](const auto& entry) { return entry.first == key; });
  if (value.empty()) {
    if (at == metadata.end()) return;
    metadata.erase(at);
  } else {
    if (at != metadata.end() && at->second == value) return;
    set_metadata(metadata, key, value);
  }
  report.changed.emplace_back(key);
}

// The given ids must be the cache's. A tensor "tokens" is changed in the data that is copied.
Status change_tokens(const std::vector<uint32_t>& ids, const std::vector<uint32_t>& recorded,
                     KvHeader& header, Sidecar& sidecar, AnnotateReport& report) {
  if (ids.size() != header.tokens) {
    return invalid(std::to_string(ids.size()) + " token ids for a cache of " +
                   std::to_string(header.tokens) + " tokens");
  }
  set_metadata(header.metadata, "kvcs.token_chain", token_chain(ids));
  sidecar.tokens = ids;
  if (ids != recorded) report.changed.emplace_back("token ids");
  return ok();
}

void change_text(const std::string& text, KvHeader& header, Sidecar& sidecar,
                 AnnotateReport& report) {
  const std::string before = sidecar.prompt.value_or("");
  sidecar.prompt = text.empty() ? std::nullopt : std::optional(text);
  // The header's copy stands over the sidecar's, so it must not keep the old text.
  AnnotateReport ignored;
  if (header.metadata_value("kvcs.prompt") != nullptr) {
    change_fact(header.metadata, "kvcs.prompt", text, ignored);
  }
  if (text != before || !ignored.changed.empty()) report.changed.emplace_back("text");
}

// The bytes of every tensor as they are, but for new ids.
Status copy_data(const KvFile& from, const KvHeader& header, const std::vector<uint32_t>& ids,
                 AtomicFile& out) {
  std::vector<char> buffer(kCopyBytes);
  const uint64_t data_bytes = from.size_bytes() - from.header().data_start;
  for (uint64_t at = 0; at < data_bytes;) {
    const auto n = static_cast<size_t>(std::min<uint64_t>(buffer.size(), data_bytes - at));
    KVCS_TRY(from.read(from.header().data_start + at, buffer.data(), n));
    KVCS_TRY(out.write(header.data_start + at, buffer.data(), n));
    out.start_writeback(header.data_start + at, n);
    at += n;
  }
  const Tensor* const tensor = header.find("tokens");
  if (tensor == nullptr || ids.empty()) return ok();
  std::string bytes;
  for (const uint32_t id : ids) append_u32le(bytes, id);
  return out.write(header.data_start + tensor->begin, bytes.data(), bytes.size());
}

// The description of the quantisation, which stays true, is kept beside the file.
Result<std::vector<Companion>> kept_companions(const std::string& input,
                                               const std::string& output) {
  auto event = read_small_file(quant_event_path(input), kEventBytesMax);
  if (event.code() == Code::kNotFound) return std::vector<Companion>();
  return std::vector<Companion>{{quant_event_path(output), KVCS_TRY(std::move(event))}};
}

// A link keeps its name: what it points to is replaced.
Result<std::string> output_of(const AnnotateOptions& options) {
  if (!options.output.empty()) return options.output;
  std::error_code error;
  const auto real = std::filesystem::canonical(options.input, error);
  if (error) return io_error("cannot find", options.input, error.value());
  return real.string();
}

}  // namespace

Status check_prompt(std::string_view text) {
  if (is_valid_utf8(text)) return ok();
  return invalid("the text is not UTF-8, so it cannot be recorded");
}

Result<AnnotateReport> annotate(const AnnotateOptions& options) {
  const auto file = KVCS_TRY(KvFile::open(options.input));
  const auto read = KVCS_TRY(read_sidecar(options.input));
  AnnotateReport report;
  KvHeader header = file->header();
  Sidecar sidecar = read.value_or(describe_header(header));
  for (const auto& [key, value] : options.facts) change_fact(header.metadata, key, value, report);
  if (const auto* const model = header.metadata_value("kvcs.model")) sidecar.model_name = *model;
  if (options.tokens) {
    const auto recorded = KVCS_TRY(recorded_tokens(*file, read));
    KVCS_TRY(change_tokens(*options.tokens, recorded, header, sidecar, report));
  }
  if (options.text) {
    KVCS_TRY(check_prompt(*options.text));
    change_text(*options.text, header, sidecar, report);
  }
  // Read as any file's, so that no fact is written that a reader would refuse.
  const std::string head = dump_header(header);
  const uint64_t data_bytes = file->size_bytes() - header.data_start;
  header = KVCS_TRY(parse_header(std::string_view(head).substr(8), head.size() + data_bytes));
  sidecar.nbytes = header.file_bytes;
  KVCS_TRY(check_sidecar(sidecar, header));

  report.path = KVCS_TRY(output_of(options));
  std::vector<std::string> keep;
  if (!options.output.empty()) keep = {options.input, sidecar_path(options.input)};
  auto out = KVCS_TRY(AtomicFile::create(report.path, keep));
  KVCS_TRY(out->reserve(header.file_bytes));
  KVCS_TRY(out->write(0, head.data(), head.size()));
  KVCS_TRY(copy_data(*file, header, options.tokens.value_or(std::vector<uint32_t>()), *out));
  KVCS_TRY(file->check_unchanged());
  auto companions = KVCS_TRY(kept_companions(options.input, report.path));
  companions.push_back(KVCS_TRY(sidecar_companion(report.path, sidecar)));
  KVCS_TRY(publish_together(*out, companions));
  report.header = std::move(header);
  return report;
}

}  // namespace kvcs::kvfile
