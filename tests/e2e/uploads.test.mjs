// Goal: tus-js-client, as its users run it, brings its files in, whatever happens to its connections and
// to the daemon on the way.
// Method: the client sends through a relay that cuts connections at places drawn from a seed, or to a
// daemon that is killed and started again on its folder; at the end the artifact is compared byte by byte.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import * as tus from 'tus-js-client';
import { Daemon, withDaemon } from './daemon.mjs';
import { ownAddress, sha256 } from './chance.mjs';
import { tie } from './fault_relay.mjs';

// Draws that follow from a seed (a linear congruential generator, as Numerical Recipes has it).
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function bytesOf(size, seed) {
  const chunks = [];
  for (let at = 0; at * 32 < size; at++) chunks.push(createHash('sha256').update(`${seed} ${at}`).digest());
  return Buffer.concat(chunks).subarray(0, size);
}

// Passes bytes on to the daemon, and cuts a connection when it has brought as many as were drawn.
class CuttingRelay {
  constructor(daemon, draw, mostBytes) {
    Object.assign(this, { daemon, draw, mostBytes, cuts: 0, sent: 0, created: 0, cutting: true, onBytes: () => {}, open: new Set() });
  }

  async start() {
    this.server = createServer((client) => this.relay(client));
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  relay(client) {
    const upstream = connect(this.daemon.port, new URL(this.daemon.url).hostname);
    let left = this.cutting ? Math.floor(this.draw() * this.mostBytes) : Infinity;
    const end = tie(this.open, client, upstream);
    upstream.on('data', (chunk) => {
      if (chunk.includes('201 Created')) this.created++;
      client.write(chunk);
    });
    client.on('data', (chunk) => {
      this.sent += chunk.length;
      this.onBytes(this.sent);
      // The client does not repeat this request.
      if (chunk.includes('Upload-Concat: final')) left = Infinity;
      left -= chunk.length;
      if (left > 0) {
        if (!upstream.write(chunk)) {
          client.pause();
          upstream.once('drain', () => client.resume());
        }
        return;
      }
      this.cuts++;
      // A part of it still arrives, or nothing.
      upstream.write(chunk.subarray(0, Math.max(0, chunk.length + left)), end);
    });
  }

  stop() {
    for (const end of [...this.open]) end();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

const metadataOf = (bytes) => ({ name: 'demo', dtype: 'F16', sha256: sha256(bytes) });
const bearer = (daemon) => ({ Authorization: `Bearer ${daemon.credentials.api_key}` });
// A connection that was cut is tried again at once; a request whose place another one still has, in a while.
const kRetries = [...Array(40).fill(0), ...Array(20).fill(200)];

function upload(daemon, url, bytes, options = {}) {
  return new Promise((resolve, reject) => {
    const sent = new tus.Upload(bytes, {
      endpoint: `${url}/api/v1/uploads`, headers: bearer(daemon), metadata: metadataOf(bytes),
      retryDelays: kRetries, chunkSize: Infinity, ...options,
      onError: reject, onSuccess: () => resolve(sent),
    });
    options.begun?.(sent);
    sent.start();
  });
}

// The artifact is ready, has these bytes, and nothing is left of how it came.
async function checkStored(daemon, sent, bytes) {
  const id = sent.url.slice(sent.url.lastIndexOf('/') + 1);
  const artifact = (await daemon.api('GET', `/api/v1/artifacts/${id}`)).body;
  assert.equal(artifact.status, 'ready');
  assert.equal(artifact.sha256, sha256(bytes));
  const got = Buffer.from(await (await fetch(artifact.download_url)).arrayBuffer());
  assert.ok(got.equals(bytes));
  assert.deepEqual(readdirSync(join(daemon.data, 'blobs/staged')), []);
  const { used } = (await daemon.api('GET', '/api/v1/quota')).body;
  assert.equal(used.storage_bytes, bytes.length);
  assert.equal(used.artifacts, 1);
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`tus-js-client comes through connections that are cut (seed ${seed})`, () => withDaemon(async (daemon) => {
    const draw = seeded(seed);
    const bytes = bytesOf(6_000_000 + Math.floor(draw() * 1000), seed);
    const relay = await new CuttingRelay(daemon, draw, 2_000_000).start();
    try {
      const sent = await upload(daemon, relay.url, bytes, {
        chunkSize: draw() < 0.5 ? Infinity : 700_000,
        uploadDataDuringCreation: false,
      });
      await checkStored(daemon, sent, bytes);
      // No connection passes a third of the file: it is whole only if what had arrived was kept.
      assert.ok(relay.cuts > 2, `${relay.cuts} cuts`);
    } finally {
      await relay.stop();
    }
  }));
}

test('tus-js-client sends parts at once, through connections that are cut', () => withDaemon(async (daemon) => {
  const draw = seeded(77);
  const bytes = bytesOf(8_000_003, 77);
  const relay = await new CuttingRelay(daemon, draw, 3_000_000).start();
  try {
    const sent = await upload(daemon, relay.url, bytes, { parallelUploads: 4 });
    await checkStored(daemon, sent, bytes);
    assert.ok(relay.cuts > 0);
  } finally {
    await relay.stop();
  }
}));

test('tus-js-client sends the first bytes with the creation, and a length that it learns later', () => withDaemon(async (daemon) => {
  const bytes = bytesOf(900_000, 5);
  const sent = await upload(daemon, daemon.url, bytes, { uploadDataDuringCreation: true, chunkSize: 400_000 });
  await checkStored(daemon, sent, bytes);
  assert.equal((await daemon.api('DELETE', `/api/v1/artifacts/${sent.url.split('/').pop()}`)).status, 204);
  const { Readable } = await import('node:stream');
  const later = await new Promise((resolve, reject) => {
    const one = new tus.Upload(Readable.from([bytes.subarray(0, 300_000), bytes.subarray(300_000)]), {
      endpoint: `${daemon.url}/api/v1/uploads`, headers: bearer(daemon), metadata: metadataOf(bytes),
      uploadLengthDeferred: true, chunkSize: 250_000, onError: reject, onSuccess: () => resolve(one),
    });
    one.start();
  });
  await checkStored(daemon, later, bytes);
}));

test('tus-js-client gives an upload up', () => withDaemon(async (daemon) => {
  const bytes = bytesOf(3_000_000, 9);
  const url = await new Promise((resolve, reject) => {
    const sent = new tus.Upload(bytes, {
      endpoint: `${daemon.url}/api/v1/uploads`, headers: bearer(daemon), metadata: metadataOf(bytes),
      chunkSize: 500_000, onError: reject,
      onChunkComplete: (size, done) => {
        if (done < 1_000_000 || done === bytes.length) return;
        sent.abort(true).then(() => resolve(sent.url), reject);
      },
    });
    sent.start();
  });
  const told = await fetch(url, { method: 'HEAD', headers: { ...bearer(daemon), 'Tus-Resumable': '1.0.0' } });
  assert.equal(told.status, 404);
  assert.equal(told.headers.get('tus-resumable'), '1.0.0');
  assert.equal((await daemon.api('GET', '/api/v1/quota')).body.used.storage_bytes, 0);
}));

// A refusal that no handler of the protocol gives still says that the protocol is spoken.
test('every answer about uploads has Tus-Resumable', () => withDaemon(async (daemon) => {
  const url = `${daemon.url}/api/v1/uploads`;
  for (const [method, headers, status] of [['OPTIONS', {}, 204], ['POST', {}, 401], ['PUT', {}, 405],
    ['POST', bearer(daemon), 412]]) {
    const answer = await fetch(url, { method, headers });
    assert.equal(answer.status, status, method);
    assert.equal(answer.headers.get('tus-resumable'), '1.0.0');
  }
  assert.equal((await fetch(`${daemon.url}/api/v1/artifacts`)).headers.get('tus-resumable'), null);
}));

for (const [what, options] of [['one stream', {}], ['parts', { parallelUploads: 3 }],
  ['small pieces', { chunkSize: 300_000 }]]) {
  test(`an upload goes on after the daemon was killed in it: ${what}`, async () => {
    const daemon = new Daemon({}, { listen: `${ownAddress()}:0` });
    let relay;
    try {
      await daemon.start();
      daemon.listen = daemon.url.slice('http://'.length);
      relay = await new CuttingRelay(daemon, () => 1, Infinity).start();
      const bytes = bytesOf(12_000_000, 11);
      // While parts are sent: the client does not repeat the request that joins them, and of a creation
      // whose answer it did not get the part stays until it expires.
      let kills = 0, next = 2_500_000, restarts = Promise.resolve();
      relay.onBytes = (passed) => {
        if (kills >= 3 || passed < next || relay.created < (options.parallelUploads ?? 1)) return;
        kills++;
        next = Infinity;
        restarts = daemon.stop('SIGKILL').then(() => daemon.start()).then(() => { next = relay.sent + 2_000_000; });
      };
      const sent = await upload(daemon, relay.url, bytes, {
        ...options, retryDelays: Array(400).fill(50), onShouldRetry: () => true,
      });
      await restarts;
      assert.equal(kills, 3);
      await checkStored(daemon, sent, bytes);
    } finally {
      await relay?.stop();
      if (existsSync(daemon.data) && daemon.process.exitCode === null) await daemon.stop('SIGKILL');
      daemon.remove();
    }
  });
}
