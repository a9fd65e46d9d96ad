// Goal: artifacts are named, found, published and shared by the command line, and what was counted
// and handed out outlives a kill of the daemon.
// Method: each test starts the real binary on a folder and a free port of its own and stops it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { withDaemon } from './daemon.mjs';

async function stored(daemon, name, ...options) {
  const sample = await daemon.cli('sample', `${name}.kv`);
  assert.equal(sample.status, 0, sample.stderr);
  const uploaded = await daemon.cli('upload', `${name}.kv`, '--name', name, '--json', ...options);
  assert.equal(uploaded.status, 0, uploaded.stderr);
  return JSON.parse(uploaded.stdout);
}

test('words at upload find the artifact, and a public one stands in the catalogue', () => withDaemon(async (daemon) => {
  const law = await stored(daemon, 'law', '--description', 'Verträge', '--tag', 'de', '--tag', 'contracts', '--visibility', 'public');
  await stored(daemon, 'other');
  for (const words of ['law', 'vertrage', 'CONTRACTS de']) {
    assert.equal((await daemon.cli('list', '--find', words, '--format', 'ids')).stdout.trim(), law.artifact_id, words);
  }
  assert.match((await daemon.cli('list', '--find', 'other law')).stdout, /No artifacts/);
  const catalogue = await (await fetch(`${daemon.url}/api/v1/catalogue?q=contracts`)).json();
  assert.deepEqual(catalogue.artifacts.map((item) => item.public_url), [law.url]);
  const page = await fetch(law.url, { headers: { accept: 'text/html' } });
  assert.match(page.headers.get('content-type'), /^text\/html/);
  assert.match(await page.text(), /Verträge/);
  assert.equal((await (await fetch(law.url)).arrayBuffer()).byteLength, law.size_bytes);
}));

test('a link of the command line is used as often as it may be, also over a kill', () => withDaemon(async (daemon) => {
  const { artifact_id: id, size_bytes: size } = await stored(daemon, 'plan');
  writeFileSync(join(daemon.folder, 'password'), 'correct horse\n');
  const made = await daemon.cli('share', 'create', id, '--downloads-max', '2', '--password-file', 'password', '--json');
  assert.equal(made.status, 0, made.stderr);
  const { url, share_id: share } = JSON.parse(made.stdout);
  // The port changes with the daemon's next start, the path of the link does not.
  const follow = async (password) => {
    const headers = { authorization: `Basic ${Buffer.from(`x:${password}`).toString('base64')}` };
    const answer = await fetch(daemon.url + new URL(url).pathname, { headers });
    return { status: answer.status, bytes: (await answer.arrayBuffer()).byteLength };
  };
  assert.equal((await follow('wrong')).status, 401);
  assert.deepEqual(await follow('correct horse'), { status: 200, bytes: size });
  assert.match((await daemon.cli('share', 'list', id)).stdout, new RegExp(`${share} +active `));
  await daemon.stop('SIGKILL');
  await daemon.start();
  assert.deepEqual(await follow('correct horse'), { status: 200, bytes: size });
  assert.equal((await follow('correct horse')).status, 410);
  assert.match((await daemon.cli('share', 'list', id)).stdout, new RegExp(`${share} +used up .* 2 +2 +`));
  assert.equal((await daemon.cli('share', 'delete', id, share)).status, 0);
  assert.equal((await follow('correct horse')).status, 404);
  assert.ok(daemon.log.includes('/share/{token}') && !daemon.log.includes(url.split('/').at(-1)));
}));

// Fetches a MiB from `offset` on and breaks the connection off at the first bytes. What the buffers
// of the connection took until then is lost, which is no more than was asked for.
function breakOff(url, offset) {
  return new Promise((resolve, reject) => {
    const range = `bytes=${offset}-${offset + 2 ** 20}`;
    const request = get(url, { headers: { range }, agent: false }, (answer) => {
      answer.once('data', () => {
        answer.destroy();
        resolve(answer.statusCode);
      });
      answer.on('error', () => {});
    });
    request.on('error', reject);
  });
}

test('a link for one download gets its file over a line that breaks', () => withDaemon(async (daemon) => {
  const bytes = Buffer.alloc(64 * 2 ** 20, 7);
  const word = (text) => Buffer.from(text).toString('base64');
  const sent = await fetch(`${daemon.url}/api/v1/uploads`, { method: 'POST', body: bytes, headers: {
    authorization: `Bearer ${daemon.credentials.api_key}`, 'tus-resumable': '1.0.0', 'upload-length': String(bytes.length),
    'content-type': 'application/offset+octet-stream', 'upload-metadata': `name ${word('large')},dtype ${word('F16')}` } });
  assert.equal(sent.status, 201);
  const id = sent.headers.get('x-artifact-id');
  const { url } = JSON.parse((await daemon.cli('share', 'create', id, '--downloads-max', '1', '--json')).stdout);
  for (let attempt = 0; attempt < 6; attempt++) assert.equal(await breakOff(url, 1000 * attempt), 206);
  const rest = await fetch(url, { headers: { range: 'bytes=6000-' } });
  assert.equal(rest.status, 206);
  assert.equal((await rest.arrayBuffer()).byteLength, bytes.length - 6000);
}));
