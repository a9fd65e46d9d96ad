// Goal: the .kv commands work as they are typed, end with the promised codes, and print what a
// machine can read with --json. Method: the real binary on artifacts made here; no daemon.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync,
  writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { binary, root } from './daemon.mjs';
import { fileOf } from './kv_file.mjs';

const folder = mkdtempSync(join(tmpdir(), 'kvcs-kv-'));
const at = (name) => join(folder, name);
const data = (name) => join(root, 'tests/data', name);
after(() => rmSync(folder, { recursive: true, force: true }));

function kvcs(...args) {
  const env = { PATH: process.env.PATH, HOME: folder, KVCS_DATA_DIR: at('none') };
  const done = spawnSync(binary, args, { cwd: folder, env, encoding: 'utf8', maxBuffer: 64 << 20 });
  return { status: done.status, out: done.stdout, error: done.stderr };
}
function json(...args) {
  const done = kvcs(...args, '--json');
  assert.equal(done.status, 0, done.error);
  return JSON.parse(done.out);
}

function writeArtifact(name, { layers, heads, tokens, dim }) {
  const size = heads * tokens * dim * 2;
  const header = {};
  let begin = 0;
  for (const kind of ['k', 'v']) {
    for (let layer = 0; layer < layers; layer++, begin += size) {
      header[`${kind}_${layer}`] = { dtype: 'BF16', shape: [1, heads, tokens, dim], data_offsets: [begin, begin + size] };
    }
  }
  // Between 1 and 2, or below zero: the exponent of every value is 0.
  const values = Uint16Array.from({ length: begin / 2 }, (_, i) => 0x3f80 | (Math.imul(i, 40503) >>> 9 & 0x807f));
  writeFileSync(at(name), fileOf(header, Buffer.from(values.buffer)));
}

const tokens = Array.from({ length: 600 }, (_, i) => i * 7 % 500);
writeArtifact('F.kv', { layers: 2, heads: 2, tokens: 600, dim: 64 });
const sidecar = { model_name: 'm', num_layers: 2, num_tokens: 600, dtype: 'BF16', storage_dtype: 'BF16',
  nbytes: statSync(at('F.kv')).size, quantized: false, prompt: 'one\ntwo\n', tokens };
writeFileSync(at('F.kv.json'), JSON.stringify(sidecar));
writeFileSync(at('IDS.json'), JSON.stringify(tokens));
writeFileSync(at('other.json'), JSON.stringify([...tokens.slice(0, 100), 9999]));
writeFileSync(at('T.txt'), 'one\ntwo\n');
writeFileSync(at('other.txt'), 'one\ntwa\n');
copyFileSync(at('F.kv'), at('bare.kv'));

test('inspect shows the geometry, and statistics when asked', () => {
  const seen = json('inspect', 'F.kv');
  assert.deepEqual([seen.layers, seen.kv_heads, seen.tokens, seen.head_dim, seen.scheme, seen.dtype],
    [2, 2, 600, 64, 'plain', 'BF16']);
  assert.equal(seen.per_layer[1].key_bytes, 2 * 600 * 64 * 2);
  assert.equal(seen.per_layer[0].keys, undefined);
  const { keys } = json('inspect', 'F.kv', '--stats').per_layer[0];
  assert.ok(keys.min > -2 && keys.max < 2 && keys.deviation > 0.9, JSON.stringify(keys));
  assert.equal(kvcs('inspect', 'F.kv', '--quiet').status, 0);
});

test('verify: verdicts, exit codes and a report; the artifact stays as it was', () => {
  utimesSync(at('F.kv'), 1e9, 1e9);
  const before = readFileSync(at('F.kv'));
  const rows = [
    [['F.kv'], 0, 'verified'],
    [['F.kv', '--context-file', 'T.txt'], 0, 'verified'],
    [['F.kv', '--tokens', 'IDS.json'], 0, 'verified'],
    [['F.kv', '--tokens', 'other.json'], 3, 'mismatch'],
    [['F.kv', '--context-file', 'other.txt'], 3, 'mismatch'],
    [['F.kv', '--sha256', '0'.repeat(64)], 3, 'mismatch'],
    [['bare.kv', '--tokens', 'IDS.json'], 4, 'unverifiable'],
    [['bare.kv', '--context-file', 'T.txt'], 4, 'unverifiable'],
    [[data('malicious/tail-bytes.kv')], 3, 'mismatch'],
  ];
  for (const [args, status, verdict] of rows) {
    const done = kvcs('verify', ...args, '--json');
    assert.equal(done.status, status, `${args}: ${done.out}${done.error}`);
    const report = JSON.parse(done.out);
    assert.equal(report.verdict, verdict);
    assert.equal(Boolean(report.why), status !== 0);
  }
  const { context } = JSON.parse(
    kvcs('verify', 'F.kv', '--tokens', 'other.json', '--context-file', 'other.txt', '--json').out);
  assert.deepEqual(context.tokens,
    { recorded: 600, given: 101, common_prefix: 100, recorded_token: tokens[100], given_token: 9999 });
  assert.deepEqual(context.text, { recorded: 8, given: 8, common_prefix: 6, line: 2, column: 3 });
  assert.equal(kvcs('verify', 'none.kv').status, 1);
  assert.ok(before.equals(readFileSync(at('F.kv'))));
  assert.equal(statSync(at('F.kv')).mtimeMs, 1e12);
});

