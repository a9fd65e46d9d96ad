// Goal: a download ends whole or says why, on a file system that lacks calls or fails them, and an upload from
// there too; the same command goes on once the file system works again. Method: the real binary over a FUSE
// mount, whose calls fail as the test says (faulty_mount.py).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { kNoLimits } from './chance.mjs';
import { withDaemon } from './daemon.mjs';
import { FaultRelay } from './fault_relay.mjs';
import { kvFile } from './kv_file.mjs';

const kPython = '/usr/bin/python3';  // Debian's, which has Debian's modules.
const script = join(dirname(fileURLToPath(import.meta.url)), 'faulty_mount.py');

function whyNot() {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return 'there is no /dev/fuse that may be used';
  }
  return spawnSync(kPython, ['-c', 'import fusepy']).status === 0 ? false : 'python3-fusepy is not installed';
}
const skip = whyNot();

const unmount = (point) => spawnSync('fusermount3', ['-u', '-z', point]);

// Runs `use` with the mount: `back` is the folder behind it, `fail(…lines)` says which calls fail from now on.
async function withMount(folder, context, use) {
  const point = join(folder, 'mount'), back = join(folder, 'back'), plan = join(folder, 'plan');
  mkdirSync(point);
  mkdirSync(back);
  writeFileSync(plan, '');
  const child = spawn(kPython, [script, back, point, plan], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  let said = '';
  child.stderr.on('data', (chunk) => { said += chunk; });
  const clean = () => unmount(point);
  process.once('exit', clean);
  try {
    while (statSync(point).dev === statSync(folder).dev) {
      if (child.exitCode !== null) return context.skip(`mounts are not permitted here: ${said}`);
      await pause(10);
    }
    await use({ back, fail: (...lines) => writeFileSync(plan, lines.map((line) => `${line}\n`).join('')) });
  } finally {
    clean();
    process.off('exit', clean);
    child.kill();
    await ended;
  }
}

// A daemon, a mount, and an artifact with its bytes.
const withAll = (context, use) => withDaemon(async (daemon) => {
  await withMount(daemon.folder, context, async (mount) => {
    const bytes = kvFile(300_000, 1);
    writeFileSync(join(daemon.folder, 'a.kv'), bytes);
    const { artifact_id: id } = JSON.parse((await daemon.cli('upload', 'a.kv', '--json')).stdout);
    await use({ daemon, mount, bytes, id });
  });
}, kNoLimits);

const parts = (back) => readdirSync(back).filter((name) => name.endsWith('.part'));

test('mounts: a download needs no flags of renames, no second names and no locks', { skip }, (context) =>
  withAll(context, async ({ daemon, mount, bytes, id }) => {
    for (const [number, lines] of [[], ['link EPERM'], ['link ENOSYS'], ['link EOPNOTSUPP']].entries()) {
      const name = `${number}.kv`, path = join(mount.back, name), what = `${lines}`;
      const download = (...more) => daemon.cli('download', id, '-o', `mount/${name}`, ...more);
      mount.fail(...lines);
      const done = await download();
      assert.equal(done.status, 0, `${what}: ${done.stderr}`);
      assert.ok(readFileSync(path).equals(bytes), what);
      assert.equal(statSync(path).nlink, 1, what);
      assert.deepEqual(parts(mount.back), [], what);
      writeFileSync(path, 'mine');
      const refused = await download();
      assert.equal(refused.status, 1, what);
      assert.match(refused.stderr, /exists; --force replaces it/, what);
      assert.equal(readFileSync(path, 'utf8'), 'mine', what);
      assert.equal((await download('--force')).status, 0, what);
      assert.ok(readFileSync(path).equals(bytes), what);
    }
  }));

test('mounts: a download whose file system fails says what, keeps what came, and goes on later', { skip }, (context) =>
  withAll(context, async ({ daemon, mount, bytes, id }) => {
    const full = /^error: The disk of mount is full; free space and try again\./;
    const rows = [
      [['create EACCES'], /^error: create mount\/\S*\.part: Permission denied$/m, false],
      [['create EROFS'], /^error: create mount\/\S*\.part: Read-only file system$/m, false],
      [['create ENOSPC'], full, false],
      [['getattr ESTALE'], /^error: create mount\/\S*\.part: Stale file handle$/m, false],
      [['write ENOSPC 100000'], full, true],
      [['write EDQUOT 100000'], full, true],
      [['write EIO 100000'], /^error: write mount\/\S*\.part: Input\/output error\. /, true],
      [['write EFBIG'], /^error: write mount\/\S*\.part: File too large$/m, false],
      [['read EIO 200000'], /^error: read mount\/\S*\.part: Input\/output error\. /, true],
      [['fsync EIO'], /^error: fsync mount\/\S*\.part: Input\/output error\. /, true],
      [['fsync ENOSPC'], full, true],
      [['link EIO'], /^error: rename mount\/\S*\.kv: Input\/output error\. /, true],
      [['link ENOSPC'], full, true],
      [['link EPERM', 'rename EIO'], /^error: rename mount\/\S*\.kv: Input\/output error\. /, true],
    ];
    for (const [number, [lines, words, keeps]] of rows.entries()) {
      const name = `${number}.kv`, what = `${lines}`;
      const download = (...more) => daemon.cli('download', id, '-o', `mount/${name}`, ...more);
      mount.fail(...lines);
      const failed = await download();
      assert.equal(failed.status, 1, what);
      assert.match(failed.stderr, words, what);
      assert.equal(failed.stdout, '', what);
      const told = /are kept in mount\/\S+\.part; the same command goes on there\.$/m.test(failed.stderr);
      assert.equal(told, keeps, `${what}: ${failed.stderr}`);
      const { code } = JSON.parse((await download('--json')).stderr);
      assert.equal(code, words === full ? 'unavailable' : 'io', what);
      mount.fail();
      assert.ok(!readdirSync(mount.back).includes(name), what);
      assert.equal(parts(mount.back).length, keeps ? 1 : 0, what);
      const again = await download();
      assert.equal(again.status, 0, `${what}: ${again.stderr}`);
      assert.ok(readFileSync(join(mount.back, name)).equals(bytes), what);
      assert.deepEqual(parts(mount.back), [], what);
    }
    assert.equal((await daemon.cli('cache', 'list')).stdout, 'No transfer was left in the middle.\n');
  }));

test('mounts: an upload whose file cannot be read says why and leaves nothing on the server', { skip }, (context) =>
  withAll(context, async ({ daemon, mount, bytes }) => {
    writeFileSync(join(mount.back, 'u.kv'), bytes);
    const held = async () => (await daemon.api('GET', '/api/v1/quota')).body.used.artifacts;
    const before = await held();
    const rows = [['open EIO', /cannot open mount\/u\.kv: Input\/output error/],
      ['open EACCES', /cannot open mount\/u\.kv: Permission denied/],
      ['getattr EACCES', /mount\S*: Permission denied/],
      ['getattr EIO', /mount\S*: Input\/output error/],
      ['read EIO 100', /cannot read mount\/u\.kv: Input\/output error/],
      ['read EIO 200000', /cannot read mount\/u\.kv: Input\/output error/]];
    for (const [line, words] of rows) {
      mount.fail(line);
      for (const command of [['upload', 'mount/u.kv'], ['upload', 'mount'], ['sync', 'mount']]) {
        const { status, stderr } = await daemon.cli(...command);
        assert.equal(status, 1, `${line} ${command}`);
        assert.match(stderr, words, `${line} ${command}`);
      }
      const { code } = JSON.parse((await daemon.cli('upload', 'mount/u.kv', '--json')).stderr);
      assert.equal(code, 'io', line);
      mount.fail();
    }
    // It was read for its digest, and cannot be read when its bytes are to be sent.
    const relay = await new FaultRelay(daemon).start();
    try {
      const announced = relay.came('POST', /upload-url$/).then(() => mount.fail('read EIO'));
      const { status, stderr } = await daemon.cliWith({ env: { KVCS_API_URL: relay.url } }, 'upload', 'mount/u.kv');
      await announced;
      assert.equal(status, 1);
      assert.match(stderr, /mount\/u\.kv/);
      assert.match(relay.seen.at(-1), /^DELETE \/api\/v1\/artifacts\//);
    } finally {
      await relay.stop();
    }
    mount.fail();
    assert.equal(await held(), before);
    assert.equal((await daemon.cli('upload', 'mount/u.kv')).status, 0);
    assert.equal(await held(), before + 1);
  }));
