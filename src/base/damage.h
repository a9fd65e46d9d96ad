// The reasons of failures which prove that a store is damaged: a sum that does not fit, a file that
// is missing or none of its kind, a mark that cannot be read. Whatever else fails may pass. And the
// ways out of it, in words: for the operator and for whoever asks the daemon.
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace kvcs {

inline constexpr std::string_view kKvDamaged = "kv_damaged";  // kv/
inline constexpr std::string_view kDbDamaged = "db_damaged";  // db/
// An index that is made of the rows, and is made of them again: no loss, and no damage.
inline constexpr std::string_view kDbIndexDiffers = "db_index_differs";  // db/
inline constexpr std::string_view kMarkDamaged = "mark_damaged";         // app/store_marks
inline constexpr std::string_view kJournalDamaged = "journal_damaged";   // ai/budget

// The sentence that ends whatever tells the operator of damage, with a space before it. `accept` is
// what `kvcs repair` calls the loss.
inline std::string ways_out(std::string_view data_dir, std::string_view accept) {
  return " Restore the directory from a backup, or run kvcs repair --data-dir " +
         std::string(data_dir) + " --accept " + std::string(accept) +
         ", which first says what will be lost.";
}

// The failure of a request that needs what cannot be read, now or later: Internal, since a client
// that takes it for Unavailable asks again and again. `what` begins the sentence.
inline Status unreadable(std::string_view what, std::string cause) {
  return Status(Code::kInternal,
                std::string(what) +
                    " cannot be read: what is stored is damaged, and trying again does not help. "
                    "The operator of this server finds the damage in its log and in "
                    "/admin/health; a backup or kvcs repair mends it.",
                std::move(cause));
}

}  // namespace kvcs
