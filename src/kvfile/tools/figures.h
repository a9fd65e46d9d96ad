// What a .kv file is and holds as members of JSON, the same for the command line and the daemon.
// Pure functions.
#pragma once
#include <vector>

#include "base/json.h"
#include "kvfile/kvfile.h"
#include "kvfile/tools/stats.h"

namespace kvcs::kvfile {

// Scheme, dtypes, layers, heads, tokens, head_dim and size; null for heads or head_dim that differ
// by layer or part, and `uniform` says whether all layers are alike.
Json geometry_json(const KvHeader& header);
// Of all tensors of one layer's keys or values: plain, or codes with scales, minima and kept
// tokens.
uint64_t part_bytes(const KvHeader& header, Part part, uint64_t layer);
// Null stands for a figure of the finite values where there are none.
Json stats_json(const PartStats& stats);
// A row for each layer: its number, the shapes and positions of a file that is not uniform, the
// bytes of its keys and values, and their figures where `stats` has some; null for a part of which
// no value was read.
Json layers_json(const KvHeader& header, const std::vector<LayerStats>& stats);

}  // namespace kvcs::kvfile
