// Packs and unpacks artifacts: chunks are compressed by a few threads, a batch at a time, and
// written and hashed in their order. The layout of the file:
//
//   skippable frame 0x184d2a5b   "kvcspk01", u64 original bytes, u64 chunks, 32 bytes of SHA-256;
//                                per chunk u32 raw bytes, u32 stored bytes, u8 width, u8 rotated,
//                                6 zeros
//   per chunk                    a zstd frame for each byte plane, the lowest one first
//   skippable frame 0x184d2a5c   only with a sidecar: "kvcssc01", u64 its bytes, 32 bytes of
//   SHA-256,
//                                the sidecar as a zstd frame
#include "kvfile/tools/pack.h"

// The parameter that chooses Huffman coding is not among the stable ones, so it needs this macro. A
// shared library may lack it; ZSTD_CCtx_setParameter() says so at run time.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <memory>

#include "base/bytes.h"
#include "base/crypto.h"
#include "kvfile/format/parallel.h"
#include "kvfile/format/planes.h"
#include "kvfile/format/publish.h"
#include "kvfile/format/source_file.h"

namespace kvcs::kvfile {
namespace {

constexpr uint32_t kSkippableMagic = 0x184d2a5b;
constexpr std::string_view kMagic = "kvcspk01";
constexpr size_t kFixedBytes = 8 + 8 + 8 + 32;  // magic, original size, chunks, digest
constexpr uint32_t kSidecarFrameMagic = 0x184d2a5c;
constexpr std::string_view kSidecarMagic = "kvcssc01";
constexpr size_t kSidecarFixedBytes = 8 + 8 + 32;  // magic, original size, digest
constexpr int kSidecarLevel = 3;
constexpr size_t kEntryBytes = 16;
constexpr size_t kBatchChunks = 16;
// Negative levels step over input faster the lower they are; at this one no match is ever tried.
// Entropy coding is left, and nothing else makes the bytes of mantissas and exponents smaller.
constexpr int kHuffmanOnlyLevel = -1000;

struct Chunk {
  uint64_t offset = 0;  // In the original.
  uint32_t raw_bytes = 0, stored_bytes = 0;
  PlaneSplit split;
};

// Chunks cover the file from its first byte to its last: the header as it is, and then each run of
// tensors that have one dtype.
std::vector<Chunk> plan_chunks(const KvHeader& header) {
  std::vector<Chunk> chunks;
  const auto add = [&chunks](uint64_t begin, uint64_t end, PlaneSplit split) {
    for (uint64_t at = begin; at < end; at += kPackChunkBytes) {
      chunks.push_back({at, static_cast<uint32_t>(std::min(kPackChunkBytes, end - at)), 0, split});
    }
  };
  add(0, header.data_start, {});
  for (size_t i = 0; i < header.tensors.size();) {
    const Dtype dtype = header.tensors[i].dtype;
    size_t stop = i;
    while (stop < header.tensors.size() && header.tensors[stop].dtype == dtype) stop++;
    // Turning a BF16 or F32 value left by one bit leaves the eight bits of its exponent as one
    // byte, which compresses best. The exponent of F16 has five bits, so turning it gains nothing.
    const PlaneSplit split{static_cast<uint8_t>(dtype_bytes(dtype)),
                           dtype == Dtype::kBf16 || dtype == Dtype::kF32};
    add(header.data_start + header.tensors[i].begin,
        header.data_start + header.tensors[stop - 1].end, split);
    i = stop;
  }
  return chunks;
}

// Its length depends on the number of chunks alone, so it can be written last, in front of the
// frames.
std::string dump_index(const std::vector<Chunk>& chunks, uint64_t original_bytes,
                       const std::string& digest_hex) {
  std::string body(kMagic);
  append_u64le(body, original_bytes);
  append_u64le(body, chunks.size());
  body += from_hex(digest_hex).value_or(std::string(32, '\0'));
  for (const Chunk& chunk : chunks) {
    append_u32le(body, chunk.raw_bytes);
    append_u32le(body, chunk.stored_bytes);
    body += static_cast<char>(chunk.split.width);
    body += chunk.split.rotate ? '\1' : '\0';
    body.append(6, '\0');
  }
  std::string out;
  append_u32le(out, kSkippableMagic);
  append_u32le(out, static_cast<uint32_t>(body.size()));
  return out + body;
}

struct CompressorFree {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct DecompressorFree {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

bool ran_out_of_memory(size_t code) {
  return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation;
}

// Compresses every plane of a chunk as a zstd frame of its own, one behind the other.
Status compress_chunk(ZSTD_CCtx* context, const Chunk& chunk, const std::string& raw,
                      std::string& planes, std::string& out) {
  planes.resize(raw.size());
  split_planes(chunk.split, raw.data(), raw.size(), planes.data());
  const size_t plane_bytes = raw.size() / chunk.split.width;
  out.resize(chunk.split.width * ZSTD_compressBound(plane_bytes));
  size_t at = 0;
  for (size_t plane = 0; plane < chunk.split.width; plane++) {
    const size_t n = ZSTD_compress2(context, out.data() + at, out.size() - at,
                                    planes.data() + plane * plane_bytes, plane_bytes);
    if (ran_out_of_memory(n)) return out_of_memory();
    if (ZSTD_isError(n) != 0) return internal(ZSTD_getErrorName(n));
    at += n;
  }
  out.resize(at);
  return ok();
}

Result<std::unique_ptr<ZSTD_CCtx, CompressorFree>> make_compressor() {
  std::unique_ptr<ZSTD_CCtx, CompressorFree> context(ZSTD_createCCtx());
  if (context == nullptr) return out_of_memory();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kHuffmanOnlyLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  const size_t set = ZSTD_CCtx_setParameter(context.get(), ZSTD_c_literalCompressionMode,
                                            static_cast<int>(ZSTD_lcm_huffman));
  if (ZSTD_isError(set) != 0) return internal("this libzstd has no Huffman-only mode");
  return context;
}

// The bytes of the sidecar, which must agree with the file; empty when the artifact has none.
Result<std::string> checked_sidecar(const KvFile& file) {
  auto bytes = read_small_file(sidecar_path(file.path()), kSidecarBytesMax);
  if (bytes.code() == Code::kNotFound) return std::string();
  KVCS_TRY(bytes.status());
  const Sidecar sidecar = KVCS_TRY(parse_sidecar(*bytes));
  KVCS_TRY(check_sidecar(sidecar, file.header()));
  return bytes;
}

Result<std::string> dump_sidecar_frame(const std::string& sidecar) {
  std::string body(kSidecarMagic);
  append_u64le(body, sidecar.size());
  body += from_hex(sha256_hex(sidecar)).value_or("");
  std::string packed(ZSTD_compressBound(sidecar.size()), '\0');
  const size_t n =
      ZSTD_compress(packed.data(), packed.size(), sidecar.data(), sidecar.size(), kSidecarLevel);
  if (ran_out_of_memory(n)) return out_of_memory();
  if (ZSTD_isError(n) != 0) return internal(ZSTD_getErrorName(n));
  std::string out;
  append_u32le(out, kSidecarFrameMagic);
  append_u32le(out, static_cast<uint32_t>(body.size() + n));
  return out + body + packed.substr(0, n);
}

// --- unpacking ------------------------------------------------------------------------------

// A packed file whose index was read and checked. Every size in it is compared with the file before
// memory is taken for it.
class PackedFile {
 public:
  static Result<std::unique_ptr<PackedFile>> open(const std::string& path) {
    auto file = std::make_unique<PackedFile>();
    file->source_ = KVCS_TRY(SourceFile::open(path));
    KVCS_TRY(file->read_index());
    return file;
  }
  Status read(uint64_t offset, void* out, size_t size_bytes) const {
    return source_->read(offset, out, size_bytes);
  }