test('quant, dequant and compare: every scheme there and back', () => {
  for (const scheme of ['int8', 'int8c', 'q8_0', 'int4c', 'fp8_e4m3', 'fp8_e5m2']) {
    const made = json('quant', 'F.kv', '--scheme', scheme, '--output', 'G.kv', '--verify', '--min-snr', '10');
    assert.equal(made.scheme, scheme);
    assert.equal(made.verified, true);
    assert.ok(made.errors.layers.length === 2 && made.errors.keys.snr_db > 10);
    assert.equal(kvcs('verify', 'G.kv', '--tokens', 'IDS.json').status, 0);
    const back = json('dequant', 'G.kv', '--dtype', 'F16', '--output', 'D.kv');
    assert.equal(back.dtype, 'F16');
    const apart = json('compare', 'F.kv', 'D.kv');
    assert.ok(Math.abs(apart.keys.snr_db - made.errors.keys.snr_db) < 1, scheme);
    assert.ok(made.quantized_bytes < made.original_bytes * 0.6);
  }
});

test('quant as kvcdn types it: its layout, its sidecar, its event, beside the input', () => {
  const made = json('quant', '--input', 'F.kv', '--target-dtype', 'F16');
  assert.equal(made.output, 'F.q8.kv');
  assert.equal(made.scheme, 'int8');
  assert.deepEqual(Object.keys(JSON.parse(readFileSync(at('F.q8.kv.json')))), Object.keys(sidecar));
  const event = JSON.parse(readFileSync(at('F.q8.kv.quant-event.json')));
  assert.deepEqual(Object.keys(event), ['input_path', 'output_path', 'model', 'target_dtype', 'storage_dtype',
    'num_tokens', 'num_layers', 'original_nbytes', 'quantized_nbytes', 'compression_ratio', 'max_quant_error',
    'verify_enabled', 'verification_result', 'mismatch_indices', 'timestamp']);
  assert.equal(event.quantized_nbytes, statSync(at('F.q8.kv')).size);
  assert.equal(JSON.parse(readFileSync(at('F.q8.kv.json'))).storage_dtype, 'U8');
  for (const wrong of ['U8', 'I4', 'FP4', 'F64']) {
    const refused = kvcs('quant', '--input', 'F.kv', '--target-dtype', wrong);
    assert.equal(refused.status, 2);
    assert.match(refused.error, /is not one of F16, F32, BF16, FP8, I8/);
  }
});

test('quant: gates and inputs that do not fit fail with one line and no output', () => {
  const rows = [
    [['F.kv', '--output', 'no.kv', '--min-snr', '99'], 1, /the worst SNR is .* dB, the gate is 99/],
    [['F.kv', '--output', 'no.kv', '--max-attn-err', '1e-9'], 1, /the worst attention error is/],
    [['F.kv', '--output', 'no.kv', '--min-snr', 'much'], 2, /--min-snr: 'much' is not a number/],
    [['F.kv', '--output', 'F.kv'], 1, /F\.kv/],
    [['F.kv', '--scheme', 'int3'], 2, /is not one of: int8/],
    [['F.kv', '--input', 'F.kv'], 2, /name the input once/],
    [[], 2, /which file/],
    [['F.q8.kv', '--output', 'no.kv'], 1, /already int8; `kvcs dequant` it first/],
    [['none.kv', '--output', 'no.kv'], 1, /no such file/],
  ];
  for (const [args, status, words] of rows) {
    const done = kvcs('quant', ...args);
    assert.equal(done.status, status, `${args}: ${done.error}`);
    assert.match(done.error, words);
    assert.equal(done.error.trim().split('\n').length <= 2, true, done.error);
  }
  assert.equal(existsSync(at('no.kv')), false);
  assert.deepEqual(readdirSync(folder).filter((name) => name.includes('tmp')), []);
});

