// Goal: a person on the command line makes organizations, projects and keys, lets others in, and gives
// things up again. Method: the real binary as daemon and as command, with the token of a session.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Daemon } from './daemon.mjs';

const daemon = new Daemon();
let token;

// The token that the cookie of a setup or a registration holds.
async function begin(path, body) {
  const answer = await fetch(daemon.url + path, { method: 'POST', body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', origin: daemon.url } });
  assert.ok(answer.ok, await answer.text());
  return answer.headers.get('set-cookie').match(/=(ks_[0-9a-f]+)/)[1];
}

async function cli(...args) {
  const done = await daemon.cliWith({ env: { KVCS_TOKEN: token } }, ...args, '--json');
  return { ...done, json: done.stdout ? JSON.parse(done.stdout) : null };
}
async function ok(...args) {
  const done = await cli(...args);
  assert.equal(done.status, 0, `${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.json;
}

before(async () => {
  await daemon.start();
  token = await begin('/auth/setup', { token: new URL(daemon.credentials.setup_url).hash.split('token=')[1],
    email: 'ada@example.com', name: 'Ada', password: 'correct horse battery staple' });
});
after(async () => {
  await daemon.stop();
  daemon.remove();
});

test('organizations: made, used, renamed, given up and taken back', async () => {
  await ok('org', 'create', 'Acme', '--slug', 'acme');
  assert.deepEqual((await ok('org', 'list')).map((org) => org.slug).sort(), ['acme', 'default']);
  const used = await ok('org', 'use', 'acme');
  assert.equal((await ok('project', 'list'))[0].organization_id, used.organization_id);
  await ok('org', 'rename', 'acme', '--slug', 'acme-two');
  assert.ok((await ok('org', 'delete', 'acme-two', '--yes')).deletion_at);
  assert.equal((await cli('project', 'list', '--org', 'acme-two')).status, 1);
  assert.equal((await ok('org', 'restore', 'acme-two')).deletion_at, null);
  await ok('org', 'delete', 'acme-two', '--force', '--yes');
  assert.deepEqual((await ok('org', 'list')).map((org) => org.slug), ['default']);
  await ok('org', 'use', 'default');
});

test('projects and their keys', async () => {
  await ok('project', 'create', 'Contexts');
  assert.equal((await ok('project', 'list')).length, 2);
  await ok('project', 'use', 'contexts');
  const key = await ok('key', 'create', 'ci', '--permission', 'write');
  const uses = (secret, ...args) =>
    daemon.cliWith({ env: { KVCS_API_KEY: secret } }, ...args);
  assert.equal((await uses(key.api_key, 'list')).status, 0);
  const fresh = await ok('key', 'rotate', key.id, '--overlap-s', '0');
  assert.equal((await uses(key.api_key, 'list')).status, 1);
  assert.equal((await uses(fresh.api_key, 'list')).status, 0);
  assert.ok((await ok('key', 'list')).some((one) => one.id === key.id));
  await ok('key', 'delete', key.id, '--yes');
  assert.equal((await uses(fresh.api_key, 'list')).status, 1);
  await ok('project', 'rename', 'contexts', '--slug', 'texts');
  await ok('project', 'use', 'default');
  await ok('project', 'delete', 'texts', '--yes');
  assert.equal((await ok('project', 'list')).length, 1);
});

test('members: invited, given a role, taken out', async () => {
  const invited = await ok('member', 'invite', '--email', 'grace@example.com', '--role', 'admin');
  await begin('/auth/register', { token: invited.token, password: 'correct horse battery staple' });
  assert.equal((await ok('member', 'list')).length, 2);
  assert.equal((await ok('member', 'role', 'grace@example.com', 'viewer')).role, 'viewer');
  const wrong = await cli('member', 'role', 'nobody@example.com', 'viewer');
  assert.equal(wrong.status, 1);
  assert.match(wrong.stdout + wrong.stderr, /grace@example.com/);
  await ok('member', 'remove', 'grace@example.com', '--yes');
  assert.equal((await ok('member', 'list')).length, 1);
  assert.equal((await cli('member', 'remove', 'me', '--yes')).status, 1);
});
