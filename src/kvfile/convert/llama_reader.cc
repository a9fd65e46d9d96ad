// Reads the structure of llama.cpp's state files without their values: counts, ids, cells and the
// offset of each layer. Every layout that is possible is tried from the same place of the file;
// when none fits, the one that passed the most structure explains what is wrong.
#include "kvfile/convert/llama_reader.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/counted.h"
#include "kvfile/convert/file_cursor.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

constexpr uint32_t kArchitectureBytesMax = 256;

// The optional parts that a body has.
struct Layout {
  bool outputs, streams, cell_extra;
};

// Cells as they stand in the file; which of them belong to the sequence is found out when all
// sequences are known.
struct Cells {
  uint64_t count = 0, offset = 0;
  std::map<uint32_t, uint64_t> sequences;  // How many cells each has.
};
struct Stream {
  Cells cells;
  bool values_transposed = false;
  std::vector<LlamaTensor> keys, values;
};
using Streams = std::vector<Stream>;
struct Recurrent {
  Cells cells;
  uint32_t layers = 0;
  std::vector<LlamaState> convolutions, states;
};

// One way to read the bytes behind the ids.
struct Reading {
  Layout layout{};
  std::vector<Streams> caches;
  std::optional<Recurrent> recurrent;
  uint64_t structure = 0;  // Parts that were read and made sense.
};

// Reads the token ids. llama-server's slot files put a frame around them, which is known by its
// first id, -1.
Status read_tokens(FileCursor& in, LlamaFile& file, std::vector<uint32_t>& ids) {
  const uint32_t count = KVCS_TRY(in.u32("the token count"));
  if (count > kTokensMax) {
    return in.fault(std::to_string(count) + " token ids; the limit is " +
                    std::to_string(kTokensMax));
  }
  KVCS_TRY(in.need(count, "the token ids", 4));
  ids.resize(count);
  for (uint32_t& id : ids) id = KVCS_TRY(in.u32("a token id"));
  if (count == 0 || ids[0] != UINT32_MAX) return ok();
  file.wrapped_tokens = true;
  if (count < 4 || ids[1] != 1) return in.fault("a slot's token section of an unknown kind");
  const uint32_t wrapped = ids[2];
  if (wrapped > count - 4) return in.fault("a slot's token section that is cut");
  if (ids[3 + wrapped] != 0 || count != wrapped + 4) {
    return in.fault("a slot with images or audio, which this version does not import,");
  }
  ids = std::vector<uint32_t>(ids.begin() + 3, ids.begin() + 3 + wrapped);
  return ok();
}

// Logits and embeddings of the last batch, which a cache does not need.
Status skip_outputs(FileCursor& in) {
  const uint64_t outputs = KVCS_TRY(in.u32("the output count"));
  KVCS_TRY(in.skip(outputs, "the output ids", 4));
  for (const char* const what : {"the logits", "the embeddings"}) {
    const uint64_t count = KVCS_TRY(in.u64(what));
    KVCS_TRY(in.skip(count, what, 4));
  }
  return ok();
}

// Counts the cells and their sequences. Positions are read later: they are a fault of the file only
// if this layout turns out to be the right one.
Status read_cells(FileCursor& in, bool extra, Cells& cells) {
  KVCS_TRY(in.need(cells.count, "the cells", 8));
  if (cells.count > kTokensMax) {
    return in.fault(std::to_string(cells.count) + " cells; the limit is " +
                    std::to_string(kTokensMax));
  }
  cells.offset = in.at();
  for (uint64_t i = 0; i < cells.count; i++) {
    const uint32_t position = KVCS_TRY(in.u32("a cell's position"));
    const uint32_t count = KVCS_TRY(in.u32("a cell's sequence count"));
    if (position > INT32_MAX) {
      return in.fault("cell " + std::to_string(i) + " has the position " +
                      std::to_string(static_cast<int32_t>(position)));
    }
    if (count > kLlamaSequencesMax) {
      return in.fault("cell " + std::to_string(i) + " has " + std::to_string(count) +
                      " sequences; the limit is " + std::to_string(kLlamaSequencesMax));
    }
    if (extra) KVCS_TRY(in.skip(3, "a cell's coordinates", 4));
    for (uint32_t k = 0; k < count; k++) {
      cells.sequences[KVCS_TRY(in.u32("a cell's sequence"))]++;
      if (cells.sequences.size() > kLlamaSequencesMax) {
        return in.fault("more than " + std::to_string(kLlamaSequencesMax) + " sequences");
      }
    }
  }
  return ok();
}

