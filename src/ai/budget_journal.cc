#include "ai/budget_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

namespace kvcs::ai {

Status BudgetJournal::append(const std::vector<std::string>& rows) {
  std::string lines;
  for (const std::string& row : rows) lines.append(row).append("\n");
  MutexLock lock(mutex_);
  const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return io_error("open", path_, errno);
  const ssize_t count = ::write(file, lines.data(), lines.size());
  Status result;
  if (count != static_cast<ssize_t>(lines.size()) || ::fdatasync(file) != 0) {
    result = io_error("write", path_, count < 0 ? errno : ENOSPC);
  }
  ::close(file);
  if (result.ok()) unwritten_ += rows.size();
  return result;
}

Status BudgetJournal::written(size_t count) {
  MutexLock lock(mutex_);
  unwritten_ -= std::min(count, unwritten_);
  return count > 0 && unwritten_ == 0 ? remove_file() : ok();
}

Result<std::vector<std::string>> BudgetJournal::read() const {
  MutexLock lock(mutex_);
  std::vector<std::string> rows;
  std::ifstream file(path_);
  std::stringstream text;
  if (file) text << file.rdbuf();
  const std::string all = text.str();
  for (size_t begin = 0, end; (end = all.find('\n', begin)) != all.npos; begin = end + 1) {
    rows.push_back(all.substr(begin, end - begin));
  }
  return rows;
}

Status BudgetJournal::remove() {
  MutexLock lock(mutex_);
  unwritten_ = 0;
  return remove_file();
}

Status BudgetJournal::remove_file() {
  if (::unlink(path_.c_str()) == 0 || errno == ENOENT) return ok();
  return io_error("remove", path_, errno);
}

}  // namespace kvcs::ai
