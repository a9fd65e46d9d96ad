// Goal: the artifact door of the real binary: the commands in a second terminal, requests as bare
// as the public client's, and a daemon that is killed in the middle of an upload.
// Method: each test starts the daemon on a folder and a free port of its own and stops it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { sha256 } from './chance.mjs';
import { binary, withDaemon } from './daemon.mjs';
import { kvFile } from './kv_file.mjs';

const announce = (bytes) => ({ name: 'demo', dtype: 'F16', size_bytes: bytes.length, checksum: sha256(bytes) });
const filesUnder = (folder) => readdirSync(folder, { recursive: true })
  .map((name) => join(folder, name)).filter((path) => statSync(path).isFile());

// But for the folder's own mark.
const blobFiles = (daemon) => filesUnder(join(daemon.data, 'blobs')).filter((path) => !path.endsWith('/store.json'));

test('upload, list, download and delete through the binary', () => withDaemon(async (daemon) => {
  const bytes = kvFile(1 << 20);
  writeFileSync(join(daemon.folder, 'context.kv'), bytes);
  const uploaded = await daemon.cli('upload', 'context.kv', '--name', 'demo', '--json');
  assert.equal(uploaded.status, 0, uploaded.stderr);
  const { artifact_id: id, sha256: digest } = JSON.parse(uploaded.stdout);
  assert.equal(digest, sha256(bytes));
  assert.match((await daemon.cli('list')).stdout, /demo/);
  const download = await daemon.cli('download', id, '-o', 'back.kv');
  assert.equal(download.status, 0, download.stderr);
  assert.deepEqual(readFileSync(join(daemon.folder, 'back.kv')), bytes);
  assert.equal((await daemon.cli('download', id, '-o', 'back.kv')).status, 1);
  const unasked = await daemon.cli('delete', id);
  assert.equal(unasked.status, 1);
  assert.match(unasked.stderr, /Nobody answered; nothing was changed/);
  assert.match((await daemon.cli('list')).stdout, /demo/);
  assert.equal((await daemon.cli('delete', id, '-y')).status, 0);
  assert.match((await daemon.cli('list')).stdout, /No artifacts/);
  assert.equal(blobFiles(daemon).length, 1);  // It can be restored for a while.
  assert.equal((await daemon.cli('delete', id, '--permanent', '-y')).status, 0);
  assert.equal(blobFiles(daemon).length, 0);
}));

test('the store of a running daemon is read and changed by key, its family told by the form', () => withDaemon(async (daemon) => {
  assert.equal((await daemon.cli('kv', 'put', 'briefing:2026-01-01', 'all is well', '--ttl', '3600')).status, 0);
  assert.equal((await daemon.cli('kv', 'get', 'briefing:2026-01-01')).stdout, 'all is well\n');
  assert.equal((await daemon.cli('kv', 'get', 'briefing:2026-01-01', '--family', 'config')).status, 1);
  const listed = JSON.parse((await daemon.cli('kv', 'list', '--prefix', 'briefing:', '--json')).stdout);
  assert.deepEqual(listed.map((key) => [key.name, key.family]), [['briefing:2026-01-01', 'system']]);
  const all = JSON.parse((await daemon.cli('kv', 'list', '--max', '3', '--json')).stdout);
  assert.equal(all.length, 3);
  const bulk = await daemon.cli('kv', 'export', '--prefix', 'briefing:');
  assert.equal((await daemon.cli('kv', 'delete', 'briefing:2026-01-01', '-y')).status, 0);
  assert.equal((await daemon.cli('kv', 'get', 'briefing:2026-01-01')).status, 1);
  writeFileSync(join(daemon.folder, 'bulk.json'), bulk.stdout);
  assert.equal((await daemon.cli('kv', 'import', 'bulk.json')).status, 0);
  assert.equal((await daemon.cli('kv', 'get', 'briefing:2026-01-01')).stdout, 'all is well\n');
}));

test('the credentials of a daemon nearby are found without any setting', () => withDaemon(async (daemon) => {
  const env = { PATH: process.env.PATH, HOME: daemon.folder };
  const { stdout } = await promisify(execFile)(binary, ['whoami', '--json'], { cwd: daemon.folder, env });
  assert.equal(JSON.parse(stdout).key_source, 'local daemon');
  assert.equal(JSON.parse(stdout).project_id, daemon.credentials.project_id);
}));

