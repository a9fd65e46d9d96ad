// Verifies an artifact in one pass over its bytes, which hashes them and looks at every value, and
// then compares what the file, its sidecar and the caller say of its tokens.
#include "kvfile/tools/verify.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/hash_pipe.h"
#include "kvfile/format/finite.h"
#include "kvfile/format/source_file.h"
#include "kvfile/tools/prefix_chain.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kReadBytes = 1 << 20;

void refuse(VerifyReport& report, Verdict verdict, std::string why) {
  // The first reason stands; a proven contradiction outranks what could not be proven.
  if (report.verdict == Verdict::kMismatch) return;
  if (report.verdict == verdict && !report.why.empty()) return;
  report.verdict = verdict;
  report.why = std::move(why);
}

bool is_scale(const Tensor& tensor) {
  return tensor.name.ends_with("_s");
}

struct Fault {
  std::string tensor;
  uint64_t count = 0;
};

// One pass over the file: every byte is hashed, every value is looked at. The hash runs on a thread
// beside the one that reads and looks.
Status scan_data(const KvFile& file, VerifyReport& report) {
  const KvHeader& header = file.header();
  HashThreads threads(1);
  HashPipe pipe(kReadBytes, threads);
  if (file.size_bytes() > 2 * kReadBytes) pipe.start();  // A shorter one is not worth a thread.
  Fault first;
  const auto read_range = [&](uint64_t offset, uint64_t size_bytes,
                              const Tensor* tensor) -> Status {
    while (size_bytes > 0) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(size_bytes, kReadBytes));
      char* const buffer = pipe.acquire();
      KVCS_TRY(file.read(offset, buffer, n));
      pipe.submit(n);
      if (tensor != nullptr) {
        const bool scale = is_scale(*tensor);
        const uint64_t bad = scale ? count_bad_scales(tensor->dtype, buffer, n)
                                   : count_nonfinite(tensor->dtype, buffer, n);
        (scale ? report.bad_scales : report.nonfinite) += bad;
        if (bad > 0 && first.count == 0) first.tensor = tensor->name;
        if (bad > 0 && first.tensor == tensor->name) first.count += bad;
        report.values += n / dtype_bytes(tensor->dtype);
      }
      offset += n;
      size_bytes -= n;
    }
    return ok();
  };
  KVCS_TRY(read_range(0, header.data_start, nullptr));
  for (const Tensor& tensor : header.tensors) {
    KVCS_TRY(read_range(header.data_start + tensor.begin, tensor.size_bytes(), &tensor));
  }
  report.sha256 = pipe.finish_hex();
  if (report.bad_scales > 0) {
    refuse(report, Verdict::kMismatch,
           "tensor \"" + first.tensor + "\": a scale is not finite and above zero");
  } else if (report.nonfinite > 0) {
    refuse(report, Verdict::kMismatch,
           "tensor \"" + first.tensor + "\": " + std::to_string(first.count) +
               " values are NaN or infinite (" + std::to_string(report.nonfinite) + " in all)");
  }
  return ok();
}

// An artifact without a sidecar is whole; a sidecar that cannot be read is a contradiction.
void check_sidecar_of(const std::string& path, VerifyReport& report) {
  Result<std::optional<Sidecar>> sidecar = read_sidecar(path);
  if (!sidecar.ok()) {
    report.has_sidecar = true;
    refuse(report, Verdict::kMismatch, sidecar.status().message());
    return;
  }
  if (!*sidecar) return;
  report.has_sidecar = true;
  report.sidecar = std::move(**sidecar);
  const Status same = check_sidecar(*report.sidecar, *report.header);
  if (!same.ok()) {
    refuse(report, Verdict::kMismatch, same.message());
    return;
  }
  report.proved.push_back("The sidecar agrees with the header.");
}

void compare_tokens(const std::vector<uint32_t>& recorded, const std::vector<uint32_t>& given,
                    VerifyReport& report) {
  ContextComparison comparison;
  comparison.recorded = recorded.size();
  comparison.given = given.size();
  const auto parted = std::mismatch(recorded.begin(), recorded.end(), given.begin(), given.end());
  comparison.common_prefix = static_cast<uint64_t>(parted.first - recorded.begin());
  if (parted.first != recorded.end()) comparison.recorded_token = *parted.first;
  if (parted.second != given.end()) comparison.given_token = *parted.second;
  report.tokens_context = comparison;
  if (recorded.empty()) {
    refuse(report, Verdict::kUnverifiable, "the artifact records no token ids");
  } else if (recorded == given) {
    report.proved.push_back("The recorded token ids are the given ones.");
  } else {
    const auto end = [](const std::optional<uint32_t>& id) {
      return id ? "id " + std::to_string(*id) : std::string("the end");
    };
    refuse(report, Verdict::kMismatch,
           "the token ids part at index " + std::to_string(comparison.common_prefix) +
               ": recorded " + end(comparison.recorded_token) + ", given " +
               end(comparison.given_token) + " (" + std::to_string(comparison.recorded) +
               " recorded, " + std::to_string(comparison.given) + " given)");
  }
}

// What an editor or a shell has added to a text, or taken from it; empty when it is more than that.
std::string small_difference(const std::string& recorded, const std::string& given) {
  const auto without = [](std::string text, char c) {
    text.erase(std::remove(text.begin(), text.end(), c), text.end());
    return text;
  };
  if (given == recorded + "\n" || given == recorded + "\r\n") {
    return "the given text has one line end more at its end";
  }
  if (recorded == given + "\n" || recorded == given + "\r\n") {
    return "the given text lacks the line end at its end";
  }
  if (without(recorded, '\r') == without(given, '\r')) {
    return "the texts differ in their line ends alone (with and without carriage returns)";
  }
  if (given == "\xef\xbb\xbf" + recorded) return "the given text begins with a byte order mark";
  return {};
}

