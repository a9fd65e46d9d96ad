// Makes the .kv files that the tests store.

// A whole file: the length of its header, the header, and the bytes of its tensors.
export function fileOf(header, ...parts) {
  const json = JSON.stringify(header);
  const head = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  return Buffer.concat([length, head, ...parts]);
}

// A file of so many bytes and more, which no other seed gives: one layer with 4 tokens.
export function kvFile(bytes, seed = 0) {
  const width = Math.ceil(bytes / 16), size = 4 * width * 2;
  const tensor = (begin) => ({ dtype: 'F16', shape: [1, 1, 4, width], data_offsets: [begin, begin + size] });
  const data = Buffer.alloc(2 * size);
  for (let at = 0; at < data.length; at += 4096) data.writeUInt32LE(at + seed, at);
  return fileOf({ k_0: tensor(0), v_0: tensor(size) }, data);
}
