// Opens .kv files: the eight bytes of the length, the header, and then ranges of tensors on demand.
#include "base/bytes.h"
#include "kvfile/format/source_file.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

// The length is checked against file and limit before memory is taken for the header.
Result<std::string> read_header_text(const ReadSource& source, uint64_t file_bytes) {
  char length[8];
  if (file_bytes < sizeof length) return parse_header_size({}, file_bytes).status();
  KVCS_TRY(source(0, length, sizeof length));
  const uint64_t header_bytes = KVCS_TRY(parse_header_size({length, sizeof length}, file_bytes));
  std::string json(header_bytes, '\0');
  KVCS_TRY(source(sizeof length, json.data(), json.size()));
  return json;
}

}  // namespace

Result<KvHeader> read_header(const ReadSource& source, uint64_t file_bytes) {
  const std::string json = KVCS_TRY(read_header_text(source, file_bytes));
  return parse_header(json, file_bytes);
}

Result<KvHeader> read_safetensors(const ReadSource& source, uint64_t file_bytes) {
  const std::string json = KVCS_TRY(read_header_text(source, file_bytes));
  return parse_safetensors(json, file_bytes);
}

KvFile::~KvFile() = default;

Result<std::unique_ptr<KvFile>> KvFile::open(const std::string& path) {
  auto file = from_source(KVCS_TRY(SourceFile::open(path)));
  if (file.code() == Code::kInvalid) return std::move(file).status().with_context(printable(path));
  return file;
}

Result<std::unique_ptr<KvFile>> KvFile::from_source(std::unique_ptr<SourceFile> source) {
  auto file = std::unique_ptr<KvFile>(new KvFile());
  file->source_ = std::move(source);
  const SourceFile& from = *file->source_;
  file->header_ = KVCS_TRY(read_header(
      [&from](uint64_t offset, void* out, size_t n) { return from.read(offset, out, n); },
      from.size_bytes()));
  return file;
}

Result<std::unique_ptr<KvFile>> KvFile::from_bytes(ReadSource source, uint64_t file_bytes) {
  return from_source(SourceFile::of(std::move(source), file_bytes));
}

const std::string& KvFile::path() const {
  return source_->path();
}

Status KvFile::read(uint64_t file_offset, void* out, size_t size_bytes) const {
  return source_->read(file_offset, out, size_bytes);
}

// A range outside of the tensor is an error of the program: offsets were checked with the header.
Status KvFile::read(const Tensor& tensor, uint64_t offset, void* out, size_t size_bytes) const {
  KVCS_ASSERT(offset <= tensor.size_bytes() && size_bytes <= tensor.size_bytes() - offset);
  return read(header_.data_start + tensor.begin + offset, out, size_bytes);
}

Status KvFile::check_unchanged() const {
  return source_->check_unchanged();
}

bool KvFile::is_same_file(const std::string& path) const {
  return source_->is_same_file(path);
}

Result<std::string> read_small_file(const std::string& path, uint64_t bytes_max) {
  const auto file = KVCS_TRY(SourceFile::open(path));
  if (file->size_bytes() > bytes_max) {
    return too_large(printable(path) + ": " + std::to_string(file->size_bytes()) +
                     " bytes; the limit is " + std::to_string(bytes_max));
  }
  std::string text(file->size_bytes(), '\0');
  KVCS_TRY(file->read(0, text.data(), text.size()));
  return text;
}

}  // namespace kvcs::kvfile