test('pack and unpack, slice: the bytes come back, the part is a part', () => {
  const packed = json('pack', 'F.kv', '--output', 'F.kvz');
  assert.ok(packed.packed_bytes < packed.original_bytes);
  assert.equal(json('unpack', 'F.kvz', '--output', 'U.kv').sha256, packed.sha256);
  assert.ok(readFileSync(at('U.kv')).equals(readFileSync(at('F.kv'))));
  const part = json('slice', 'F.kv', '--tokens', '100:300', '--layers', '1:2', '--output', 'S.kv');
  assert.deepEqual([part.tokens, part.layers], [200, 1]);
  assert.deepEqual([part.taken, part.shortened], [{ tokens: [100, 300], layers: [1, 2] }, false]);
  assert.equal(json('verify', 'S.kv').verdict, 'verified');
  assert.equal(JSON.parse(readFileSync(at('U.kv.json'))).prompt, 'one\ntwo\n');
  const beyond = kvcs('slice', 'F.kv', '--tokens', '500:9999', '--output', 'S.kv');
  assert.deepEqual([beyond.status, beyond.error], [0, "The file's tokens end at 600, not 9999.\n"]);
  assert.equal(json('slice', 'F.kv', '--layers', ':9', '--output', 'S.kv').shortened, true);
});

test('benchmark and plot: from the artifact to a picture, without fonts', () => {
  writeFileSync(at('P.csv'), 'tokens,prefill_s\n300,0.5\n600,1.25\n');
  const made = json('benchmark', 'F.kv', '--output', 'B.csv', '--reps', '1', '--no-server', '--prefill-csv', 'P.csv');
  assert.deepEqual(Object.keys(made.limits), ['memcpy', 'sha256', 'cache_read', 'disk_read', 'disk_write']);
  assert.equal(made.errors.length, 7);  // The schemes, and the cast to BF16 beside them.
  assert.ok(made.machine.cpu && made.machine.kernel && made.machine.kvcs);
  assert.ok(readFileSync(at('B.csv'), 'utf8').split('\n')[0]
    .endsWith(',tokens,prefill_s,kv_attn_s,kv_mb,prefill_gflops,speedup_compute'));
  const drawn = json('plot', '--csv-path', 'B.csv', '--out', 'P.png', '--width', '840');
  assert.equal(drawn.width, 840);
  const row = drawn.reuse[1];
  assert.ok(Math.abs(row.break_even_uses - row.prefill_s / (row.prefill_s - row.load_s)) < 1e-9);
  const png = readFileSync(at('P.png'));
  assert.equal(png.readUInt32BE(16), 840);
  assert.equal(png.readUInt32BE(20), drawn.height);
  // Without any font on the machine, to the byte the same.
  writeFileSync(at('fonts.conf'), '<?xml version="1.0"?><fontconfig></fontconfig>');
  execFileSync(binary, ['plot', '--csv-path', 'B.csv', '--out', 'Q.png', '--width', '840'],
    { cwd: folder, env: { FONTCONFIG_FILE: at('fonts.conf'), HOME: folder } });
  assert.ok(png.equals(readFileSync(at('Q.png'))));
  json('plot', '--csv-path', 'B.csv', '--out', 'P.svg');
  const svg = readFileSync(at('P.svg'), 'utf8');
  for (const label of ['What reuse saves', 'What each scheme loses', 'int8c', '600 tokens', 'SHA-256']) {
    assert.ok(svg.includes(label), label);
  }
  assert.equal(kvcs('plot', '--csv-path', 'B.csv', '--out', 'P.gif').status, 2);
  assert.match(kvcs('plot', '--csv-path', 'T.txt', '--out', 'X.png').error, /T\.txt: this is no file of `kvcs benchmark`/);
  assert.match(kvcs('benchmark', 'F.kv', '--server', 'http://127.0.0.1:1', '--reps', '1', '--scheme', 'int8').error,
    /kvcs quota: There is no key for http:\/\/127\.0\.0\.1:1/);
  assert.match(kvcs('benchmark', 'F.kv', '--prefill-csv', 'T.txt').error, /T\.txt: /);
});

test('output is plain in a pipe, and one line with --quiet', () => {
  assert.equal(kvcs('compare', 'F.kv', 'F.q8.kv').out.includes('\x1b'), false);
  assert.equal(kvcs('quant', 'F.kv', '--output', 'G.kv', '--quiet').out.trim().split('\n').length, 1);
});
