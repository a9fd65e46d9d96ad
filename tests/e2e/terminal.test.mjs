// Goal: in a terminal of any width progress is one line that fits, also while the width changes, what is said
// in between stands on lines of its own, and tables fit. Method: the real binary on a pty whose output is read
// as a terminal would (terminal.py), its bytes coming slowly through a relay.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { kNoLimits } from './chance.mjs';
import { Daemon, binary } from './daemon.mjs';
import { kvFile } from './kv_file.mjs';

const kPython = '/usr/bin/python3';
const terminal = join(dirname(fileURLToPath(import.meta.url)), 'terminal.py');
const skip = spawnSync(kPython, ['--version']).status === 0 ? false : 'there is no /usr/bin/python3';
const kWidths = [40, 60, 80, 120, 200];
const kPieces = 12, kPieceMs = 60;  // A bar is drawn at most ten times a second.
const name = '長い名前の文脈 📦 of a very long name indeed';

const daemon = new Daemon(kNoLimits);
let relay, id;

// Passes requests on, and the bytes of artifacts piece by piece; the first `cuts` of those break off halfway.
class SlowRelay {
  cuts = 0;

  async start() {
    this.server = createServer((request, response) => {
      const passed = ask({ host: '127.0.0.1', port: daemon.port, method: request.method, path: request.url,
        headers: request.headers, agent: false }, (answer) => this.answer(request, answer, response));
      passed.on('error', () => response.destroy());
      response.on('error', () => {});
      request.pipe(passed);
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  async answer(request, answer, response) {
    response.writeHead(answer.statusCode, answer.headers);
    if (!request.url.startsWith('/blobs/') || request.method !== 'GET') return answer.pipe(response);
    const isCut = this.cuts > 0;
    if (isCut) this.cuts--;
    const step = Math.ceil(Number(answer.headers['content-length']) / kPieces);
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    for (let at = 0; at < bytes.length; at += step) {
      if (response.destroyed) return undefined;
      if (isCut && at > bytes.length / 2) return request.socket.destroy();
      response.write(bytes.subarray(at, at + step));
      await pause(kPieceMs);
    }
    return response.end();
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

// The command in a terminal of these widths, one after the other.
async function inTerminal(widths, options, ...args) {
  const child = spawn(kPython, [terminal, String(widths), ...options, binary, ...args], { cwd: daemon.folder,
    stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH, HOME: daemon.folder, LANG: 'C.UTF-8',
      KVCS_API_URL: relay.url, KVCS_API_KEY: daemon.credentials.api_key, KVCS_ADMIN_KEY: daemon.credentials.admin_key } });
  let said = '';
  child.stdout.on('data', (chunk) => { said += chunk; });
  await new Promise((resolve) => child.on('close', resolve));
  const seen = JSON.parse(said);
  assert.equal(seen.wideDrawings, 0, `${args}: ${said}`);
  assert.ok(!seen.lines.some((line) => /\[#*-*\]/.test(line)), `${args}: ${said}`);
  return seen;
}

before(async () => {
  if (skip) return;
  await daemon.start();
  relay = await new SlowRelay().start();
  writeFileSync(join(daemon.folder, `${name}.kv`), kvFile(3 << 20, 1));
  writeFileSync(join(daemon.folder, 'large.kv'), kvFile(66 << 20, 1));
  mkdirSync(join(daemon.folder, 'many'));
  for (let i = 0; i < 8; i++) writeFileSync(join(daemon.folder, 'many', `${name} ${i}.kv`), kvFile(1 << 20, i));
  id = JSON.parse((await daemon.cli('upload', `${name}.kv`, '--json')).stdout).artifact_id;
});

after(async () => {
  if (!skip) {
    await relay.stop();
    await daemon.stop();
  }
  daemon.remove();
});

test('terminal: progress is one line that fits, and nothing of it stays', { skip }, async () => {
  await Promise.all(kWidths.map(async (width) => {
    const file = `back${width}.kv`;
    const down = await inTerminal([width], [], 'download', id, '-o', file);
    assert.equal(down.status, 0);
    assert.ok(down.drawings > 2, String(down.drawings));
    assert.ok(down.lines[0].startsWith('Downloaded back'), down.lines[0]);
    const up = await inTerminal([width], [], 'upload', `${name}.kv`, '--name', `${name} ${width}`);
    assert.equal(up.status, 0);
    assert.ok(up.drawings >= 2, String(up.drawings));  // Its digest, its bytes.
    assert.ok(up.lines[0].startsWith('Uploaded 長い'), up.lines[0]);
    const parts = await inTerminal([width], [], 'upload', 'large.kv', '--name', `large ${width}`);
    assert.equal(parts.status, 0);
    assert.ok(parts.drawings >= 1);
  }));
});

test('terminal: progress of many files is one line that fits', { skip }, async () => {
  for (const width of kWidths) {
    const many = await inTerminal([width], [], 'upload', 'many');
    assert.equal(many.status, 0);
    assert.ok(many.drawings > 0);
    assert.equal((await inTerminal([width], [], 'sync', 'many')).status, 0);
  }
});

test('terminal: progress follows the width while it changes', { skip }, async () => {
  for (const widths of [[120, 40, 200], [40, 200, 60]]) {
    const seen = await inTerminal(widths, [], 'download', id, '-o', 'back.kv', '--force');
    assert.equal(seen.status, 0);
    assert.equal(seen.widthsLeft, 0);
    assert.ok(seen.drawings > 3, String(seen.drawings));
  }
});

test('terminal: what is said while a bar is drawn has a line of its own', { skip }, async () => {
  relay.cuts = 1;
  const seen = await inTerminal([200], [], 'download', id, '-o', 'cut.kv');
  assert.equal(seen.status, 0);
  assert.match(seen.lines[0], /^The transfer failed \(.*\); trying again in 0\.5 s\.$/);
  assert.match(seen.lines[1], /^Downloaded cut\.kv/);
  assert.equal(seen.lines.length, 3);
});

test('terminal: Ctrl-C leaves no bar, and says what is kept', { skip }, async () => {
  const seen = await inTerminal([200], ['--interrupt'], 'download', id, '-o', 'stopped.kv');
  assert.equal(seen.status, -2);
  assert.match(seen.lines[0], /^error: Interrupted\. .* are kept in \.stopped\.kv\.\w+\.part; the same command goes on there\.$/);
  assert.equal(seen.lines.length, 2);
  assert.equal((await inTerminal([200], [], 'download', id, '-o', 'stopped.kv')).status, 0);
  assert.ok(readFileSync(join(daemon.folder, 'stopped.kv')).equals(kvFile(3 << 20, 1)));
});

test('terminal: tables fit, with wide characters in them', { skip }, async () => {
  writeFileSync(join(daemon.folder, 'gone.kv'), kvFile(1000, 99));
  await daemon.cli('upload', 'gone.kv', '--name', `${name} that is gone`);
  assert.equal((await daemon.cli('delete', `${name} that is gone`, '-y')).status, 0);
  for (const width of kWidths.filter((one) => one >= 60)) {
    for (const line of ['list', 'list --status all', 'deleted', 'quota', 'cache list', 'sync many --dry-run',
      'admin org list', 'gateway provider list', 'kv list', 'help', 'help exit-codes']) {
      const seen = await inTerminal([width], [], ...line.split(' '));
      assert.equal(seen.status, 0, line);
      assert.equal(seen.wraps, 0, `${width} ${line}:\n${seen.lines.join('\n')}`);
    }
  }
});