  Status check_unchanged() const { return source_->check_unchanged(); }

  uint64_t size_bytes() const { return source_->size_bytes(); }
  uint64_t original_bytes() const { return original_bytes_; }
  uint64_t frames_start() const { return frames_start_; }
  const std::string& digest() const { return digest_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  // Empty when none was packed.
  Result<std::string> read_sidecar() const {
    if (sidecar_start_ == size_bytes()) return std::string();
    const Status damaged = invalid("the sidecar in the packed file is damaged");
    const uint64_t size = size_bytes() - sidecar_start_;
    if (size < 8 + kSidecarFixedBytes || size > 2 * kSidecarBytesMax) return damaged;
    std::string frame(size, '\0');
    KVCS_TRY(read(sidecar_start_, frame.data(), frame.size()));
    const uint64_t original = load_u64le(frame.data() + 16);
    if (load_u32le(frame.data()) != kSidecarFrameMagic ||
        load_u32le(frame.data() + 4) != size - 8 || frame.compare(8, 8, kSidecarMagic) != 0 ||
        original == 0 || original > kSidecarBytesMax) {
      return damaged;
    }
    std::string sidecar(original, '\0');
    const std::string_view packed = std::string_view(frame).substr(8 + kSidecarFixedBytes);
    const size_t n = ZSTD_decompress(sidecar.data(), sidecar.size(), packed.data(), packed.size());
    if (ran_out_of_memory(n)) return out_of_memory();
    if (n != original || sha256_hex(sidecar) != to_hex(frame.substr(24, 32))) return damaged;
    return sidecar;
  }

 private:
  Status read_index() {
    char fixed[8 + kFixedBytes];
    if (size_bytes() < sizeof fixed) return invalid("not a packed .kv file: too short");
    KVCS_TRY(read(0, fixed, sizeof fixed));
    if (load_u32le(fixed) != kSkippableMagic || std::string_view(fixed + 8, 8) != kMagic) {
      return invalid("not a packed .kv file: the magic is missing");
    }
    original_bytes_ = load_u64le(fixed + 16);
    const uint64_t count = load_u64le(fixed + 24);
    digest_ = to_hex({fixed + 32, 32});
    if (count > kPackChunksMax || count > (size_bytes() - sizeof fixed) / kEntryBytes ||
        load_u32le(fixed + 4) != kFixedBytes + count * kEntryBytes) {
      return invalid("the packed file's index does not fit the file");
    }
    std::string entries(count * kEntryBytes, '\0');
    KVCS_TRY(read(sizeof fixed, entries.data(), entries.size()));
    frames_start_ = sizeof fixed + entries.size();
    return parse_entries(entries);
  }
  // The chunks must add up to the original size and to what is stored.
  Status parse_entries(const std::string& entries) {
    uint64_t raw = 0, stored = 0;
    for (size_t at = 0; at < entries.size(); at += kEntryBytes) {
      const char* const entry = entries.data() + at;
      Chunk chunk{raw, load_u32le(entry), load_u32le(entry + 4), {}};
      chunk.split = {static_cast<uint8_t>(entry[8]), entry[9] != 0};
      const uint8_t width = chunk.split.width;
      const bool known = width == 1 || width == 2 || width == 4;
      if (!known || chunk.raw_bytes == 0 || chunk.raw_bytes > kPackChunkBytes ||
          chunk.raw_bytes % width != 0 ||
          chunk.stored_bytes > width * ZSTD_compressBound(kPackChunkBytes)) {
        return invalid("chunk " + std::to_string(at / kEntryBytes) +
                       " of the packed file is out of range");
      }
      raw += chunk.raw_bytes;
      stored += chunk.stored_bytes;
      chunks_.push_back(chunk);
    }
    sidecar_start_ = frames_start_ + stored;
    if (raw != original_bytes_ || sidecar_start_ > size_bytes()) {
      return invalid("the packed file's chunks do not add up to its sizes");
    }
    return ok();
  }

  std::unique_ptr<SourceFile> source_;
  std::string digest_;
  uint64_t original_bytes_ = 0, frames_start_ = 0, sidecar_start_ = 0;
  std::vector<Chunk> chunks_;
};

// zstd decodes frames that follow one another as one text, which gives all planes at once.
Status decompress_chunk(ZSTD_DCtx* context, const Chunk& chunk, const std::string& stored,
                        std::string& planes, std::string& out) {
  planes.resize(chunk.raw_bytes);
  const size_t n =
      ZSTD_decompressDCtx(context, planes.data(), planes.size(), stored.data(), stored.size());
  if (ran_out_of_memory(n)) return out_of_memory();
  if (ZSTD_isError(n) != 0 || n != chunk.raw_bytes) {
    return invalid("a chunk of the packed file is damaged");
  }
  out.resize(chunk.raw_bytes);
  join_planes(chunk.split, planes.data(), planes.size(), out.data());
  return ok();
}

}  // namespace

Result<PackReport> pack_file(const std::string& input, const std::string& output) {
  const auto file = KVCS_TRY(KvFile::open(input));
  const auto out = KVCS_TRY(AtomicFile::create(output, {input, sidecar_path(input)}));
  const std::string sidecar = KVCS_TRY(checked_sidecar(*file));
  std::vector<Chunk> chunks = plan_chunks(file->header());
  if (chunks.size() > kPackChunksMax) return too_large("the file has too many chunks to pack");
  Sha256 hash;
  uint64_t at = dump_index(chunks, 0, std::string(64, '0')).size();
  std::vector<std::string> raw(kBatchChunks), packed(kBatchChunks);
  for (size_t first = 0; first < chunks.size(); first += kBatchChunks) {
    const size_t count = std::min(kBatchChunks, chunks.size() - first);
    Status ran = run_parallel(count, [&](TakeJob& take) -> Status {
      const auto context = KVCS_TRY(make_compressor());
      std::string planes;
      for (size_t i = 0; take(i);) {
        const Chunk& chunk = chunks[first + i];
        raw[i].resize(chunk.raw_bytes);
        KVCS_TRY(file->read(chunk.offset, raw[i].data(), raw[i].size()));
        KVCS_TRY(compress_chunk(context.get(), chunk, raw[i], planes, packed[i]));
      }
      return ok();
    });
    KVCS_TRY(std::move(ran));
    for (size_t i = 0; i < count; i++) {
      hash.update(raw[i].data(), raw[i].size());
      KVCS_TRY(out->write(at, packed[i].data(), packed[i].size()));
      at += packed[i].size();
      chunks[first + i].stored_bytes = static_cast<uint32_t>(packed[i].size());
    }
  }
  PackReport report{file->size_bytes(), at, chunks.size(), hash.finish_hex(), sidecar.size()};
  if (!sidecar.empty()) {
    const std::string frame = KVCS_TRY(dump_sidecar_frame(sidecar));
    KVCS_TRY(out->write(at, frame.data(), frame.size()));
    report.packed_bytes += frame.size();
  }
  const std::string index = dump_index(chunks, report.original_bytes, report.sha256);
  KVCS_TRY(out->write(0, index.data(), index.size()));
  KVCS_TRY(file->check_unchanged());
  KVCS_TRY(out->publish());
  return report;
}

Result<PackReport> unpack_file(const std::string& input, const std::string& output) {
  const auto file = KVCS_TRY(PackedFile::open(input));
  const auto out = KVCS_TRY(AtomicFile::create(output, {input}));
  std::vector<Companion> companions;
  if (std::string sidecar = KVCS_TRY(file->read_sidecar()); !sidecar.empty()) {
    companions.push_back({sidecar_path(output), std::move(sidecar)});
  }
  const std::vector<Chunk>& chunks = file->chunks();
  Sha256 hash;
  uint64_t at = file->frames_start(), written = 0;
  std::vector<std::string> stored(kBatchChunks), raw(kBatchChunks);
  for (size_t first = 0; first < chunks.size(); first += kBatchChunks) {
    const size_t count = std::min(kBatchChunks, chunks.size() - first);
    for (size_t i = 0; i < count; i++) {
      stored[i].resize(chunks[first + i].stored_bytes);
      KVCS_TRY(file->read(at, stored[i].data(), stored[i].size()));
      at += stored[i].size();
    }
    Status ran = run_parallel(count, [&](TakeJob& take) -> Status {
      const std::unique_ptr<ZSTD_DCtx, DecompressorFree> context(ZSTD_createDCtx());
      if (context == nullptr) return out_of_memory();
      std::string planes;
      for (size_t i = 0; take(i);) {
        KVCS_TRY(decompress_chunk(context.get(), chunks[first + i], stored[i], planes, raw[i]));
      }
      return ok();
    });
    KVCS_TRY(std::move(ran));
    for (size_t i = 0; i < count; i++) {
      hash.update(raw[i].data(), raw[i].size());
      KVCS_TRY(out->write(written, raw[i].data(), raw[i].size()));
      written += raw[i].size();
    }
  }
  PackReport report{file->original_bytes(), file->size_bytes(), chunks.size(), hash.finish_hex(),
                    companions.empty() ? 0 : companions[0].bytes.size()};
  if (report.sha256 != file->digest()) {
    return invalid("the unpacked bytes have the SHA-256 " + report.sha256 + ", the pack records " +
                   file->digest());
  }
  KVCS_TRY(file->check_unchanged());
  KVCS_TRY(publish_together(*out, companions));
  return report;
}

}  // namespace kvcs::kvfile
