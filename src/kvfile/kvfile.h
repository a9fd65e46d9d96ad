// A .kv file: the keys and values that a language model cached for a text, as safetensors with
// fixed tensor names, beside a JSON sidecar `<file>.json`. This is the face of the module: the
// strict header, a reader, a writer, the sidecar. What is done with files has its own headers:
// verify.h, slice.h, quantize.h, compare.h, pack.h.
//
// Container (github.com/huggingface/safetensors): u64 LE length N, N bytes of JSON, tensor data.
// Each layer i has keys k_i and values v_i of shape [1, kv_heads, tokens, head_dim]. A quantised
// layer has instead, with x in {k, v}:
//
//   scheme     codes x_i_q              scales x_i_s                         more
//   int8       U8  [1,H,T,D]            F32 [] (one per tensor, max |x|)
//   int8c      I8  [1,H,T,D]            k: BF16 [1,H,ceil(T/256),D] v: BF16 [1,H,T,1]
//   q8_0       I8  [1,H,T,D]            F16 [1,H,T,D/32]
//   int4c      U8  [1,H,Tq,D/2]         k: BF16 [1,H,groups,D]      x_i_z: minima, as x_i_s
//              (even channel in the low v: BF16 [1,H,Tq,ceil(D/64)] x_i_f: [1,H,T-Tq,D]
//              F16|BF16|F32, nibble)                  groups of 64 positions          tokens kept
//              as they were
//   fp8_e4m3   none: x_i itself is F8_E4M3, fp8_e5m2: F8_E5M2
//
// A U32 tensor `tokens` [T] may hold the token ids. Facts about the cache are strings under
// "kvcs.…" in __metadata__ (web/docs/formats.md). Layout of int4c: the first kept_first and the
// last kept_last tokens stand in x_i_f, the T-Tq others in x_i_q; token t belongs to group t/64.
//
// Most caches are uniform: every layer has keys and values of one shape. Others are described layer
// by layer (LayerShape): heads and widths may differ, a window holds some of the tokens, latent
// attention has no values or keys of rank 3, and a recurrent layer has tensors state_i_NAME that
// are carried along as they are.
//
// Thread-safety: values are plain data; KvFile may be read by many threads, KvWriter written by
// many threads to different ranges.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kHeaderBytesMax = 16 << 20;
inline constexpr size_t kTensorsMax = 16'384;
inline constexpr uint64_t kTokensMax = 1 << 24;  // And the most heads or channels.
inline constexpr uint64_t kSidecarBytesMax = 64 << 20;
inline constexpr uint64_t kTileTokens = 256;  // int8c: keys share scales over so many tokens.
inline constexpr uint64_t kInt4Group = 64;    // int4c: tokens (keys) or channels (values).
inline constexpr uint64_t kQ8Block = 32;      // q8_0: channels that share a scale.

enum class Dtype : uint8_t { kF32, kU32, kBf16, kF16, kF8E4m3, kF8E5m2, kI8, kU8 };
std::string_view dtype_name(Dtype dtype);  // As in the container: "BF16", "F8_E4M3".
std::optional<Dtype> parse_dtype(std::string_view name);
size_t dtype_bytes(Dtype dtype);
bool is_float16_or_32(Dtype dtype);  // F16, BF16, F32: what can be quantised.

// kMixed: of a file whose keys, values or layers are kept in different ones; never of a part.
enum class Scheme : uint8_t { kPlain, kInt8, kInt8c, kQ8, kInt4c, kFp8E4m3, kFp8E5m2, kMixed };
std::string_view scheme_name(Scheme scheme);  // "plain", "int8c", "q8_0", …
std::optional<Scheme> parse_scheme(std::string_view name);

enum class Part : uint8_t { kKeys, kValues };

struct IndexRange {
  uint64_t begin = 0, end = UINT64_MAX;  // [begin, end)
  bool operator==(const IndexRange&) const = default;
};