test('requests as the public client sends them', () => withDaemon(async (daemon) => {
  const bytes = kvFile(256);
  const key = `authorization: Bearer ${daemon.credentials.api_key}`;
  const head = (line, ...more) => [line, `host: 127.0.0.1:${daemon.port}`, 'accept: */*', ...more];
  const body = Buffer.from(JSON.stringify({ model_name: 'n', dtype: 'F16', num_tokens: 4, visibility: 'private',
    size_bytes: bytes.length, checksum: sha256(bytes),
    metadata: { name: 'n', sha256: sha256(bytes), num_layers: 1, quantized: false } }));
  const begun = await daemon.raw(head('POST /api/v1/artifacts/upload-url HTTP/1.1', key,
    'content-type: application/json', `content-length: ${body.length}`), body);
  assert.match(begun, /^HTTP\/1\.1 200 /);
  const { artifact_id: id, url, upload_url: none } = JSON.parse(begun.slice(begun.indexOf('\r\n\r\n') + 4));
  assert.equal(none, undefined);
  const target = url.slice(url.indexOf('/blobs/'));
  const put = await daemon.raw(head(`PUT ${target} HTTP/1.1`, `content-length: ${bytes.length}`), bytes);
  assert.match(put, /^HTTP\/1\.1 200 /);
  // Without Content-Length, Transfer-Encoding or Content-Type.
  const confirmed = await daemon.raw(head(`POST /api/v1/artifacts/${id}/confirm-upload HTTP/1.1`, key));
  assert.match(confirmed, /^HTTP\/1\.1 200 /);
  const link = await daemon.raw(head(`POST /api/v1/artifacts/${id}/download-url HTTP/1.1`, key));
  assert.match(link, new RegExp(`"artifact_id":"${id}"`));
  assert.match(await daemon.raw(head('POST /api/v1/api-keys/verify HTTP/1.1', key)), /"customer_id":"[0-9a-f]{32}"/);
  const listed = await daemon.raw(head('GET /api/v1/artifacts HTTP/1.1', key));
  assert.ok(!/"id":|"model_name":/.test(listed), listed);
}));

test('truncated, oversized, forged and foreign requests leave nothing behind', () => withDaemon(async (daemon) => {
  const bytes = kvFile(16 << 10);
  const { body: begun } = await daemon.api('POST', '/api/v1/artifacts/upload-url', announce(bytes));
  const put = async (url, content) => {
    const response = await fetch(url, { method: 'PUT', body: content });
    return { status: response.status, body: await response.text() };
  };
  assert.equal((await put(begun.url, bytes.subarray(1))).status, 400);
  assert.equal((await put(begun.url, Buffer.concat([bytes, bytes]))).status, 400);
  const wrong = await put(begun.url, kvFile(16 << 10, 2));
  assert.equal(wrong.status, 400);
  assert.equal(JSON.parse(wrong.body).expected, sha256(bytes));
  assert.equal((await put(begun.url.replace('size=', 'size=1'), bytes)).status, 403);
  assert.equal((await fetch(begun.url)).status, 403);
  const id = begun.artifact_id;
  assert.equal((await daemon.api('POST', `/api/v1/artifacts/${id}/confirm-upload`, {})).status, 400);
  assert.equal((await daemon.api('GET', '/api/v1/artifacts/nonsense')).status, 400);
  assert.equal((await daemon.api('DELETE', '/api/v1/artifacts/00000000-0000-4000-8000-000000000000')).status, 404);
  assert.equal((await fetch(`${daemon.url}/api/v1/artifacts`)).status, 401);
  assert.equal((await fetch(`${daemon.url}/api/v1/artifacts`, { method: 'PATCH' })).status, 405);
  assert.equal(blobFiles(daemon).length, 0);
}));

test('kill -9: confirmed artifacts survive, a half upload vanishes', () => withDaemon(async (daemon) => {
  const kept = kvFile(64 << 10);
  writeFileSync(join(daemon.folder, 'kept.kv'), kept);
  const { artifact_id: id } = JSON.parse((await daemon.cli('upload', 'kept.kv', '--json')).stdout);
  const half = kvFile(16 << 20);
  const { body: begun } = await daemon.api('POST', '/api/v1/artifacts/upload-url', announce(half));
  const target = begun.url.slice(begun.url.indexOf('/blobs/'));
  const socket = connect(daemon.port, '127.0.0.1');
  socket.on('error', () => {});
  const temps = join(daemon.data, 'blobs/tmp');
  socket.write(`PUT ${target} HTTP/1.1\r\nhost: a\r\ncontent-length: ${half.length}\r\n\r\n`);
  socket.write(half.subarray(0, half.length / 2));
  while (!existsSync(temps) || filesUnder(temps).length === 0) await new Promise(setImmediate);
  await daemon.stop('SIGKILL');
  socket.destroy();
  await daemon.start();
  assert.equal(filesUnder(temps).length, 0);
  assert.equal(blobFiles(daemon).length, 1);
  const { body: list } = await daemon.api('GET', '/api/v1/artifacts');
  assert.deepEqual(list.artifacts.map((item) => item.artifact_id), [id]);
  assert.equal((await daemon.cli('download', id, '-o', 'back.kv')).status, 0);
  assert.deepEqual(readFileSync(join(daemon.folder, 'back.kv')), kept);
  // The upload can still be made whole.
  const again = await fetch(daemon.url + target, { method: 'PUT', body: half });
  assert.equal(again.status, 200);
  const confirm = `/api/v1/artifacts/${begun.artifact_id}/confirm-upload`;
  assert.equal((await daemon.api('POST', confirm, { digest: sha256(half) })).status, 200);
}));
