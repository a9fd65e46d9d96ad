// Goal: a cache that llama.cpp saved goes through a .kv file and back into it, and it goes on with the
// same tokens. Method: npm's build of llama.cpp on small random models, saved in every type of cache,
// imported, exported, restored; the original state, continued the same way, is the measure.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, test } from 'node:test';
import { binary } from '../daemon.mjs';
import { vocabularySize, writeTinyModel } from './tiny_model.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kvcs-engine-'));
const at = (name) => join(folder, name);
after(() => rmSync(folder, { recursive: true, force: true }));

// The engine's npm package needs Node 20; Debian 12 has 18.
const skip = Number(process.versions.node.split('.')[0]) < 20 ? 'needs Node 20 or newer'
  : !existsSync(join(here, 'node_modules/node-llama-cpp')) ? 'needs packaging/deps.sh e2e' : false;

// 160 ids in which many repeat.
const ids = Array.from({ length: 160 }, (_, i) => i === 0 ? 1 : 259 + (i * i * 7 + i) % (vocabularySize - 259));
const models = ['llama', 'qwen3'];

function engine(...args) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const out = execFileSync(process.execPath, [join(here, 'engine.mjs'), ...args],
    { cwd: here, env, encoding: 'utf8', timeout: 120_000, stdio: ['ignore', 'pipe', 'pipe'] });
  return JSON.parse(out.trim().split('\n').at(-1));
}
function kvcs(...args) {
  const done = spawnSync(binary, [...args, '--json'], { cwd: folder, env: { PATH: process.env.PATH, HOME: folder }, encoding: 'utf8' });
  assert.equal(done.status, 0, `kvcs ${args.join(' ')}: ${done.stderr}`);
  return JSON.parse(done.stdout);
}
function prepare(architecture) {
  const model = at(`${architecture}.gguf`);
  if (!existsSync(model)) {
    writeTinyModel(model, architecture);
    writeFileSync(at('ids.json'), JSON.stringify(ids));
  }
  return model;
}
const same = (a, b) => readFileSync(at(a)).equals(readFileSync(at(b)));

// Needs no engine, so that something runs where there is none.
test('a model\'s own description shapes its cache, and another model\'s is refused', (t) => {
  if (skip) t.diagnostic(`the tests with llama.cpp are skipped: it ${skip}`);
  const state = join(here, '../../data/llamacpp/multi0.seq');
  writeTinyModel(at('its.gguf'), 'llama', { layers: 4 });
  const seen = kvcs('import', state, '--from', 'llama', '--gguf', 'its.gguf', '--output', 'm.kv');
  assert.equal(seen.kv_heads, 2);
  for (const [shape, why] of [[{ layers: 3 }, /the model has 3 layers with a cache, the file has 4/],
    [{ layers: 4, kvHeads: 4, headDim: 32 }, /contradicts the keys: they are 2 heads × 64/]]) {
    writeTinyModel(at('other.gguf'), 'llama', shape);
    const done = spawnSync(binary, ['import', state, '--from', 'llama', '--gguf', 'other.gguf', '--output', 'n.kv'],
      { cwd: folder, env: { PATH: process.env.PATH, HOME: folder }, encoding: 'utf8' });
    assert.equal(done.status, 1);
    assert.match(done.stderr.replace(/\s+/g, ' '), why);
  }
});

test('a model\'s cache comes back to the byte, and the engine goes on as it would have', { skip }, () => {
  for (const architecture of models) {
    const model = prepare(architecture);
    engine('save', model, at('a.seq'), at('ids.json'));
    const seen = kvcs('import', 'a.seq', '--from', 'llama', '--gguf', model, '--output', 'a.kv');
    assert.equal(seen.kv_heads, 2);
    assert.equal(seen.rope, architecture === 'llama' ? 'norm' : 'neox');
    assert.ok(seen.agreement > 0.9999);
    kvcs('export', 'a.kv', '--to', 'llama', '--output', 'b.seq');
    assert.ok(same('a.seq', 'b.seq'));
    const fresh = engine('fresh', model, at('ids.json'));
    const restored = engine('continue', model, at('b.seq'));
    assert.equal(restored.taken, ids.length);
    assert.deepEqual(restored, fresh);
    // The order of keys matters: the wrong one leads elsewhere.
    kvcs('export', 'a.kv', '--to', 'llama', '--rope', architecture === 'llama' ? 'neox' : 'norm', '--output', 'c.seq');
    assert.notDeepEqual(engine('continue', model, at('c.seq')).tokens, fresh.tokens);
  }
});

test('a quantised cache goes back into an engine that was started with its types', { skip }, () => {
  const model = prepare('llama');
  for (const type of ['Q8_0', 'Q4_0', 'Q5_1', 'IQ4_NL']) {
    engine('save', model, at('a.seq'), at('ids.json'), type);
    const seen = kvcs('import', 'a.seq', '--from', 'llama', '--output', 'a.kv');
    assert.equal(seen.rotation, 'hadamard');
    kvcs('export', 'a.kv', '--to', 'llama', '--output', 'b.seq');
    if (type === 'Q8_0') assert.ok(same('a.seq', 'b.seq'));
    assert.deepEqual(engine('continue', model, at('b.seq'), type), engine('continue', model, at('a.seq'), type), type);
    kvcs('import', 'a.seq', '--from', 'llama', '--dtype', 'F32', '--output', 'a.kv');
    kvcs('export', 'a.kv', '--to', 'llama', '--output', 'b.seq');
    assert.ok(same('a.seq', 'b.seq'), type);
  }
});

test('a cache of one type goes into an engine of another', { skip }, () => {
  const model = prepare('qwen3');
  engine('save', model, at('a.seq'), at('ids.json'));
  kvcs('import', 'a.seq', '--from', 'llama', '--output', 'a.kv');
  kvcs('export', 'a.kv', '--to', 'llama', '--key-type', 'q8_0', '--value-type', 'q8_0', '--output', 'q.seq');
  const restored = engine('continue', model, at('q.seq'), 'Q8_0');
  assert.equal(restored.taken, ids.length);
  // The first tokens are sure; later ones may fall either way between two that are nearly alike.
  const fresh = engine('fresh', model, at('ids.json'));
  assert.deepEqual(restored.tokens.slice(0, 4), fresh.tokens.slice(0, 4));
  // Back from q8_0 into an engine of F16.
  engine('save', model, at('a.seq'), at('ids.json'), 'Q8_0');
  kvcs('import', 'a.seq', '--from', 'llama', '--output', 'a.kv');
  kvcs('export', 'a.kv', '--to', 'llama', '--key-type', 'f16', '--value-type', 'f16', '--output', 'f.seq');
  assert.equal(engine('continue', model, at('f.seq')).taken, ids.length);
});
