// What the head of a .kv file says: 8 bytes of length, then JSON (web/docs/formats.md). Read of a
// file before it is uploaded, as the command line does, and of a stored one by a range of its bytes.

// `dtype`: of the values; `storageDtype`: of what is stored. `tokens` begin at `firstToken` of their
// text, `layers` at `firstLayer` of their model.
export interface KvHeader {
  scheme: string;
  dtype: string;
  storageDtype: string;
  quantized: boolean;
  layers: number;
  heads: number;
  tokens: number;
  headDim: number;
  firstToken: number;
  firstLayer: number;
  model: string;
  metadata: Record<string, string>;
  // Bytes of the keys and of the values of each layer, with their scales.
  perLayer: { keyBytes: number; valueBytes: number }[];
}

export const lengthBytes = 8;
const headerMaxBytes = 16 << 20;

// How long the JSON after these first bytes is. Throws with words when they begin no .kv file.
export function headerLength(first: Uint8Array, fileBytes: number): number {
  if (first.length < lengthBytes) throw new Error('It is too short for a .kv file.');
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const length = view.getBigUint64(0, true);
  if (
    length > BigInt(headerMaxBytes) ||
    length > BigInt(Math.max(0, fileBytes - lengthBytes)) ||
    length < 2n
  ) {
    throw new Error('It is no .kv file: its first bytes name no header.');
  }
  return Number(length);
}

interface Tensor {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}
const isTensor = (value: unknown): value is Tensor => {
  const one = value as Partial<Tensor> | null;
  return (
    typeof one?.dtype === 'string' &&
    Array.isArray(one.shape) &&
    Array.isArray(one.data_offsets) &&
    one.data_offsets.length === 2
  );
};
const nameOf = /^([kv])_(\d+)(?:_[a-z]+)?$/;

const whole = (text: string | undefined): number => {
  const n = Number(text ?? 0);
  return Number.isInteger(n) && n >= 0 ? n : 0;
};

function schemeOf(tensors: Record<string, Tensor>, metadata: Record<string, string>): string {
  if (metadata['kvcs.scheme']) return metadata['kvcs.scheme'];
  if (tensors['k_0_z']) return 'int4c';
  const plain = tensors['k_0']?.dtype;
  if (plain === 'F8_E4M3') return 'fp8_e4m3';
  if (plain === 'F8_E5M2') return 'fp8_e5m2';
  return plain === undefined ? 'int8' : 'plain';
}

const dtypeBytes: Record<string, number> = {
  F32: 4,
  U32: 4,
  BF16: 2,
  F16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I8: 1,
  U8: 1,
};

// As the command line does: in the order of their offsets tensors begin at 0, follow one another and
// end with the file, and each is as long as its shape says. A download that broke off has the header
// of a whole file.
function checkCover(tensors: Record<string, Tensor>, dataBytes: number): void {
  let expected = 0;
  const inOrder = Object.entries(tensors).sort(
    ([, { data_offsets: a }], [, { data_offsets: b }]) => a[0] - b[0] || a[1] - b[1],
  );
  for (const [name, tensor] of inOrder) {
    const [begin, end] = tensor.data_offsets;
    const needs = tensor.shape.reduce((all, size) => all * size, dtypeBytes[tensor.dtype] ?? NaN);
    if (end - begin !== needs)
      throw new Error(`The file is damaged: ${name} is not as long as its shape says.`);
    if (begin !== expected)
      throw new Error(
        `The file is damaged: ${name} ${begin < expected ? 'overlaps what is' : 'has a hole'} before it.`,
      );
    expected = end;
  }
  if (expected > dataBytes)
    throw new Error(
      `The file is cut: its tensors need ${expected} bytes of data, ${dataBytes} are there.`,
    );
  if (expected < dataBytes)
    throw new Error(`The file has ${dataBytes - expected} bytes behind its last tensor.`);
}

// `dataBytes`: how many stand behind the header; left out, it is not compared with them.
export function parseHeader(json: string, dataBytes?: number): KvHeader {
  let all: unknown;
  try {
    all = JSON.parse(json);
  } catch {
    throw new Error('It is no .kv file: its header is no JSON.');
  }
  if (typeof all !== 'object' || all === null)
    throw new Error('It is no .kv file: its header is no object.');
  const metadata: Record<string, string> = {};
  const tensors: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(all)) {
    if (name === '__metadata__') {
      for (const [key, text] of Object.entries((value ?? {}) as object))
        metadata[key] = String(text);
    } else if (isTensor(value)) tensors[name] = value;
  }
  const first = tensors['k_0'] ?? tensors['k_0_q'];
  if (!first || first.shape.length !== 4)
    throw new Error('It is no .kv file: its header has no keys of layer 0.');
  if (dataBytes !== undefined) checkCover(tensors, dataBytes);
  const [, heads = 0, codedTokens = 0, width = 0] = first.shape;
  const perLayer: KvHeader['perLayer'] = [];
  for (const [name, tensor] of Object.entries(tensors)) {
    const [, part, layer] = nameOf.exec(name) ?? [];
    if (layer === undefined) continue;
    const row = (perLayer[Number(layer)] ??= { keyBytes: 0, valueBytes: 0 });
    const bytes = tensor.data_offsets[1] - tensor.data_offsets[0];
    if (part === 'k') row.keyBytes += bytes;
    else row.valueBytes += bytes;
  }
  const scheme = schemeOf(tensors, metadata);
  // int4c has two codes a byte, and keeps some tokens as they were.
  const isInt4 = scheme === 'int4c';
  const kept = isInt4 ? tensors['k_0_f'] : undefined;
  return {
    scheme,
    storageDtype: first.dtype,
    quantized: tensors['k_0_q'] !== undefined,
    dtype: scheme === 'plain' ? first.dtype : (kept?.dtype ?? metadata['kvcs.dtype'] ?? 'F16'),
    layers: perLayer.length,
    heads,
    tokens: codedTokens + (kept?.shape[2] ?? 0),
    headDim: isInt4 ? width * 2 : width,
    firstToken: whole(metadata['kvcs.position_offset']),
    firstLayer: whole(metadata['kvcs.first_layer']),
    model: metadata['kvcs.model'] ?? 'unknown',
    metadata,
    perLayer: Array.from(perLayer, (row) => row ?? { keyBytes: 0, valueBytes: 0 }),
  };
}

// Reads a header by a function that gives a part of the file.
export async function readHeader(
  read: (from: number, to: number) => Promise<Uint8Array>,
  fileBytes: number,
): Promise<KvHeader> {
  const length = headerLength(await read(0, lengthBytes), fileBytes);
  const bytes = await read(lengthBytes, lengthBytes + length);
  if (bytes[0] !== 0x7b) throw new Error('It is no .kv file: its header is no JSON.');
  return parseHeader(new TextDecoder('utf-8').decode(bytes), fileBytes - lengthBytes - length);
}