// One layer's keys or values: how large they are, and how they are kept.
struct PartShape {
  uint64_t heads = 0, tokens = 0, head_dim = 0;  // No heads: the layer has no such part.
  uint64_t kept_first = 0, kept_last = 0;        // int4c
  Scheme scheme = Scheme::kPlain;
  Dtype dtype = Dtype::kF16;  // Of the values once dequantised; plain: as they are stored.
  uint64_t rotation = 0;      // Channels of each Hadamard transform; 0: none.
  bool is_latent = false;     // Keys of rank 3, [1, tokens, head_dim], as kvcdn keeps latents.
  uint64_t paired = 0;        // Keys: the first channels whose codes are neighbouring rotary pairs.

  bool exists() const { return heads > 0; }
  // Codes with scales. fp8 is not: its tensors are plain ones of a narrow dtype.
  bool quantized() const { return scheme >= Scheme::kInt8 && scheme <= Scheme::kInt4c; }
  // Whether codes are of transformed channels.
  bool rotates() const {
    return rotation > 0 &&
           (scheme == Scheme::kInt8c || scheme == Scheme::kQ8 || scheme == Scheme::kInt4c);
  }
  uint64_t values() const { return heads * tokens * head_dim; }
  bool is_same_size(const PartShape& other) const {
    return heads == other.heads && tokens == other.tokens && head_dim == other.head_dim;
  }
};

struct LayerShape {
  PartShape keys, values;
  // The absolute positions of its tokens, ascending, when it holds only some: a window. Empty: it
  // holds every token of the file.
  std::vector<IndexRange> positions = {};

  const PartShape& part(Part which) const { return which == Part::kKeys ? keys : values; }
  PartShape& part(Part which) { return which == Part::kKeys ? keys : values; }
};

struct Tensor {
  std::string name;
  Dtype dtype = Dtype::kF16;
  std::vector<uint64_t> shape;
  uint64_t begin = 0, end = 0;  // From the start of the data.
  // parse_safetensors() alone: the name of a dtype that no .kv has, as "I64"; `dtype` is U8 then.
  std::string foreign_dtype = {};
  uint64_t size_bytes() const { return end - begin; }
};

// Keys and values in file order; keys are unique.
using Metadata = std::vector<std::pair<std::string, std::string>>;

std::string tensor_name(Part part, uint64_t layer, std::string_view suffix = "");  // "k_0_q"
// Ranges of numbers as text, ascending and apart: "3", "0:4", "0:4,236:300". Each ends at
// `end_max` at most; `what` names it in messages.
Result<std::vector<IndexRange>> parse_ranges(std::string_view text, uint64_t end_max,
                                             std::string_view what);
std::string dump_ranges(const std::vector<IndexRange>& ranges);
uint64_t count_in(const std::vector<IndexRange>& ranges);

struct KvHeader {
  std::vector<Tensor> tensors;  // By offset; they cover the data exactly.
  Metadata metadata;
  Scheme scheme = Scheme::kPlain;
  Dtype storage_dtype = Dtype::kF16;  // Of k_0 or k_0_q.
  Dtype dtype = Dtype::kF16;          // Of the values once dequantised; plain: storage_dtype.
  // `kv_heads` and `head_dim` are those of every part that there is; 0 when these differ. `tokens`
  // are those of the text; a window holds fewer.
  uint64_t layers = 0, kv_heads = 0, tokens = 0, head_dim = 0;
  uint64_t kept_first = 0, kept_last = 0;  // int4c, of a uniform file.
  std::vector<LayerShape> shapes;          // Of each layer.
  uint64_t data_start = 0;                 // 8 + N
  uint64_t file_bytes = 0;
  // Every layer has keys and values of one shape, of every token and in one scheme, and there is
  // nothing else but token ids. The numbers above say all of it.
  bool is_uniform = true;

  bool quantized() const;  // Whether any part is.
  const PartShape& shape(Part part, uint64_t layer) const { return shapes[layer].part(part); }
  uint64_t values() const;  // Of all parts.
  // The tensors state_i_NAME of a recurrent layer, by name.
  std::vector<const Tensor*> states(uint64_t layer) const;
  bool has_states() const;
  const Tensor* find(std::string_view name) const;
  // The tensor of a layer: suffix "" (plain, fp8), "_q", "_s", "_z", "_f". Precondition: exists.
  const Tensor& get(Part part, uint64_t layer, std::string_view suffix = "") const;
  const std::string* metadata_value(std::string_view key) const;