Result<const LlamaType*> read_type(FileCursor& in, const std::string& what) {
  const uint32_t number = KVCS_TRY(in.u32("a tensor's type"));
  const LlamaType* const type = find_llama_type(number);
  if (type != nullptr) return type;
  return in.fault(what + " are of ggml type " + std::to_string(number) + " (" +
                  unread_type_name(number) +
                  "), which kvcs does not read; save the cache with --cache-type-k f16 and "
                  "--cache-type-v f16;");
}

// One layer's keys or values: the type and the size of a row, and then the rows, which are skipped.
Result<LlamaTensor> read_rows(FileCursor& in, uint64_t cells, bool transposed,
                              const std::string& what) {
  const LlamaType* const type = KVCS_TRY(read_type(in, what));
  uint64_t width = 0, row_bytes = 0, rows = cells;
  if (transposed) {
    const uint32_t value_bytes = KVCS_TRY(in.u32("the bytes of a value"));
    width = KVCS_TRY(in.u32("the width of the values"));
    if (type->quantized() || value_bytes != type->block_bytes) {
      return in.fault("transposed values of type " + std::string(type->name) + " with " +
                      std::to_string(value_bytes) + " bytes each");
    }
    row_bytes = cells * value_bytes;
    rows = width;
  } else {
    row_bytes = KVCS_TRY(in.u64("the bytes of a row"));
    if (row_bytes % type->block_bytes != 0) {
      return in.fault("rows of " + std::to_string(row_bytes) + " bytes, not whole blocks of " +
                      std::string(type->name));
    }
    width = row_bytes / type->block_bytes * type->block_values;
  }
  if (width == 0) return in.fault(what + " are rows of no values");
  const LlamaTensor tensor{type, in.at(), width};
  KVCS_TRY(in.skip(rows, "the rows of a layer", row_bytes));
  return tensor;
}

// First the keys of every layer, then the values of every layer, which latent attention has not.
Status read_stream(FileCursor& in, bool has_values, Stream& stream, uint64_t& structure) {
  const uint32_t transposed = KVCS_TRY(in.u32("the layout of the values"));
  if (transposed > 1) return in.fault("a value layout of " + std::to_string(transposed));
  stream.values_transposed = transposed == 1;
  const uint32_t layers = KVCS_TRY(in.u32("the layer count"));
  if (layers == 0 || layers > kLlamaLayersMax) {
    return in.fault(std::to_string(layers) + " layers; the limit is " +
                    std::to_string(kLlamaLayersMax));
  }
  structure++;
  for (const bool keys : {true, false}) {
    if (!keys && !has_values) break;
    for (uint32_t i = 0; i < layers; i++) {
      (keys ? stream.keys : stream.values)
          .push_back(KVCS_TRY(read_rows(
              in, stream.cells.count, !keys && stream.values_transposed,
              (keys ? "the keys of layer " : "the values of layer ") + std::to_string(i))));
      structure++;
    }
  }
  return ok();
}

Status read_attention(FileCursor& in, bool has_values, Reading& reading) {
  uint32_t streams = 1;
  if (reading.layout.streams) streams = KVCS_TRY(in.u32("the stream count"));
  if (streams == 0 || streams > kLlamaSequencesMax) {
    return in.fault(std::to_string(streams) + " streams");
  }
  Streams cache(streams);
  for (Stream& stream : cache) {
    stream.cells.count = KVCS_TRY(in.u32("the cell count"));
    if (stream.cells.count == 0) continue;
    KVCS_TRY(read_cells(in, reading.layout.cell_extra, stream.cells));
    reading.structure++;
    KVCS_TRY(read_stream(in, has_values, stream, reading.structure));
  }
  reading.caches.push_back(std::move(cache));
  return ok();
}