// Columns are characters: every byte that does not continue one begins one.
uint64_t column_of(const std::string& text, size_t line_start, size_t at) {
  const auto begins = [](char byte) { return (byte & 0xc0) != 0x80; };
  const auto* const from = text.data() + line_start;
  const auto before = std::count_if(from, text.data() + at, begins);
  const bool inside = at < text.size() && !begins(text[at]);
  return static_cast<uint64_t>(before) + (inside ? 0 : 1);
}

// Lines and columns count from 1, for people with an editor.
void compare_text(const std::string* recorded, const std::string& given, VerifyReport& report) {
  if (recorded == nullptr) {
    refuse(report, Verdict::kUnverifiable,
           "the artifact records no text; compare token ids with --tokens");
    return;
  }
  ContextComparison comparison;
  comparison.recorded = recorded->size();
  comparison.given = given.size();
  const auto parted = std::mismatch(recorded->begin(), recorded->end(), given.begin(), given.end());
  comparison.common_prefix = static_cast<uint64_t>(parted.first - recorded->begin());
  comparison.line = 1 + static_cast<uint64_t>(std::count(recorded->begin(), parted.first, '\n'));
  const size_t line_start = comparison.common_prefix == 0
                                ? std::string::npos
                                : recorded->rfind('\n', comparison.common_prefix - 1);
  comparison.column = column_of(*recorded, line_start == std::string::npos ? 0 : line_start + 1,
                                comparison.common_prefix);
  report.text_context = comparison;
  if (*recorded == given) {
    report.proved.push_back("The recorded text is the given one.");
    return;
  }
  const std::string small = small_difference(*recorded, given);
  refuse(report, Verdict::kMismatch,
         (small.empty() ? "" : small + ": ") + "the texts part at byte " +
             std::to_string(comparison.common_prefix) + " (line " +
             std::to_string(comparison.line) + ", column " + std::to_string(comparison.column) +
             "; " + std::to_string(comparison.recorded) + " bytes recorded, " +
             std::to_string(comparison.given) + " given)");
}

Status compare_context(const KvFile& file, const VerifyOptions& options, VerifyReport& report) {
  if (options.tokens) {
    compare_tokens(KVCS_TRY(recorded_tokens(file, report.sidecar)), *options.tokens, report);
  }
  if (options.context_text) {
    compare_text(recorded_prompt(file.header(), report.sidecar), *options.context_text, report);
  }
  return ok();
}

// The ids must be those whose chain the header records: a sidecar is outside the file's digest.
Status check_token_chain(const KvFile& file, VerifyReport& report) {
  const std::string* const chain = file.header().metadata_value("kvcs.token_chain");
  if (chain == nullptr) return ok();
  const std::vector<uint32_t> ids = KVCS_TRY(recorded_tokens(file, report.sidecar));
  if (ids.empty()) return ok();
  if (token_chain(ids) == *chain) {
    report.proved.push_back("The token ids are those of kvcs.token_chain.");
  } else {
    refuse(report, Verdict::kMismatch, "the token ids are not those of kvcs.token_chain");
  }
  return ok();
}

// The ids in the tensor and those in the sidecar are copies of one list.
Status check_token_copies(const KvFile& file, VerifyReport& report) {
  if (file.header().find("tokens") == nullptr || !report.sidecar || !report.sidecar->tokens) {
    return ok();
  }
  const std::vector<uint32_t> ids = KVCS_TRY(recorded_tokens(file, std::nullopt));
  if (ids != *report.sidecar->tokens) {
    refuse(report, Verdict::kMismatch, "sidecar: token ids differ from the tensor \"tokens\"");
  }
  return ok();
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kVerified:
      return "verified";
    case Verdict::kMismatch:
      return "mismatch";
    case Verdict::kUnverifiable:
      break;
  }
  return "unverifiable";
}

Result<VerifyReport> verify(const VerifyOptions& options) {
  VerifyReport report;
  // A header that is refused is a verdict and not a failure of reading. The reason does not name
  // the file, since the caller prints its path before it.
  Result<std::unique_ptr<KvFile>> opened =
      KvFile::from_source(KVCS_TRY(SourceFile::open(options.path)));
  if (opened.code() == Code::kInvalid) {
    refuse(report, Verdict::kMismatch, opened.status().message());
    return report;
  }
  const std::unique_ptr<KvFile> file = KVCS_TRY(std::move(opened));
  report.header = file->header();
  report.proved.push_back("The container is strict safetensors with " +
                          std::to_string(report.header->layers) + " layers of scheme " +
                          std::string(scheme_name(report.header->scheme)) + ".");
  check_sidecar_of(options.path, report);
  const Status scanned = scan_data(*file, report);
  // A file that shrinks under the reader changed; it did not lie.
  KVCS_TRY(file->check_unchanged());
  KVCS_TRY(Status(scanned));
  if (report.nonfinite + report.bad_scales == 0) {
    report.proved.push_back("All " + std::to_string(report.values) + " values are finite.");
  }
  KVCS_TRY(check_token_copies(*file, report));
  KVCS_TRY(check_token_chain(*file, report));
  if (options.sha256) {
    if (*options.sha256 == report.sha256) {
      report.proved.push_back("The SHA-256 is the expected one.");
    } else {
      refuse(report, Verdict::kMismatch,
             "the SHA-256 is " + report.sha256 + ", not " + printable(*options.sha256, kShownName));
    }
  }
  KVCS_TRY(compare_context(*file, options, report));
  return report;
}

}  // namespace kvcs::kvfile
