// Small models of random weights as GGUF files: enough for an engine to fill a cache and to go on
// from it, where one wrong value in the cache leads to other tokens.
import { writeFileSync } from 'node:fs';

const U32 = 4, I32 = 5, F32 = 6, BOOL = 7, TEXT = 8, LIST = 9;

// Normal values of a linear congruential generator: the same everywhere.
function randomness(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
}

const u32 = (n) => Buffer.from(Uint32Array.of(n).buffer);
const u64 = (n) => Buffer.from(BigUint64Array.of(BigInt(n)).buffer);
const text = (s) => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)]);
function value(type, v) {
  switch (type) {
    case U32: return u32(v);
    case I32: return Buffer.from(Int32Array.of(v).buffer);
    case F32: return Buffer.from(Float32Array.of(v).buffer);
    case BOOL: return Buffer.from([v ? 1 : 0]);
    case TEXT: return text(v);
    default: return Buffer.concat([u32(v.of), u64(v.items.length), ...v.items.map((one) => value(v.of, one))]);
  }
}

// Bytes, letters and a space: what a SentencePiece vocabulary must have at least.
function vocabulary() {
  const pieces = [['<unk>', 2], ['<s>', 3], ['</s>', 3]];
  for (let byte = 0; byte < 256; byte++) pieces.push([`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 6]);
  for (let code = 33; code < 127; code++) pieces.push([String.fromCharCode(code), 1]);
  pieces.push(['\u2581', 1]);
  return pieces;
}
export const vocabularySize = vocabulary().length;

export function writeTinyModel(path, architecture, { layers = 3, heads = 4, kvHeads = 2, headDim = 64, width = 128, inner = 192 } = {}) {
  const normal = randomness(7), pieces = vocabulary();
  const a = architecture;
  const facts = [
    ['general.architecture', TEXT, a], ['general.name', TEXT, 'tiny'], [`${a}.context_length`, U32, 8192],
    [`${a}.embedding_length`, U32, width], [`${a}.block_count`, U32, layers],
    [`${a}.feed_forward_length`, U32, inner], [`${a}.attention.head_count`, U32, heads],
    [`${a}.attention.head_count_kv`, U32, kvHeads], [`${a}.attention.layer_norm_rms_epsilon`, F32, 1e-5],
    [`${a}.rope.dimension_count`, U32, headDim], [`${a}.rope.freq_base`, F32, 10000],
    [`${a}.attention.key_length`, U32, headDim], [`${a}.attention.value_length`, U32, headDim],
    ['general.file_type', U32, 0], [`${a}.vocab_size`, U32, pieces.length],
    ['tokenizer.ggml.model', TEXT, 'llama'], ['tokenizer.ggml.pre', TEXT, 'default'],
    ['tokenizer.ggml.tokens', LIST, { of: TEXT, items: pieces.map(([piece]) => piece) }],
    ['tokenizer.ggml.scores', LIST, { of: F32, items: pieces.map((_, i) => -i / 100) }],
    ['tokenizer.ggml.token_type', LIST, { of: I32, items: pieces.map(([, type]) => type) }],
    ['tokenizer.ggml.bos_token_id', U32, 1], ['tokenizer.ggml.eos_token_id', U32, 2],
    ['tokenizer.ggml.unknown_token_id', U32, 0], ['tokenizer.ggml.add_bos_token', BOOL, true],
    ['tokenizer.ggml.add_space_prefix', BOOL, false]];
  const tensors = [];
  const random = (name, rows, columns, scale) =>
    tensors.push([name, [columns, rows], Float32Array.from({ length: rows * columns }, () => normal() * scale)]);
  const ones = (name, n) => tensors.push([name, [n], new Float32Array(n).fill(1)]);
  random('token_embd.weight', pieces.length, width, 1);
  random('output.weight', pieces.length, width, width ** -0.5);
  ones('output_norm.weight', width);
  for (let i = 0; i < layers; i++) {
    const p = `blk.${i}.`;
    ones(`${p}attn_norm.weight`, width);
    ones(`${p}ffn_norm.weight`, width);
    random(`${p}attn_q.weight`, heads * headDim, width, width ** -0.5);
    random(`${p}attn_k.weight`, kvHeads * headDim, width, 2 * width ** -0.5);
    random(`${p}attn_v.weight`, kvHeads * headDim, width, width ** -0.5);
    random(`${p}attn_output.weight`, width, heads * headDim, width ** -0.5);
    random(`${p}ffn_gate.weight`, inner, width, width ** -0.5);
    random(`${p}ffn_up.weight`, inner, width, width ** -0.5);
    random(`${p}ffn_down.weight`, width, inner, inner ** -0.5);
    if (a === 'qwen3') {
      ones(`${p}attn_q_norm.weight`, headDim);
      ones(`${p}attn_k_norm.weight`, headDim);
    }
  }
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(facts.length)];
  for (const [key, type, v] of facts) parts.push(text(key), u32(type), value(type, v));
  let offset = 0;
  for (const [name, shape, data] of tensors) {
    parts.push(text(name), u32(shape.length), ...shape.map(u64), u32(0), u64(offset));
    offset += Math.ceil(data.byteLength / 32) * 32;
  }
  const head = Buffer.concat(parts);
  const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc((32 - bytes.length % 32) % 32)]);
  writeFileSync(path, Buffer.concat([padded(head), ...tensors.map(([, , data]) => padded(Buffer.from(data.buffer)))]));
}