// The file does not say how many of the layers are recurrent, so tensors are read to its end: first
// the convolution states of all of them, then the recurrent states.
Status read_recurrent(FileCursor& in, Reading& reading) {
  Recurrent recurrent;
  recurrent.cells.count = KVCS_TRY(in.u32("the recurrent cell count"));
  if (recurrent.cells.count == 0 || recurrent.cells.count > kLlamaSequencesMax) {
    return in.fault(std::to_string(recurrent.cells.count) + " recurrent cells");
  }
  KVCS_TRY(read_cells(in, false, recurrent.cells));
  const uint32_t transposed = KVCS_TRY(in.u32("the layout of the states"));
  recurrent.layers = KVCS_TRY(in.u32("the layer count"));
  if (transposed != 0 || recurrent.layers == 0 || recurrent.layers > kLlamaLayersMax) {
    return in.fault("recurrent states of " + std::to_string(recurrent.layers) + " layers");
  }
  reading.structure++;
  std::vector<LlamaState> tensors;
  while (in.left() > 0) {
    LlamaState state;
    state.type = KVCS_TRY(read_type(in, "recurrent states"));
    state.size_bytes = KVCS_TRY(in.u64("the bytes of a state"));
    state.offset = in.at();
    KVCS_TRY(in.skip(recurrent.cells.count, "a recurrent state", state.size_bytes));
    tensors.push_back(state);
    reading.structure++;
    if (tensors.size() > size_t{2} * recurrent.layers) {
      return in.fault("more states than two for each of " + std::to_string(recurrent.layers) +
                      " layers");
    }
  }
  if (tensors.empty() || tensors.size() % 2 != 0) {
    return in.fault(counted(tensors.size(), "recurrent state") + ", not two for each layer,");
  }
  const auto middle = tensors.begin() + static_cast<ptrdiff_t>(tensors.size() / 2);
  recurrent.convolutions.assign(tensors.begin(), middle);
  recurrent.states.assign(middle, tensors.end());
  reading.recurrent = std::move(recurrent);
  return ok();
}

// Tries every way to go on from here, depth first, and keeps the best failure for the message.
class Readings final {
 public:
  // True when `reading` consumed the file exactly. A status that is not Invalid ends the search.
  Result<bool> complete(FileCursor in, Reading reading, Reading& out) {
    if (in.left() == 0 && !reading.caches.empty()) {
      out = std::move(reading);
      return true;
    }
    if (reading.caches.size() < 2) {
      for (const bool has_values : {true, false}) {
        if (KVCS_TRY(go_on(in, reading, out, [&](FileCursor& at, Reading& next) {
              return read_attention(at, has_values, next);
            }))) {
          return true;
        }
      }
    }
    FileCursor at = in;
    Reading last = reading;
    Status read = read_recurrent(at, last);
    if (read.ok()) {
      out = std::move(last);
      return true;
    }
    KVCS_TRY(keep(std::move(read), last.structure));
    if (!reading.caches.empty()) {
      KVCS_TRY(keep(in.fault(std::to_string(in.left()) + " bytes follow a complete cache of " +
                             counted(layers_of(reading), "layer") +
                             " and are neither a sliding-window cache nor recurrent states: "
                             "written by another program, or added later,"),
                    reading.structure + (has_values(reading) ? 1 : 0)));
    }
    return false;
  }
  const Status& best() const { return best_; }

 private:
  template <typename Read>
  Result<bool> go_on(const FileCursor& in, const Reading& reading, Reading& out, const Read& read) {
    FileCursor at = in;
    Reading next = reading;
    Status status = read(at, next);
    if (!status.ok()) {
      KVCS_TRY(keep(std::move(status), next.structure));
      return false;
    }
    return complete(at, std::move(next), out);
  }
  Status keep(Status status, uint64_t structure) {
    if (status.code() != Code::kInvalid) return status;
    if (best_.ok() || structure > best_structure_) {
      best_ = std::move(status);
      best_structure_ = structure;
    }
    return ok();
  }
  // A file that was cut among its values looks like one that has none, with bytes behind it.
  static bool has_values(const Reading& reading) {
    for (const Stream& stream : reading.caches.back()) {
      if (!stream.values.empty()) return true;
    }
    return false;
  }
  static uint64_t layers_of(const Reading& reading) {
    uint64_t layers = 0;
    for (const Streams& cache : reading.caches) {
      for (const Stream& stream : cache) layers = std::max<uint64_t>(layers, stream.keys.size());
    }
    return layers;
  }

