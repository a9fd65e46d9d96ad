// Goal: what is said of a .kv file before it is uploaded is true, whatever the file is; and what a browser keeps
// of an upload leads on to the same upload alone.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();

test('SHA-256 of pieces is that of the whole', () => {
  for (const size of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_003]) {
    const bytes = new Uint8Array(size).map((_, at) => (at * 31 + size) & 255);
    const hash = new web.Sha256();
    for (let at = 0, step = 1; at < size; at += step, step = (step * 7) % 97 + 1) hash.update(bytes.subarray(at, at + step));
    assert.equal(hash.finish(), createHash('sha256').update(bytes).digest('hex'), `${size} bytes`);
  }
});

const tensor = (dtype, shape, from, to) => ({ dtype, shape, data_offsets: [from, to] });
const plain = {
  __metadata__: { 'kvcs.model': 'm', 'kvcs.position_offset': '64' },
  k_0: tensor('F16', [1, 2, 10, 4], 0, 160), v_0: tensor('F16', [1, 2, 10, 4], 160, 320),
};

test('a header says geometry and scheme as the command line does', () => {
  const head = web.parseHeader(JSON.stringify(plain));
  assert.deepEqual([head.scheme, head.dtype, head.storageDtype, head.quantized, head.layers, head.heads, head.tokens, head.headDim, head.firstToken],
    ['plain', 'F16', 'F16', false, 1, 2, 10, 4, 64]);
  assert.deepEqual(head.perLayer, [{ keyBytes: 160, valueBytes: 160 }]);
  const int4 = web.parseHeader(JSON.stringify({
    __metadata__: {}, k_0_q: tensor('U8', [1, 2, 252, 32], 0, 1), k_0_z: tensor('BF16', [1, 2, 4, 64], 1, 2),
    k_0_f: tensor('F16', [1, 2, 132, 64], 2, 3), v_0_q: tensor('U8', [1, 2, 252, 32], 3, 4),
  }));
  assert.deepEqual([int4.scheme, int4.tokens, int4.headDim, int4.quantized, int4.dtype, int4.model], ['int4c', 384, 64, true, 'F16', 'unknown']);
  const fp8 = web.parseHeader(JSON.stringify({ k_0: tensor('F8_E4M3', [1, 2, 3, 4], 0, 1), v_0: tensor('F8_E4M3', [1, 2, 3, 4], 1, 2) }));
  assert.deepEqual([fp8.scheme, fp8.quantized, fp8.storageDtype], ['fp8_e4m3', false, 'F8_E4M3']);
});

test('what is no .kv file is said to be none', async () => {
  const read = (bytes) => web.readHeader(async (from, to) => bytes.subarray(from, to), bytes.length);
  const withHeader = (text, dataBytes = 0) => {
    const bytes = new Uint8Array(8 + text.length + dataBytes);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes.set(new TextEncoder().encode(text), 8);
    return bytes;
  };
  assert.equal((await read(withHeader(JSON.stringify(plain), 320))).tokens, 10);
  for (const bytes of [new Uint8Array(0), new Uint8Array(7), new Uint8Array(100), new Uint8Array(100).fill(255),
    new TextEncoder().encode('Dear reader, this is a letter.'), withHeader('{"k_0": 1'), withHeader('[]'), withHeader('{}'),
    withHeader('{"k_0":{"dtype":"F16","shape":[1],"data_offsets":[0,1]}}'), withHeader('null')]) {
    await assert.rejects(read(bytes), /\.kv file/);
  }
  // A whole header before what is not the whole of its data, as the command line refuses it.
  const wrong = (k, v) => JSON.stringify({ k_0: tensor('F16', [1, 2, 10, 4], ...k), v_0: tensor('F16', [1, 2, 10, 4], ...v) });
  for (const [text, dataBytes, said] of [
    [JSON.stringify(plain), 160, /cut: its tensors need 320 bytes of data, 160 are there/], [JSON.stringify(plain), 321, /1 bytes behind/],
    [wrong([-160, 0], [0, 160]), 160, /overlaps/], [wrong([0, 160], [100, 260]), 260, /overlaps/], [wrong([0, 160], [161, 321]), 321, /hole/],
    [wrong([0, 159], [159, 319]), 319, /k_0 is not as long as its shape says/],
    [wrong([0, 160], [160, 320]).replace('F16', 'F12'), 320, /k_0 is not as long/],
  ]) {
    await assert.rejects(read(withHeader(text, dataBytes)), said);
  }
});

