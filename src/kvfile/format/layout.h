// The meaning of the tensors of a file: names, schemes and the shapes that each scheme demands.
// Pure functions; used by the header's parser and by whatever lays out a new file.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

std::string tensor_name(Part part, uint64_t layer, std::string_view suffix = "");  // "k_0_q"
// [kv]_(0|[1-9][0-9]{0,4})(_q|_s|_z|_f)? or "tokens".
bool is_tensor_name(std::string_view name);

// The size of a cache, and how a scheme keeps it.
struct Geometry {
  uint64_t layers = 0, kv_heads = 0, tokens = 0, head_dim = 0;
  uint64_t kept_first = 0, kept_last = 0;  // int4c
};
Geometry geometry_of(const KvHeader& header);
// How many tokens int4c leaves as they are in a cache of so many tokens.
void choose_kept_tokens(Geometry& geometry);

// The tensors of one layer's keys or values without offsets, in `dtype` where the scheme keeps
// values of the source (plain, the kept tokens of int4c).
std::vector<Tensor> layout_tensors(Scheme scheme, Dtype dtype, const Geometry& geometry, Part part,
                                   uint64_t layer);
// Every tensor of the file, `tokens` not included.
std::vector<Tensor> layout_tensors(Scheme scheme, Dtype dtype, const Geometry& geometry);
// Invalid when a cache of this size cannot be kept so (q8_0 needs head_dim % 32 == 0, …).
Status check_scheme_fits(Scheme scheme, const Geometry& geometry);

// Finds scheme and geometry from tensors and metadata and checks every shape against them.
Status detect_layout(KvHeader& header);

// Groups of the int4c scheme: those that the tokens between the kept ones touch.
uint64_t int4_first_group(const Geometry& geometry);
uint64_t int4_groups(const Geometry& geometry);

}  // namespace kvcs::kvfile