  Status best_ = ok();
  uint64_t best_structure_ = 0;
};

// Files of March 2026 and later have streams, and files since 2025 have no outputs; models that see
// pictures have coordinates in each cell.
Result<Reading> find_layout(const FileCursor& body, const LlamaFile& head) {
  Readings readings;
  for (const Layout& layout :
       {Layout{false, true, false}, Layout{true, true, false}, Layout{true, false, false},
        Layout{false, false, false}, Layout{false, true, true}, Layout{true, true, true}}) {
    if (layout.outputs && !head.is_context) continue;
    FileCursor in = body;
    if (layout.outputs && !skip_outputs(in).ok()) continue;
    Reading start, found;
    start.layout = layout;
    if (KVCS_TRY(readings.complete(in, std::move(start), found))) return found;
  }
  Status best = readings.best();
  return std::move(best).with_context("no known layout of version " + std::to_string(head.version) +
                                      " fits");
}

// "0 (130 tokens), 1 (40 tokens)"
std::string list_sequences(const std::map<uint32_t, uint64_t>& sequences) {
  std::string text;
  for (const auto& [sequence, cells] : sequences) {
    if (text.size() > kShownValue) return text + ", …";
    text += (text.empty() ? "" : ", ") + std::to_string(sequence) + " (" + counted(cells, "token") +
            ")";
  }
  return text;
}

// The sequence to take; without a value every cell, which then are of one sequence, of none, or of
// the same several ones.
struct ChosenSequence {
  std::optional<uint32_t> sequence;
  bool is_one_of_several = false;
};
Result<ChosenSequence> choose_sequence(const Reading& reading, std::optional<uint32_t> told) {
  std::map<uint32_t, uint64_t> sequences;
  uint64_t cells = 0, streams = 0;
  const auto add = [&](const Cells& some) {
    if (some.count == 0) return;
    cells += some.count;
    streams++;
    for (const auto& [sequence, count] : some.sequences) sequences[sequence] += count;
  };
  if (reading.caches.empty()) {
    add(reading.recurrent->cells);
  } else {
    for (const Stream& stream : reading.caches[0]) add(stream.cells);
  }
  if (cells == 0) return invalid("the cache is empty: no cells");
  const bool all_alike =
      streams == 1 && std::all_of(sequences.begin(), sequences.end(),
                                  [&](const auto& one) { return one.second == cells; });
  if (told) {
    if (sequences.count(*told) > 0) return ChosenSequence{told, !all_alike && sequences.size() > 1};
    return invalid("--sequence " + std::to_string(*told) + ": the file has " +
                   (sequences.empty() ? "no numbered sequences" : list_sequences(sequences)));
  }
  if (all_alike) return ChosenSequence{};
  if (sequences.size() == 1) return ChosenSequence{sequences.begin()->first, false};
  return invalid("the file has several sequences: " + list_sequences(sequences) +
                 "; say which with --sequence N");
}

// The rows and positions of the sequence's cells, in order of position: where a cell lies in the
// cache says nothing, since llama.cpp fills the holes that others left.
Status place_cells(const SourceFile& source, const Cells& cells, bool extra,
                   std::optional<uint32_t> sequence, LlamaAttention& out) {
  FileCursor in(source);
  KVCS_TRY(in.skip(cells.offset, "the cells"));
  std::vector<std::pair<uint32_t, uint32_t>> places;
  for (uint32_t row = 0; row < cells.count; row++) {
    const uint32_t position = KVCS_TRY(in.u32("a cell's position"));
    const uint32_t count = KVCS_TRY(in.u32("a cell's sequence count"));
    if (extra) KVCS_TRY(in.skip(3, "a cell's coordinates", 4));
    bool is_ours = !sequence;
    for (uint32_t k = 0; k < count; k++) {
      is_ours = KVCS_TRY(in.u32("a cell's sequence")) == sequence || is_ours;
    }
    if (is_ours) places.emplace_back(position, row);
  }
  std::sort(places.begin(), places.end());
  out.rows.reserve(places.size());
  out.positions.reserve(places.size());
  for (const auto& [position, row] : places) {
    if (!out.positions.empty() && out.positions.back() == position) {
      return invalid("the position " + std::to_string(position) +
                     " occurs twice in the sequence; images and audio do that, and this version "
                     "imports text alone");
    }
    out.positions.push_back(position);
    out.rows.push_back(row);
  }
  return ok();
}

