// Statement: what callers hold of a statement that an engine has compiled.
#include "db/db.h"

namespace kvcs {

Statement& Statement::bind(int position, int64_t value) {
  engine_->bind(position, value);
  return *this;
}
Statement& Statement::bind(int position, double value) {
  engine_->bind(position, value);
  return *this;
}
Statement& Statement::bind(int position, std::string_view text) {
  engine_->bind(position, text);
  return *this;
}
Statement& Statement::bind_bytes(int position, std::string_view bytes) {
  engine_->bind_bytes(position, bytes);
  return *this;
}
Statement& Statement::bind_null(int position) {
  engine_->bind_null(position);
  return *this;
}

Status Statement::run() {
  while (KVCS_TRY(step())) {
  }
  return ok();
}

}  // namespace kvcs
