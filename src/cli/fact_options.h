// Options by which facts about a cache are given: `kvcs import` and `kvcs annotate` have the same.
#pragma once
#include <utility>

namespace kvcs::cli {

// The option that gives each fact, and the metadata key under which it is recorded.
inline constexpr std::pair<const char*, const char*> kFactOptions[] = {
    {"model", "kvcs.model"},         {"revision", "kvcs.model_revision"},
    {"tokenizer", "kvcs.tokenizer"}, {"arch", "kvcs.arch"},
    {"rope-base", "kvcs.rope_base"}, {"rope-scaling", "kvcs.rope_scaling"}};

}  // namespace kvcs::cli
