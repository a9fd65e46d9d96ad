// Mixed load on all three doors for as long as one likes, with what the daemon takes of the machine
// measured meanwhile and every account compared at the end. Nothing is killed: what fails is a fault.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { between, chance, each, kNoLimits, pick, sha256, whole } from './chance.mjs';
import { Daemon } from './daemon.mjs';
import { kModel, Mocks } from './soak_mocks.mjs';

const kArtifactsKept = 60;
const nano = (usd) => Math.round(usd * 1e9);

// Small buffers, so that they are full, and memory is what it stays, after seconds.
const kSmallStores = { KVCS_KV_WRITE_BUFFER_BYTES: '1048576', KVCS_KV_BLOCK_CACHE_BYTES: '1048576' };

// What each work counts for in the mix.
const kMix = { chat: 4, stream: 4, leaver: 2, keyCycle: 2, upload: 2, unconfirmed: 1, halfPut: 1, removeArtifact: 2,
  download: 2, toolCall: 4 };
const kWorks = Object.entries(kMix).flatMap(([name, times]) => Array(times).fill(name));

export class Soak {
  done = Object.fromEntries(Object.keys(kMix).map((name) => [name, 0]));
  ready = new Map();       // Confirmed artifacts: id → digest.
  pending = new Set();     // Whose bytes are here, or not, and that nobody has confirmed.
  samples = [];            // { at, resident, descriptors, threads }

  constructor() {
    this.daemon = new Daemon({ ...kNoLimits, ...kSmallStores });
    this.mocks = new Mocks();
  }

  async begin() {
    await this.mocks.start();
    await this.daemon.start();
    await this.must('PUT', '/admin/ai/providers/openai', { kind: 'openai', base_url: this.mocks.url, api_key: 'sk-any' });
    const org_id = this.daemon.credentials.organization_id;
    const made = await this.must('POST', '/admin/users', { email: 'ada@example.com', monthly_limit_usd: 100_000, org_id });
    this.user = made.user_id;
    this.chatKey = (await this.must('POST', `/admin/users/${this.user}/api-keys`, { name: 'chat' })).api_key;
    await this.must('PUT', '/admin/providers/tool',
      { base_url: `${this.mocks.url}/tool`, auth_type: 'bearer', allow_private_addresses: true });
    await this.must('PUT', '/admin/tenants/acme', { name: 'Acme' });
    await this.must('PUT', '/admin/tenants/acme/providers/tool/accounts/default', { access_token: 'secret' });
    this.toolToken = (await this.must('POST', '/admin/tenants/acme/tokens', { name: 'agent' })).token;
  }

  async end() {
    if (this.daemon.process?.exitCode === null && this.daemon.process.signalCode === null) await this.daemon.stop();
    this.mocks.stop();
    this.daemon.remove();
  }