// The stream that holds the sequence.
Result<LlamaAttention> place_cache(const SourceFile& source, const Streams& streams, bool extra,
                                   std::optional<uint32_t> sequence) {
  LlamaAttention cache;
  cache.streams = static_cast<uint32_t>(streams.size());
  for (uint32_t i = 0; i < streams.size(); i++) {
    const Stream& stream = streams[i];
    if (stream.cells.count == 0) continue;
    if (sequence && stream.cells.sequences.count(*sequence) == 0) continue;
    cache.stream = i;
    cache.cells = stream.cells.count;
    cache.values_transposed = stream.values_transposed;
    cache.keys = stream.keys;
    cache.values = stream.values;
    if (sequence) {
      cache.sequences = {*sequence};
    } else {
      for (const auto& [one, count] : stream.cells.sequences) cache.sequences.push_back(one);
    }
    KVCS_TRY(place_cells(source, stream.cells, extra, sequence, cache));
    return cache;
  }
  return invalid("the sliding-window cache holds no cells of the sequence");
}

// Attention sees every position from 0 on; where some are missing the cache was shifted or cut.
Status check_positions(const LlamaAttention& cache) {
  for (uint64_t i = 0; i < cache.positions.size(); i++) {
    if (cache.positions[i] == i) continue;
    return invalid("the sequence has " + counted(cache.positions.size(), "cell") +
                   " at the positions " + std::to_string(cache.positions.front()) + " to " +
                   std::to_string(cache.positions.back()) + ", and position " + std::to_string(i) +
                   " is missing; save a sequence that was not cut");
  }
  return ok();
}

Result<LlamaRecurrent> place_recurrent(const SourceFile& source, const Recurrent& recurrent,
                                       std::optional<uint32_t> sequence) {
  LlamaAttention cells;
  // A saved sequence's recurrent cell has no sequence of its own.
  if (recurrent.cells.sequences.empty()) sequence.reset();
  KVCS_TRY(place_cells(source, recurrent.cells, false, sequence, cells));
  if (cells.rows.size() != 1) {
    return invalid("the sequence has " + counted(cells.rows.size(), "recurrent cell") +
                   ", expected one");
  }
  LlamaRecurrent out;
  out.layers = recurrent.layers;
  out.position = cells.positions[0];
  for (const auto& [one, count] : recurrent.cells.sequences) out.sequences.push_back(one);
  const auto take = [&](std::vector<LlamaState> states) {
    for (LlamaState& state : states) state.offset += cells.rows[0] * state.size_bytes;
    return states;
  };
  out.convolutions = take(recurrent.convolutions);
  out.states = take(recurrent.states);
  return out;
}

Status place_sequence(const SourceFile& source, const Reading& reading,
                      std::optional<uint32_t> told, std::vector<uint32_t>& ids, LlamaFile& file) {
  file.has_outputs = reading.layout.outputs;
  file.has_streams = reading.layout.streams;
  file.has_cell_extra = reading.layout.cell_extra;
  const ChosenSequence chosen = KVCS_TRY(choose_sequence(reading, told));
  const std::optional<uint32_t> sequence = chosen.sequence;
  if (chosen.is_one_of_several) ids.clear();  // They are of the context, not of one sequence.
  for (const Streams& streams : reading.caches) {
    file.caches.push_back(
        KVCS_TRY(place_cache(source, streams, reading.layout.cell_extra, sequence)));
  }
  if (reading.recurrent) {
    file.recurrent = KVCS_TRY(place_recurrent(source, *reading.recurrent, sequence));
  }
  if (file.caches.empty()) return ok();
  KVCS_TRY(check_positions(file.caches[0]));
  const uint32_t last = file.caches[0].positions.back();
  if (file.caches.back().positions.back() != last) {
    return invalid("the sliding-window cache ends at position " +
                   std::to_string(file.caches.back().positions.back()) + ", the whole one at " +
                   std::to_string(last));
  }
  if (file.recurrent && file.recurrent->position != last) {
    return invalid("the recurrent states are of position " +
                   std::to_string(file.recurrent->position) + ", the cache ends at " +
                   std::to_string(last));
  }
  return ok();
}