  void index_tensors();  // After `tensors` changed; find() and get() need it.

 private:
  std::map<std::string, size_t, std::less<>> by_name_;
};

// The number of header bytes that follow the first eight; Invalid when the length is a lie.
Result<uint64_t> parse_header_size(std::string_view first_8_bytes, uint64_t file_bytes);
// Strict: a header that is not exactly of this form is Invalid, with one line that says why. Takes
// time linear in the header, never reads tensor data, and never allocates by a number that the file
// claims.
Result<KvHeader> parse_header(std::string_view json, uint64_t file_bytes);
// As strict, but tensors may have any name, up to eight dimensions and any dtype of safetensors:
// only tensors, metadata and sizes are filled in.
Result<KvHeader> parse_safetensors(std::string_view json, uint64_t file_bytes);
// Orders the tensors as the safetensors library does (wide types first, then by name), assigns
// their offsets and checks the result as parse_header does. Only name, dtype and shape are read.
Result<KvHeader> make_header(std::vector<Tensor> tensors, Metadata metadata);
// The bytes before the data: length, JSON, spaces up to a multiple of eight.
std::string dump_header(const KvHeader& header);

void set_metadata(Metadata& metadata, std::string_view key, std::string value);

// Reads exactly `size_bytes` of a file that lies somewhere; a short read is a failure.
using ReadSource = std::function<Status(uint64_t offset, void* out, size_t size_bytes)>;
// The header of a file of `file_bytes`, and nothing else of it.
Result<KvHeader> read_header(const ReadSource& source, uint64_t file_bytes);
Result<KvHeader> read_safetensors(const ReadSource& source, uint64_t file_bytes);

class SourceFile;  // source_file.h

// An open .kv file with its header parsed; nothing else is read until asked for.
class KvFile final {
 public:
  // NotFound; Invalid, naming the file, when its header is refused.
  static Result<std::unique_ptr<KvFile>> open(const std::string& path);
  // The same for a file that is open already; a refusal of its header does not name the file.
  static Result<std::unique_ptr<KvFile>> from_source(std::unique_ptr<SourceFile> source);
  // The same for bytes that never change, wherever they lie; `source` outlives the file.
  static Result<std::unique_ptr<KvFile>> from_bytes(ReadSource source, uint64_t file_bytes);
  ~KvFile();
  KvFile(const KvFile&) = delete;
  KvFile& operator=(const KvFile&) = delete;

  const KvHeader& header() const { return header_; }
  const SourceFile& source() const { return *source_; }
  const std::string& path() const;
  uint64_t size_bytes() const { return header_.file_bytes; }
  // Reads exactly `size_bytes`; a short read means that the file was cut: Invalid.
  Status read(uint64_t file_offset, void* out, size_t size_bytes) const;
  Status read(const Tensor& tensor, uint64_t offset, void* out, size_t size_bytes) const;
  // Conflict when size, times or content may have changed since open(). Call it after the last
  // read and before a result is published.
  Status check_unchanged() const;
  bool is_same_file(const std::string& path) const;  // By device and inode.

 private:
  KvFile() = default;
  std::unique_ptr<SourceFile> source_;
  KvHeader header_;
};

// A file that appears under its name complete or not at all. It is written as a file without a name
// (O_TMPFILE), synced, and then linked to its name, so a process that is killed leaves nothing
// behind. A file system without such files gets one with another name in the same folder, which is
// renamed; a process that is killed leaves that one.
class AtomicFile final {
 public:
  // `keep` names files that must never be replaced (the inputs); Conflict when `path` is one.
  static Result<std::unique_ptr<AtomicFile>> create(const std::string& path,
                                                    const std::vector<std::string>& keep = {});
  ~AtomicFile();  // Removes what was not published.
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  // Opens what was written so far, in this process, until it is published.
  std::string open_path() const;
  Status write(uint64_t offset, const void* data, size_t size_bytes);
  Status read(uint64_t offset, void* out, size_t size_bytes) const;  // What was written.
  Status reserve(uint64_t size_bytes);  // Finds a full disk before the work is done.
  // Asks the kernel to start writing a finished range back, so that sync() has less to wait for.
  void start_writeback(uint64_t offset, uint64_t size_bytes);
  Status sync();
  Status publish();  // sync(), rename, sync of the folder.

