// A file open for reading at any place. Nothing is loaded until asked for.
// Immutable after open(); may be read by many threads.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

class SourceFile final {
 public:
  // NotFound; Invalid when it is not a regular file.
  static Result<std::unique_ptr<SourceFile>> open(const std::string& path);
  // Bytes that lie elsewhere and never change; they have no path, and are the same as no file.
  static std::unique_ptr<SourceFile> of(ReadSource source, uint64_t size_bytes);
  ~SourceFile();
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }
  // Reads exactly so many bytes; Conflict when the file was cut since open(), Invalid when it never
  // was so long.
  Status read(uint64_t offset, void* out, size_t size_bytes) const;
  Status check_unchanged() const;  // Conflict when size or time differ from open().
  bool is_same_file(const std::string& path) const;  // By device and inode.

 private:
  SourceFile() = default;
  Status changed() const;
  std::string path_;
  ReadSource elsewhere_;  // Instead of a descriptor.
  int fd_ = -1;
  uint64_t size_bytes_ = 0;
  int64_t modified_s_ = 0, modified_ns_ = 0;
  uint64_t device_ = 0, inode_ = 0;
};

}  // namespace kvcs::kvfile
