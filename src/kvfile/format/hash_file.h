// SHA-256 of a whole file, on the thread that asks.
#pragma once
#include <functional>
#include <string>

#include "base/status.h"
#include "kvfile/format/source_file.h"

namespace kvcs::kvfile {

// In hex. Empty once `stopped`, asked now and then, says that nobody wants it any more.
Result<std::string> hash_file(const SourceFile& file, const std::function<bool()>& stopped = {});

}  // namespace kvcs::kvfile