 private:
  AtomicFile() = default;
  std::string path_, temp_path_;  // The latter is empty as long as the file has no name.
  int fd_ = -1;
  bool published_ = false;
};
Status write_file_atomically(const std::string& path, std::string_view bytes);
Result<std::string> read_small_file(const std::string& path, uint64_t bytes_max);

// Writes a .kv file whose header is known before the data. Every byte of every tensor must be
// written exactly once, in any order and by any thread; the header is written last.
class KvWriter final {
 public:
  static Result<std::unique_ptr<KvWriter>> create(const std::string& path, KvHeader header,
                                                  const std::vector<std::string>& keep = {});
  ~KvWriter();
  KvWriter(const KvWriter&) = delete;
  KvWriter& operator=(const KvWriter&) = delete;

  const KvHeader& header() const { return header_; }
  Status write(const Tensor& tensor, uint64_t offset, const void* data, size_t size_bytes);
  // Replaces a value that is known only at the end; the new one is as long as the old one.
  void replace_metadata(std::string_view key, std::string value);
  AtomicFile& file() { return *file_; }
  Status write_header();  // When everything else is there; Internal when bytes are missing.
  Status publish();       // write_header() and the file appears.

 private:
  KvWriter() = default;
  KvHeader header_;
  std::unique_ptr<AtomicFile> file_;
  std::atomic<uint64_t> written_bytes_{0};
};
// Copies the bytes of one tensor into one of the same size.
Status copy_tensor(const KvFile& from, const Tensor& tensor, KvWriter& to, const Tensor& target);

// The sidecar as kvcdn reads and writes it.
struct Sidecar {
  std::string model_name;
  uint64_t num_layers = 0, num_tokens = 0;
  std::string dtype;  // "F16", "FP8", …: the values once dequantised.
  std::optional<std::string> storage_dtype;
  uint64_t nbytes = 0;  // Of the .kv file.
  bool quantized = false;
  std::optional<std::string> prompt;
  std::optional<std::vector<uint32_t>> tokens;
};
std::string sidecar_path(const std::string& kv_path);
// Strict and linear; nesting is refused at once. Unknown members are skipped.
Result<Sidecar> parse_sidecar(std::string_view json);
std::string dump_sidecar(const Sidecar& sidecar);  // Two spaces, fixed order.
// Without a value when there is no sidecar; Invalid when it is bad.
Result<std::optional<Sidecar>> read_sidecar(const std::string& kv_path);
Status write_sidecar(const std::string& kv_path, const Sidecar& sidecar);
// The sidecar as far as the header alone tells it; `model_name` from the metadata, else "unknown".
Sidecar describe_header(const KvHeader& header);
// Invalid, naming the first member that contradicts the header.
Status check_sidecar(const Sidecar& sidecar, const KvHeader& header);

// Token ids as tokenizers and servers write them: a JSON array, flat or with one sequence in it, an
// object with such an array (input_ids, prompt_token_ids, token_ids, ids, tokens), or numbers with
// spaces or commas between. A file is at most as large as a sidecar; "-" is stdin.
Result<std::vector<uint32_t>> parse_token_ids(std::string_view text);
Result<std::vector<uint32_t>> read_token_ids(const std::string& path);
// Token ids of an artifact: the tensor `tokens`, else the sidecar's; empty when none is recorded.
Result<std::vector<uint32_t>> recorded_tokens(const KvFile& file,
                                              const std::optional<Sidecar>& sidecar);
// The text it was made from: the metadata's, else the sidecar's; nullptr when none is recorded.
const std::string* recorded_prompt(const KvHeader& header, const std::optional<Sidecar>& sidecar);

}  // namespace kvcs::kvfile
