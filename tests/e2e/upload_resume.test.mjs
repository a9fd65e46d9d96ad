// Goal: `kvcs upload` of a large file goes on where it stopped, whichever side died, and says so.
// Method: the real binary sends through a relay that counts bytes; the command, or the daemon, is killed
// when a part of them has passed, and what passes afterwards is counted.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Daemon } from './daemon.mjs';
import { ownAddress, sha256 } from './chance.mjs';
import { tie } from './fault_relay.mjs';
import { kvFile } from './kv_file.mjs';

const kMiB = 2 ** 20;
const kResendMax = 8 * kMiB;
// The relay's address as the command is told it, and in how many parts a large file goes there: 0.0.0.0 leads
// to this machine too, and is not said to.
const kPlaces = [{ host: '127.0.0.1', parts: 1 }, { host: '0.0.0.0', parts: 4 }];

// Passes bytes on and tells how many came from clients, and with which methods requests began.
class CountingRelay {
  constructor(daemon) {
    Object.assign(this, { daemon, sent: 0, methods: [], onBytes: () => {}, open: new Set() });
  }

  async start(host) {
    this.server = createServer((client) => {
      const upstream = connect(this.daemon.port, new URL(this.daemon.url).hostname);
      tie(this.open, client, upstream);
      client.on('data', (chunk) => {
        this.sent += chunk.length;
        const began = /^(POST|PUT|PATCH) \/\S* HTTP\/1/.exec(chunk.subarray(0, 4096).toString('latin1'));
        if (began) this.methods.push(began[1]);
        this.onBytes(this.sent);
      });
      client.pipe(upstream);
      upstream.pipe(client);
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://${host}:${this.server.address().port}`;
    return this;
  }

  // Once so many bytes have passed.
  passed(bytes) {
    return new Promise((resolve) => {
      this.onBytes = (sent) => {
        if (sent < bytes) return;
        this.onBytes = () => {};
        resolve();
      };
    });
  }

  stop() {
    for (const end of [...this.open]) end();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

async function withUpload(run, host = '127.0.0.1') {
  const daemon = new Daemon({}, { listen: `${ownAddress()}:0` });
  let relay;
  try {
    await daemon.start();
    daemon.listen = daemon.url.slice('http://'.length);
    relay = await new CountingRelay(daemon).start(host);
    const bytes = kvFile(72 * kMiB);
    writeFileSync(join(daemon.folder, 'large.kv'), bytes);
    const begin = (file = 'large.kv') => daemon.begin(relay.url, 'upload', file, '--name', 'large', '--json');
    await run({ daemon, relay, bytes, begin });
  } finally {
    await relay?.stop();
    if (existsSync(daemon.data) && daemon.process.exitCode === null) await daemon.stop('SIGKILL');
    daemon.remove();
  }
}

async function checkStored(daemon, done, bytes) {
  assert.equal(done.code, 0, done.stderr);
  const { artifact_id: id } = JSON.parse(done.stdout);
  const artifact = (await daemon.api('GET', `/api/v1/artifacts/${id}`)).body;
  assert.equal(artifact.status, 'ready');
  assert.equal(artifact.sha256, sha256(bytes));
  assert.equal((await daemon.api('GET', '/api/v1/quota')).body.used.storage_bytes, bytes.length);
  assert.deepEqual(readdirSync(join(daemon.data, 'blobs/staged')), []);
  assert.deepEqual(readdirSync(join(daemon.folder, '.config/kvcs/uploads')), []);
}

for (const [signal, { host, parts }] of ['SIGKILL', 'SIGINT'].flatMap((one) => kPlaces.map((place) => [one, place]))) {
  test(`kvcs upload goes on after ${signal} of the command (${parts} at once)`, () => withUpload(async ({ daemon, relay, bytes, begin }) => {
    const half = relay.passed(bytes.length / 2);
    const first = begin();
    await half;
    first.kill(signal);
    const ended = await first.ended;
    assert.equal(ended.signal, signal);
    if (signal === 'SIGINT') assert.match(ended.stderr, /The same command goes on where this one stopped/);
    const before = relay.sent;
    const done = await begin().ended;
    await checkStored(daemon, done, bytes);
    const resent = before + (relay.sent - before) - bytes.length;
    assert.ok(resent < kResendMax, `${resent} bytes were sent twice`);
  }, host));
}

for (const { host, parts } of kPlaces) {
  test(`kvcs upload goes on after the daemon was killed (${parts} at once)`, () => withUpload(async ({ daemon, relay, bytes, begin }) => {
    const half = relay.passed(bytes.length / 2);
    const command = begin();
    await half;
    await daemon.stop('SIGKILL');
    // What was still between the two sockets, the daemon has not got.
    const staged = join(daemon.data, 'blobs/staged');
    const arrived = readdirSync(staged).reduce((sum, name) => sum + statSync(join(staged, name)).size, 0);
    const before = relay.sent;
    await daemon.start();
    await checkStored(daemon, await command.ended, bytes);
    const resent = relay.sent - before - (bytes.length - arrived);
    assert.ok(arrived > 0 && resent < kResendMax, `${resent} of ${arrived} bytes were sent twice`);
  }, host));
}

for (const { host, parts } of kPlaces) {
  test(`kvcs upload sends a small file in one piece, and a large one in ${parts} to go on with`, () => withUpload(async ({ daemon, relay, begin, bytes }) => {
    await checkStored(daemon, await begin().ended, bytes);
    assert.equal(relay.methods.filter((method) => method === 'PATCH').length, parts, String(relay.methods));
    assert.ok(!relay.methods.includes('PUT'));
    relay.methods = [];
    writeFileSync(join(daemon.folder, 'small.kv'), kvFile(kMiB));
    assert.equal((await begin('small.kv').ended).code, 0);
    assert.equal(relay.methods.filter((method) => method === 'PUT').length, 1, String(relay.methods));
    assert.ok(!relay.methods.includes('PATCH'));
    const { used } = (await daemon.api('GET', '/api/v1/quota')).body;
    assert.equal(used.artifacts, 2);
  }, host));
}

test('kvcs upload sends no byte that its organization has, or that another one has and it can show', () => withUpload(async ({ daemon, relay, bytes, begin }) => {
  await checkStored(daemon, await begin().ended, bytes);
  let before = relay.sent;
  const again = await begin().ended;
  assert.equal(again.code, 0, again.stderr);
  assert.ok(relay.sent - before < 100_000, `${relay.sent - before} bytes`);
  // Another organization with the same file.
  const { body: org } = await daemon.admin('POST', '/admin/organizations', { name: 'Other' });
  const { body: project } = await daemon.admin('POST', `/admin/organizations/${org.org_id}/projects`, { name: 'P' });
  const { body: key } = await daemon.admin('POST',
    `/admin/organizations/${org.org_id}/projects/${project.project_id}/api-keys`, { name: 'k' });
  before = relay.sent;
  daemon.credentials.api_key = key.api_key;
  const shown = await begin().ended;
  assert.equal(shown.code, 0, shown.stderr);
  assert.ok(relay.sent - before < 100_000, `${relay.sent - before} bytes`);
  assert.equal((await daemon.api('GET', '/api/v1/quota')).body.used.storage_bytes, bytes.length);
}));