// The ids behind the last position were sampled, or are the beginning of the next prompt; they have
// no keys yet. A file may have no ids at all, and one of several sequences has those of none.
void place_tokens(const std::vector<uint32_t>& ids, LlamaFile& file) {
  const uint64_t count = file.token_count();
  if (ids.size() < count) return;
  const auto middle = ids.begin() + static_cast<ptrdiff_t>(count);
  file.tokens.assign(ids.begin(), middle);
  file.extra_tokens.assign(middle, ids.end());
}

}  // namespace

uint64_t LlamaFile::token_count() const {
  return caches.empty() ? uint64_t{recurrent->position} + 1 : caches[0].positions.size();
}

bool LlamaFile::is_newer() const {
  return version > (is_context ? kLlamaContextVersion : kLlamaSequenceVersion);
}

std::string LlamaFile::describe() const {
  std::string text =
      std::string(is_context ? "ggsn" : "ggsq") + " version " + std::to_string(version);
  if (is_newer()) text += " (newer than this kvcs; its body is of a known layout)";
  text += ", " + counted(token_count(), "token");
  for (size_t i = 0; i < caches.size(); i++) {
    const LlamaAttention& cache = caches[i];
    if (i == 1) text += "; sliding window";
    if (caches.size() > 1) {
      text += ", " + counted(cache.keys.size(), "layer") + " at the positions " +
              std::to_string(cache.positions.front()) + " to " +
              std::to_string(cache.positions.back());
    }
    text += ", keys " + std::string(cache.keys[0].type->name);
    text += cache.values.empty() ? std::string(", no values (latent attention)")
                                 : ", values " + std::string(cache.values[0].type->name);
    if (cache.values_transposed && !cache.values.empty()) text += " transposed";
  }
  if (recurrent) {
    text += "; states of " + counted(recurrent->states.size(), "recurrent layer");
  }
  if (!extra_tokens.empty()) {
    text += ", " + std::to_string(extra_tokens.size()) + " more token ids than cells";
  }
  return text;
}

Result<LlamaFile> parse_llama(const SourceFile& source, std::optional<uint32_t> sequence) {
  FileCursor in(source);
  LlamaFile file;
  if (source.size_bytes() < 8) return invalid("not a llama.cpp state file: shorter than 8 bytes");
  const uint32_t magic = KVCS_TRY(in.u32("the magic"));
  file.version = KVCS_TRY(in.u32("the version"));
  file.is_context = magic == kLlamaContextMagic;
  if (!file.is_context && magic != kLlamaSequenceMagic) {
    std::string seen;
    append_u32le(seen, magic);
    return invalid("not a llama.cpp state file: it begins with \"" + printable(seen) +
                   "\", not with ggsn or ggsq");
  }
  std::vector<uint32_t> ids;
  KVCS_TRY(read_tokens(in, file, ids));
  if (file.is_context) {
    const uint32_t size = KVCS_TRY(in.u32("the architecture's length"));
    if (size == 0 || size > kArchitectureBytesMax) {
      return in.fault("an architecture name of " + std::to_string(size) + " bytes; the limit is " +
                      std::to_string(kArchitectureBytesMax));
    }
    file.architecture = KVCS_TRY(in.bytes(size, "the architecture"));
  }
  const Reading reading = KVCS_TRY(find_layout(in, file));
  KVCS_TRY(place_sequence(source, reading, sequence, ids, file));
  place_tokens(ids, file);
  return file;
}

}  // namespace kvcs::kvfile
