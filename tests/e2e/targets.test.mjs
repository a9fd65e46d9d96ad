// Goal: commands that run at once never make a wrong file, and what one of them cannot have is said. Method:
// real processes with one target, held by a relay or started together.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isWhole, kNoLimits, sha256 } from './chance.mjs';
import { withDaemon } from './daemon.mjs';
import { FaultRelay } from './fault_relay.mjs';
import { kvFile } from './kv_file.mjs';

const parts = (folder) => readdirSync(folder).filter((name) => name.endsWith('.part'));

async function store(daemon, name, bytes) {
  writeFileSync(join(daemon.folder, name), bytes);
  const done = await daemon.cli('upload', name, '--json');
  assert.equal(done.status, 0, done.stderr);
  return JSON.parse(done.stdout).artifact_id;
}

test('targets: of two downloads into one file the second is told of the first', () => withDaemon(async (daemon) => {
  const bytes = kvFile(300_000, 1), id = await store(daemon, 'a.kv', bytes);
  const relay = await new FaultRelay(daemon, [{ method: 'GET', path: /^\/blobs\//, way: 'stall' }]).start();
  try {
    const came = relay.came('GET', /^\/blobs\//);
    const first = daemon.begin(relay.url, 'download', id, '-o', 'back.kv');
    await came;
    const second = await daemon.cli('download', id, '-o', 'back.kv');
    assert.equal(second.status, 1);
    assert.match(second.stderr, /Another kvcs is downloading into \.back\.kv\.\w+\.part\. Wait for it, or name another file with --output\./);
    assert.equal(JSON.parse((await daemon.cli('download', id, '-o', 'back.kv', '--json')).stderr).code, 'conflict');
    // One that is killed leaves nothing that would be in the way.
    first.kill('SIGKILL');
    await first.ended;
    assert.equal((await daemon.cli('download', id, '-o', 'back.kv')).status, 0);
    assert.ok(readFileSync(join(daemon.folder, 'back.kv')).equals(bytes));
  } finally {
    await relay.stop();
  }
}, kNoLimits));

test('targets: downloads that begin at once make one whole file', () => withDaemon(async (daemon) => {
  // Large enough for several connections.
  const bytes = kvFile(66 << 20, 1), id = await store(daemon, 'a.kv', bytes);
  const target = join(daemon.folder, 'back.kv');
  for (let round = 0; round < (isWhole ? 10 : 2); round++) {
    rmSync(target, { force: true });
    const all = await Promise.all(Array.from({ length: 4 }, () => daemon.begin(daemon.url, 'download', id, '-o', 'back.kv').ended));
    const told = JSON.stringify(all);
    assert.ok(all.some(({ code }) => code === 0), told);
    for (const { code, stderr } of all) {
      if (code !== 0) assert.match(stderr, /Another kvcs is downloading into|exists; --force replaces it/, told);
    }
    assert.equal(sha256(readFileSync(target)), sha256(bytes), told);
    assert.deepEqual(parts(daemon.folder), [], told);
  }
}, kNoLimits));

test('targets: two artifacts into one name are one of them, whole', () => withDaemon(async (daemon) => {
  const contents = [kvFile(2 << 20, 1), kvFile(2 << 20, 2)], ids = [];
  for (const [number, bytes] of contents.entries()) ids.push(await store(daemon, `${number}.kv`, bytes));
  const target = join(daemon.folder, 'back.kv');
  for (let round = 0; round < 5; round++) {
    rmSync(target, { force: true });
    const all = await Promise.all(ids.map((id) => daemon.begin(daemon.url, 'download', id, '-o', 'back.kv').ended));
    const done = all.findIndex(({ code }) => code === 0), told = JSON.stringify(all);
    assert.ok(readFileSync(target).equals(contents[done]), told);
    const other = all[1 - done];
    assert.equal(other.code, 1, told);
    assert.match(other.stderr, /back\.kv exists; --force replaces it\./);
    for (const part of parts(daemon.folder)) rmSync(join(daemon.folder, part));
  }
  const forced = await Promise.all(ids.map((id) => daemon.begin(daemon.url, 'download', id, '-o', 'back.kv', '--force').ended));
  assert.deepEqual(forced.map(({ code }) => code), [0, 0]);
  assert.ok(contents.some((bytes) => readFileSync(target).equals(bytes)));
}, kNoLimits));

test('targets: a sidecar that is not ours and what is no file stay', () => withDaemon(async (daemon) => {
  await daemon.cli('sample', 'sample.kv');
  const id = JSON.parse((await daemon.cli('upload', 'sample.kv', '--json')).stdout).artifact_id;
  const mine = join(daemon.folder, 'config.json');
  writeFileSync(mine, '{"mine":"precious"}');
  const refused = await daemon.cli('download', id, '-o', 'config');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /config\.json exists; --force replaces it\./);
  assert.equal(readFileSync(mine, 'utf8'), '{"mine":"precious"}');
  assert.deepEqual(parts(daemon.folder), []);
  for (const target of ['/dev/stdout', '/dev/null', '/dev/full']) {
    const device = await daemon.cli('download', id, '-o', target, '--force');
    assert.equal(device.status, 1, target);
    assert.match(device.stderr, /is no file that could be replaced\. `--output -` writes to standard output/, target);
  }
}, kNoLimits));

test('targets: uploads of one large file at once are as many artifacts, and nothing is left of either', () =>
  withDaemon(async (daemon) => {
    const bytes = kvFile(66 << 20, 1);
    writeFileSync(join(daemon.folder, 'large.kv'), bytes);
    const all = await Promise.all(Array.from({ length: 2 }, () => daemon.begin(daemon.url, 'upload', 'large.kv', '--json').ended));
    for (const one of all) assert.equal(one.code, 0, JSON.stringify(all));
    for (const { stdout } of all) {
      const { body } = await daemon.api('GET', `/api/v1/artifacts/${JSON.parse(stdout).artifact_id}`);
      assert.equal(body.status, 'ready');
      assert.equal(body.sha256, sha256(bytes));
    }
    assert.equal((await daemon.api('GET', '/api/v1/quota')).body.used.artifacts, all.length);
    assert.deepEqual(readdirSync(join(daemon.data, 'blobs/staged')), []);
    assert.deepEqual(readdirSync(join(daemon.folder, '.config/kvcs/uploads')), []);
  }, kNoLimits));
