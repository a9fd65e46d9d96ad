// Headers and plans of slices: found, or made once and kept. A plan is what a HEAD costs, and some
// milliseconds for a file of thousands of tensors.
#include "artifacts/slice_cache.h"

#include "base/bytes.h"
#include "base/counted.h"
#include "base/crypto.h"

namespace kvcs {
namespace {

// Changes with the stored bytes, with what is taken of them, and with how a slice is laid out.
std::string slice_tag(const std::string& sha256, const kvfile::SlicePlan& plan) {
  std::string text = "kvcs-slice-v1\n" + sha256 + "\n";
  append_u64le(text, plan.pieces.empty() ? 0 : plan.pieces.front().source_offset);
  return sha256_hex(text + plan.header_bytes);
}

std::string key_of(const std::string& sha256, const kvfile::SliceSpec& spec) {
  std::string key = sha256;
  for (const kvfile::IndexRange& range : {spec.tokens, spec.layers}) {
    append_u64le(key, range.begin);
    append_u64le(key, range.end);
  }
  return key;
}

Status no_kv_file(const Status& why) {
  return invalid("Only .kv artifacts have tokens and layers to choose from; this one is none: " +
                 why.message() + ".")
      .with_reason("not_a_kv_file");
}

// The bytes of the stored file's header, from its first eight.
Result<uint64_t> header_size(const BlobReader& reader) {
  char first[8];
  const size_t n = KVCS_TRY(reader.read(0, first, sizeof first));
  auto size_bytes = kvfile::parse_header_size({first, n}, reader.size_bytes());
  if (size_bytes.code() == Code::kInvalid) return no_kv_file(size_bytes.status());
  return size_bytes;
}

}  // namespace

kvfile::ReadSource blob_source(const BlobReader& reader) {
  return [&reader](uint64_t offset, void* out, size_t size_bytes) -> Status {
    const size_t n = KVCS_TRY(reader.read(offset, static_cast<char*>(out), size_bytes));
    return n == size_bytes ? ok() : internal("A blob is shorter than its row says.");
  };
}

Result<std::shared_ptr<const SliceCache::ParsedHeader>> SliceCache::header_of(
    const std::string& sha256, const BlobReader& reader, const Charge& charge) {
  if (auto found = headers_.find(sha256)) {
    KVCS_TRY(charge(found->size_bytes));
    return found;
  }
  const uint64_t size_bytes = KVCS_TRY(header_size(reader));
  if (size_bytes > kSliceHeaderMaxBytes) {
    return invalid("The header of this artifact has " + format_exact_bytes(size_bytes) +
                   "; slices are made of files with up to " +
                   format_exact_bytes(kSliceHeaderMaxBytes) +
                   ". Download it whole, and cut it with kvcs slice.")
        .with_reason("slice_header_too_large");
  }
  KVCS_TRY(charge(2 * size_bytes));  // It is parsed too.
  auto parsed = kvfile::read_header(blob_source(reader), reader.size_bytes());
  if (parsed.code() == Code::kInvalid) return no_kv_file(parsed.status());
  KVCS_TRY(parsed.status());
  auto header =
      std::make_shared<const ParsedHeader>(ParsedHeader{std::move(parsed).value(), size_bytes});
  headers_.keep(sha256, header, size_bytes);
  return header;
}

Result<SliceCache::File> SliceCache::get(const std::string& sha256, const BlobReader& reader,
                                         const kvfile::SliceSpec& spec, const Charge& charge) {
  const std::string key = key_of(sha256, spec);
  if (File found = files_.find(key)) return found;
  const auto header = KVCS_TRY(header_of(sha256, reader, charge));
  auto file = std::make_shared<SlicedFile>();
  file->plan = KVCS_TRY(kvfile::plan_slice(header->header, spec));
  file->plan.header = {};
  file->plan.pieces.shrink_to_fit();
  file->tag = slice_tag(sha256, file->plan);
  // What it is made of counts too: a short header may name a million heads.
  const uint64_t size_bytes = file->memory_bytes();
  if (size_bytes > 2 * header->size_bytes) KVCS_TRY(charge(size_bytes));
  files_.keep(key, file, size_bytes);
  return File(std::move(file));
}

}  // namespace kvcs