  async must(method, path, body) {
    const answer = await this.daemon.admin(method, path, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async mustApi(method, path, body) {
    const answer = await this.daemon.api(method, path, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async send(method, path, key, body) {
    const response = await fetch(this.daemon.url + path,
      { method, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body });
    return { status: response.status, text: await response.text() };
  }

  // --- what clients do --------------------------------------------------------------------------

  ask(more = {}) {
    return JSON.stringify({ model: kModel, max_tokens: whole(1, 200), ...more,
      messages: [{ role: 'user', content: 'Hello, and a few words more that cost something.' }] });
  }

  async chat() {
    const { status, text } = await this.send('POST', '/v1/chat/completions', this.chatKey, this.ask());
    assert.equal(status, 200, text);
  }

  async stream() {
    const { status, text } = await this.send('POST', '/v1/chat/completions', this.chatKey, this.ask({ stream: true }));
    assert.equal(status, 200, text);
    assert.match(text, /data: \[DONE\]\n\n$/);
  }

  // Leaves at some moment: before the answer, in it, or after it.
  leaver() {
    const body = this.ask({ stream: chance(0.7) });
    return new Promise((resolve) => {
      const request = httpRequest(`${this.daemon.url}/v1/chat/completions`, { method: 'POST', agent: false,
        headers: { authorization: `Bearer ${this.chatKey}`, 'content-type': 'application/json' } });
      request.on('response', (response) => response.resume());
      request.on('error', () => {});
      request.on('close', resolve);
      request.end(body);
      setTimeout(() => request.destroy(), between(0, 60));
    });
  }

  async keyCycle() {
    const keys = `/admin/users/${this.user}/api-keys`;
    const { api_key, key_id } = await this.must('POST', keys, { name: 'k' });
    assert.equal((await this.send('GET', '/v1/models', api_key)).status, 200);
    await this.must('DELETE', `${keys}/${key_id}`);
    assert.equal((await this.send('GET', '/v1/models', api_key)).status, 401, 'a revoked key');
  }

  async announce(bytes) {
    const { url, artifact_id } = await this.mustApi('POST', '/api/v1/artifacts/upload-url',
      { name: 'soak', dtype: 'F16', size_bytes: bytes.length, sha256: sha256(bytes) });
    this.pending.add(artifact_id);
    return { id: artifact_id, path: new URL(url).pathname + new URL(url).search };
  }

  // Another client may remove the artifact meanwhile.
  async put() {
    const bytes = randomBytes(whole(1, 60_000));
    const { id, path } = await this.announce(bytes);
    const answer = await fetch(this.daemon.url + path, { method: 'PUT', body: bytes });
    const text = await answer.text();
    if (this.pending.has(id)) assert.equal(answer.status, 200, text);
    return { id, digest: sha256(bytes) };
  }

  async upload() {
    const { id, digest } = await this.put();
    if (!this.pending.delete(id)) return;
    await this.mustApi('POST', `/api/v1/artifacts/${id}/confirm-upload`, {});
    this.ready.set(id, digest);
    if (this.ready.size > kArtifactsKept) await this.removeArtifact();
  }

  async unconfirmed() {
    await this.put();
    if (this.pending.size > kArtifactsKept) await this.removePending();
  }

  // Sends a part of the bytes and leaves.
  async halfPut() {
    const bytes = randomBytes(whole(1000, 60_000));
    const { path } = await this.announce(bytes);
    await new Promise((resolve) => {
      const socket = connect(this.daemon.port, '127.0.0.1', () => {
        socket.write(`PUT ${path} HTTP/1.1\r\nhost: soak\r\ncontent-length: ${bytes.length}\r\n\r\n`);
        socket.write(bytes.subarray(0, bytes.length >> 1), () => socket.destroy());
      });
      socket.on('error', () => {});
      socket.on('close', resolve);
    });
    if (this.pending.size > kArtifactsKept) await this.removePending();
  }

  async removePending() {
    const id = pick([...this.pending]);
    this.pending.delete(id);
    await this.mustApi('DELETE', `/api/v1/artifacts/${id}`);
  }

  async removeArtifact() {
    if (this.ready.size === 0) return;
    const id = pick([...this.ready.keys()]);
    this.ready.delete(id);
    await this.mustApi('DELETE', `/api/v1/artifacts/${id}?permanent=true`);
  }

  async download() {
    if (this.ready.size === 0) return;
    const [id, digest] = pick([...this.ready]);
    const link = await this.daemon.api('POST', `/api/v1/artifacts/${id}/download-url`, {});
    if (link.status === 404 && !this.ready.has(id)) return;  // Removed meanwhile.
    const url = new URL(link.body.download_url);
    const got = await fetch(this.daemon.url + url.pathname + url.search);
    const bytes = Buffer.from(await got.arrayBuffer());
    if (this.ready.has(id)) assert.equal(sha256(bytes), digest, 'the bytes of an artifact');
  }

  async toolCall() {
    const { status, text } = await this.send('POST', '/api/v1/acme/tool', this.toolToken,
      JSON.stringify({ path: '/things', query: { limit: whole(1, 9) } }));
    assert.equal(status, 200, text);
    assert.equal(JSON.parse(text).success, true, text);
  }

  // --- the run ----------------------------------------------------------------------------------

  async client() {
    while (!this.over) {
      const work = pick(kWorks);
      await this[work]();
      this.done[work]++;
    }
  }

  measure() {
    const status = readFileSync(`/proc/${this.daemon.process.pid}/status`, 'utf8');
    const number = (name) => Number(status.match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))[1]);
    this.samples.push({ at: performance.now(), resident: number('VmRSS') * 1024, threads: number('Threads'),
      descriptors: readdirSync(`/proc/${this.daemon.process.pid}/fd`).length });
  }

  async run(seconds, clients = 8) {
    this.over = false;
    const end = Date.now() + seconds * 1000;
    const all = Promise.all(Array.from({ length: clients }, () => this.client()));
    const sampling = (async () => {
      while (Date.now() < end) {
        this.measure();
        await sleep(Math.min(1000, seconds * 5));
      }
    })();
    try {
      await Promise.race([all, sampling]);
    } finally {
      this.over = true;
      await Promise.allSettled([all, sampling]);
    }
    await all;
  }

  // By how much the line through the samples of the second half rises, from its begin to its end. The
  // first half is for buffers, caches and pools to fill.
  rise(what) {
    const late = this.samples.slice(this.samples.length >> 1).map((one) => [one.at, one[what]]);
    const mean = (index) => late.reduce((sum, one) => sum + one[index], 0) / late.length;
    const [x, y] = [mean(0), mean(1)];
    const slope = late.reduce((sum, one) => sum + (one[0] - x) * (one[1] - y), 0) /
      late.reduce((sum, one) => sum + (one[0] - x) ** 2, 0);
    return slope * (late.at(-1)[0] - late[0][0]);
  }

  // --- what must hold at the end ----------------------------------------------------------------

  async metrics() {
    const text = await (await fetch(`${this.daemon.url}/metrics`)).text();
    const found = (name) => Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))?.[1]);
    return { streams: found('kvcs_ai_open_streams'), reservations: found('kvcs_ai_open_reservations'),
      unwritten: found('kvcs_ai_unwritten_charges'), parked: found('kvcs_http_parked_requests') };
  }

  // Those whose clients have left are read to their end.
  async rest() {
    const quiet = { streams: 0, reservations: 0, unwritten: 0, parked: 0 };
    let now;
    for (let tries = 0; tries < 600; tries++) {
      now = await this.metrics();
      if (JSON.stringify(now) === JSON.stringify(quiet)) return;
      await sleep(100);
    }
    assert.deepEqual(now, quiet, 'a minute after the last client');
  }

  async checkMoney() {
    const { usage } = await this.must('GET', '/admin/usage?group_by=user');
    const rows = usage.find((one) => one.user === this.user);
    const counter = await this.must('GET', `/admin/users/${this.user}/usage`);
    assert.equal(counter.reserved_usd, 0, 'nothing is reserved');
    assert.equal(nano(rows.cost_usd), this.mocks.billedNano, 'the rows are what the provider bills');
    assert.equal(nano(counter.current_usage_usd), this.mocks.billedNano, 'the counter is what the provider bills');
    await this.must('GET', '/admin/audit/verify');
  }

  files(folder) {
    return readdirSync(folder, { withFileTypes: true }).flatMap((one) => (one.isDirectory()
      ? this.files(join(folder, one.name)) : [join(folder, one.name)]));
  }

  async checkBytes() {
    await each([...this.pending], (id) => this.mustApi('DELETE', `/api/v1/artifacts/${id}`));
    this.pending.clear();
    const { artifacts } = await this.mustApi('GET', '/api/v1/artifacts?status=all');
    const listed = artifacts.reduce((sum, one) => sum + one.size_bytes, 0);
    const { used } = await this.mustApi('GET', '/api/v1/quota');
    // The folder's own mark is no artifact.
    const files = this.files(join(this.daemon.data, 'blobs')).filter((path) => !path.endsWith('/store.json'));
    const stored = files.reduce((sum, one) => sum + statSync(one).size, 0);
    assert.deepEqual(artifacts.map((one) => one.id).sort(), [...this.ready.keys()].sort(), 'the list is what was confirmed');
    assert.equal(used.storage_bytes, listed, 'the quota is the sum of the list');
    assert.equal(stored, listed, `the files are the sum of the list: ${files.join(' ')}`);
  }
}
