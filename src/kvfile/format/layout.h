// The meaning of the tensors of a file: names, schemes and the shapes that each scheme demands.
// Pure functions; used by the header's parser and by whatever lays out a new file.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

std::string state_name(uint64_t layer, std::string_view name);  // "state_0_conv"
// [kv]_(0|[1-9][0-9]{0,4})(_q|_s|_z|_f)?, state_(the same number)_[a-z0-9]{1,16} or "tokens".
bool is_tensor_name(std::string_view name);
// The layer of a tensor with such a name; none of "tokens".
std::optional<uint64_t> layer_of(std::string_view tensor_name);

// The size of a cache. Layers that are alike need no `shapes`; where there are some, one for each
// layer, they say it all but `layers` and `tokens`.
struct Geometry {
  uint64_t layers = 0, kv_heads = 0, tokens = 0, head_dim = 0;
  uint64_t kept_first = 0, kept_last = 0;  // int4c
  std::vector<LayerShape> shapes = {};

  bool is_uniform() const { return shapes.empty(); }
  PartShape shape(Part part, uint64_t layer) const;
};
Geometry geometry_of(const KvHeader& header);
// How many tokens int4c leaves as they are in a cache of so many tokens.
void choose_kept_tokens(PartShape& shape);
// Every part in one scheme, with values of `dtype`, and with the tokens that int4c keeps.
void set_scheme(Geometry& geometry, Scheme scheme, Dtype dtype);

// The scheme of every part; kMixed when they differ.
Scheme common_scheme(const std::vector<LayerShape>& shapes);
// In which its values or codes are stored.
Dtype stored_dtype(const PartShape& shape);
// The tensors of one layer's keys or values without offsets; none when it has no such part.
std::vector<Tensor> layout_tensors(const PartShape& shape, Part part, uint64_t layer);
// Every tensor of a cache that is kept in one scheme, in `dtype` where that keeps values of the
// source (plain, the kept tokens of int4c). `tokens` and states are not included.
std::vector<Tensor> layout_tensors(Scheme scheme, Dtype dtype, const Geometry& geometry);
// The same where `shapes` say how each part is kept.
std::vector<Tensor> layout_tensors(const std::vector<LayerShape>& shapes);
// What no scheme touches: the token ids and the states of recurrent layers.
std::vector<Tensor> carried_tensors(const KvHeader& header);
// What the tensors alone do not tell, in metadata: kvcs.positions, kvcs.keys_only,
// kvcs.absent_layers and kvcs.kept_first, or none of them. `tensors` are those of the file to be.
void set_shape_metadata(Metadata& metadata, const std::vector<LayerShape>& shapes,
                        const std::vector<Tensor>& tensors);
// Invalid when a cache of this size cannot be kept so (q8_0 needs head_dim % 32 == 0, …).
Status check_scheme_fits(Scheme scheme, const PartShape& shape);
Status check_scheme_fits(Scheme scheme, const Geometry& geometry);

// Finds scheme and geometry from tensors and metadata and checks every shape against them.
Status detect_layout(KvHeader& header);

// Groups of the int4c scheme: those that the tokens between the kept ones touch.
uint64_t int4_first_group(const PartShape& shape);
uint64_t int4_groups(const PartShape& shape);

}  // namespace kvcs::kvfile
