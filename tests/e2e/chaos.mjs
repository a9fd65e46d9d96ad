// Random kills under mixed load, with a checker that knows what the daemon has acknowledged. Each
// client does one thing after the other and writes down what was answered; what was cut off by a kill
// may have happened or not, and is asked about no more. What fails while no kill is on its way is a
// fault, whatever the status: the limits that so many requests could meet are set out of reach.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { between, chance, each, kNoLimits, ownAddress, pick, sha256, whole } from './chance.mjs';
import { Daemon } from './daemon.mjs';

const completion = JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o-mini',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 } });

export class Chaos {
  keys = new Map();       // User keys that were answered: key → { id, user, alive }.
  artifacts = new Map();  // Confirmed: id → { digest, alive }.
  organizations = new Set();
  chats = 0;              // Answered with 200, all of which must have rows.
  kills = 0;

  constructor() {
    this.daemon = new Daemon(kNoLimits, { listen: `${ownAddress()}:0` });
    this.provider = createServer({ keepAliveTimeout: 0 }, (request, response) => {
      request.resume();
      // The provider's latency: kills meet requests that are under way. Nothing waits for it.
      request.on('end', () => setTimeout(() => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(completion);
      }, between(0, 30)));
    });
  }

  async begin() {
    await new Promise((resolve) => this.provider.listen(0, '127.0.0.1', resolve));
    await this.daemon.start();
    const base_url = `http://127.0.0.1:${this.provider.address().port}`;
    await this.must('PUT', '/admin/ai/providers/openai', { kind: 'openai', base_url, api_key: 'sk-any' });
    this.user = await this.makeUser();
    this.keyUser = this.user;
    this.chatKey = (await this.must('POST', `/admin/users/${this.user}/api-keys`, { name: 'chat' })).api_key;
  }

  async end() {
    if (this.daemon.process?.exitCode === null && this.daemon.process.signalCode === null) await this.daemon.stop();
    this.provider.closeAllConnections?.();
    this.provider.close();
    this.daemon.remove();
  }

  async must(method, path, body) {
    const answer = await this.daemon.admin(method, path, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async makeUser() {
    const made = await this.must('POST', '/admin/users', { email: `${randomBytes(8).toString('hex')}@example.com`,
      monthly_limit_usd: 1000, org_id: this.daemon.credentials.organization_id });
    return made.user_id;
  }

  async status(method, path, key, body) {
    const response = await fetch(this.daemon.url + path,
      { method, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body });
    await response.arrayBuffer();
    return response.status;
  }

  // --- what clients do --------------------------------------------------------------------------

  async chat() {
    const body = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 50 });
    assert.equal(await this.status('POST', '/v1/chat/completions', this.chatKey, body), 200, 'a chat');
    this.chats++;
  }

  async makeKey() {
    const user = this.keyUser;
    const { api_key: key, key_id: id } = await this.must('POST', `/admin/users/${user}/api-keys`, { name: 'k' });
    this.keys.set(key, { id, user, alive: true });
  }

  async revokeKey() {
    const alive = [...this.keys].filter(([, one]) => one.alive);
    if (alive.length === 0) return;
    const [key, { id, user }] = pick(alive);
    this.keys.delete(key);  // Until it is answered, nobody knows.
    await this.must('DELETE', `/admin/users/${user}/api-keys/${id}`);
    this.keys.set(key, { id, user, alive: false });
  }

  async makeOrganization() {
    const made = await this.must('POST', '/admin/organizations', { name: `o${randomBytes(4).toString('hex')}` });
    this.organizations.add(made.org_id);
  }

  async upload() {
    const bytes = randomBytes(whole(1, 40_000));
    const begun = await this.daemon.api('POST', '/api/v1/artifacts/upload-url',
      { name: 'chaos', dtype: 'F16', size_bytes: bytes.length, sha256: sha256(bytes) });
    assert.equal(begun.status, 200, `upload-url: ${JSON.stringify(begun.body)}`);
    const target = new URL(begun.body.url).pathname + new URL(begun.body.url).search;
    const put = await fetch(this.daemon.url + target, { method: 'PUT', body: bytes });
    assert.equal(put.status, 200, `PUT: ${await put.text()}`);
    if (chance(0.1)) return;  // Never confirmed.
    const id = begun.body.artifact_id;
    const confirmed = await this.daemon.api('POST', `/api/v1/artifacts/${id}/confirm-upload`, {});
    assert.equal(confirmed.status, 200, `confirm-upload: ${JSON.stringify(confirmed.body)}`);
    this.artifacts.set(id, { digest: sha256(bytes), alive: true });
  }

  async removeArtifact() {
    const alive = [...this.artifacts].filter(([, one]) => one.alive);
    if (alive.length === 0) return;
    const [id, { digest }] = pick(alive);
    this.artifacts.delete(id);
    const gone = await this.daemon.api('DELETE', `/api/v1/artifacts/${id}`);
    assert.equal(gone.status, 204, `DELETE: ${JSON.stringify(gone.body)}`);
    this.artifacts.set(id, { digest, alive: false });
  }

  // One client. What fails while the daemon is up is a fault; what fails beside a kill is not, and
  // `dying` is set before the signal is sent.
  async client(faults) {
    while (!this.over) {
      const life = this.life;
      const work = pick(['chat', 'chat', 'chat', 'makeKey', 'revokeKey', 'makeOrganization', 'upload', 'removeArtifact']);
      try {
        await this[work]();
      } catch (failure) {
        if (this.up && life === this.life && !this.dying) {
          faults.push(`${work}: ${failure.message} ${failure.cause ?? ''}`);
        }
      }
      if (!this.up || this.dying) await sleep(20);
    }
  }

  // --- what must hold ---------------------------------------------------------------------------

  // Clients go on meanwhile: what one of them has begun to change since is passed over.
  async checkAcknowledged(most) {
    const sample = (all) => [...all].sort(() => Math.random() - 0.5).slice(0, most);
    await each(sample(this.keys), async ([key, one]) => {
      const status = await this.status('GET', '/v1/models', key);
      if (this.keys.get(key) === one) assert.equal(status, one.alive ? 200 : 401, `the user key ${one.id}`);
    });
    await each(sample(this.organizations), async (id) => {
      const found = await this.daemon.admin('GET', `/admin/organizations/${id}`);
      assert.equal(found.status, 200, `the organization ${id}: ${JSON.stringify(found.body)}`);
    });
    await each(sample(this.artifacts), async ([id, one]) => {
      const link = await this.daemon.api('POST', `/api/v1/artifacts/${id}/download-url`, {});
      if (this.artifacts.get(id) !== one) return;
      assert.equal(link.status, one.alive ? 200 : 404, `the artifact ${id}: ${JSON.stringify(link.body)}`);
      if (!one.alive) return;
      const url = new URL(link.body.download_url);
      const response = await fetch(this.daemon.url + url.pathname + url.search);
      const got = Buffer.from(await response.arrayBuffer());
      if (this.artifacts.get(id) === one) assert.equal(sha256(got), one.digest, `the bytes of the artifact ${id}`);
    });
  }

  // Of a daemon at rest: counters are the sums of the rows, every answered chat has one, the audit is
  // whole.
  async checkSums() {
    const { usage } = await this.must('GET', '/admin/usage?group_by=user');
    const rows = usage.find((one) => one.user === this.user) ?? { requests: 0, failures: 0, cost_usd: 0 };
    const counter = await this.must('GET', `/admin/users/${this.user}/usage`);
    assert.equal(counter.reserved_usd, 0, 'nothing is reserved');
    assert.equal(counter.current_usage_usd, rows.cost_usd, 'the counter is the sum of the rows');
    const answered = rows.requests - rows.failures;
    assert.ok(answered >= this.chats, `${answered} rows of ${this.chats} answered chats`);
    await this.must('GET', '/admin/audit/verify');
  }

  // --- the run ----------------------------------------------------------------------------------

  async kill() {
    this.dying = true;
    if (chance(0.2)) {
      this.daemon.process.kill('SIGTERM');
      await sleep(between(0, 60));
    }
    await this.daemon.stop('SIGKILL');
    this.up = false;
    this.kills++;
  }

  async restart() {
    // Some starts are killed too.
    for (let tries = 0; chance(0.2) && tries < 3; tries++) {
      const start = this.daemon.start().catch(() => {});
      await sleep(between(0, 150));
      await this.daemon.stop('SIGKILL');
      await start;
      this.kills++;
    }
    await this.daemon.start();
    this.life++;
    this.dying = false;
    this.up = true;
    this.keyUser = await this.makeUser();  // Nobody has room for the keys of all lives.
  }

  async run(seconds, clients = 6) {
    const faults = [];
    const end = Date.now() + seconds * 1000;
    this.life = 0;
    this.up = true;
    this.dying = this.over = false;
    const all = Array.from({ length: clients }, () => this.client(faults));
    try {
      while (Date.now() < end) {
        await sleep(between(100, 1500));
        await this.kill();
        await this.restart();
        await this.checkAcknowledged(20);
      }
    } finally {
      this.over = true;
      await Promise.all(all);
    }
    await this.daemon.stop('SIGKILL');
    await this.daemon.start();
    await this.checkAcknowledged(Infinity);
    await this.checkSums();
    assert.deepEqual(faults, []);
  }
}