test('what is announced has the names that the command line sends', () => {
  const head = web.parseHeader(JSON.stringify(plain));
  const said = web.announce('context.kv', 500, head, 'ab', { model_name: 'n', prompt: 'p' });
  assert.deepEqual([said.name, said.model_name, said.dtype, said.num_tokens, said.size_bytes, said.sha256, said.visibility],
    ['context', 'n', 'F16', 10, 500, 'ab', 'private']);
  assert.equal(said.metadata.sidecar.prompt, 'p');
  assert.equal(web.announce('x.kv', 5, head, 'ab', { prompt: 'p'.repeat(70_000) }).metadata.sidecar, undefined);
  assert.throws(() => web.checkSidecar({ num_layers: 2 }, head, 500), /sidecar is of another file: num_layers is 2 there, and 1 here/);
  web.checkSidecar({ num_layers: 1, num_tokens: 10, nbytes: 500 }, head, 500);
  assert.equal(web.plainName('.kv'), '.kv');
});

test('dropped files are paired with their sidecars', () => {
  const names = ['a.kv', 'a.kv.json', 'b.kv', 'lone.kv.json', 'letter.txt'].map((name) => ({ name }));
  assert.deepEqual(web.pairs(names).map(({ file, sidecar }) => [file.name, sidecar?.name]),
    [['a.kv', 'a.kv.json'], ['b.kv', undefined], ['lone.kv.json', undefined], ['letter.txt', undefined]]);
});

test('an upload is gone on with by the same file, person and place alone', () => {
  const one = { id: 'u', name: 'a.kv', bytes: 5, modified: 7, person: 'p', place: 'o/x', at: 1000 };
  const text = JSON.stringify([one, { id: 3 }, null, { ...one, id: 'old', at: -1e12 }]);
  const all = web.parseKept(text, 2000);
  assert.deepEqual(all, [one]);
  for (const broken of [null, '', '{', '{}', '"x"']) assert.deepEqual(web.parseKept(broken, 2000), []);
  const file = { name: 'a.kv', size: 5, lastModified: 7 };
  assert.equal(web.findKept(all, file, 'p', 'o/x').id, 'u');
  assert.equal(web.findKept(all, { ...file, size: 6 }, 'p', 'o/x'), undefined);
  assert.equal(web.findKept(all, { ...file, lastModified: 8 }, 'p', 'o/x'), undefined);
  assert.equal(web.findKept(all, file, 'q', 'o/x'), undefined);
  assert.equal(web.findKept(all, file, 'p', 'o/y'), undefined);
});

test('tags are split by commas, and each stands once', () => {
  assert.deepEqual(web.parseTags(' law, de ,, long context,law '), ['law', 'de', 'long context']);
  assert.deepEqual(web.parseTags(''), []);
});

test('the store says refusals in a list, and each stands beside its field', () => {
  const error = new web.ApiError(400, 'Bad Request', { details: { error: 'Bad Request', details: ['tags: has 60 characters.'] } });
  const said = web.artifactRefusal(error);
  assert.equal(said.message, 'tags: has 60 characters.');
  assert.deepEqual(said.fields, { tags: 'tags: has 60 characters.' });
  const plainError = new web.ApiError(409, 'Taken.');
  assert.equal(web.artifactRefusal(plainError), plainError);
});

test('what is worth another try', () => {
  assert.deepEqual([0, 409, 423, 429, 503].map(web.isWorthRetrying), [true, true, true, true, true]);
  assert.deepEqual([400, 401, 403, 404, 413, 507].map(web.isWorthRetrying), [false, false, false, false, false, false]);
});

test('commands name files that a shell takes as they are', () => {
  const ways = web.waysToDownload({ artifact_id: 'id', name: '-rf $(x) "y"/../z.kv' });
  assert.match(ways.CLI, /-o rf_x_y_.._z\.kv$/);
  assert.match(web.waysToDownload({ artifact_id: 'id', name: 'ملف' }).CLI, /-o artifact\.kv$/);
});
