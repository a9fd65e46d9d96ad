// Goal: a person on the command line makes organizations, projects and keys, lets others in, and gives
// things up again. Method: the real binary as daemon and as command, with the token of a session.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { Daemon } from './daemon.mjs';
import { totpCode } from './totp.mjs';

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
  return cliAnswered('', ...args);
}
async function cliAnswered(stdin, ...args) {
  const done = await daemon.cliWith({ stdin, env: { KVCS_TOKEN: token } }, ...args, '--json');
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
  const rotated = await ok('key', 'rotate', key.id, '--overlap-s', '3600');
  assert.equal(rotated.previous.hint, key.hint);
  assert.ok(Date.parse(rotated.previous.expires_at) > Date.now());
  const fresh = await ok('key', 'rotate', key.id, '--overlap-s', '0');
  assert.equal(fresh.previous, undefined);
  assert.equal((await uses(key.api_key, 'list')).status, 1);
  assert.equal((await uses(fresh.api_key, 'list')).status, 0);
  assert.ok((await ok('key', 'list')).some((one) => one.id === key.id));
  assert.deepEqual((await ok('key', 'list', '--search', key.id)).map((one) => one.id), [key.id]);
  assert.deepEqual(await ok('key', 'list', '--search', 'nothing is called so'), []);
  assert.deepEqual((await ok('member', 'list', '--search', 'ADA')).length, 1);
  assert.deepEqual(await ok('member', 'list', '--search', 'nobody'), []);
  await ok('key', 'revoke', key.id, '--yes');
  assert.equal((await uses(fresh.api_key, 'list')).status, 1);
  await ok('project', 'rename', 'contexts', '--slug', 'texts');
  await ok('project', 'use', 'default');
  const shown = await ok('project', 'delete', 'texts', '--dry-run');
  assert.equal(shown.artifacts, 0);
  assert.equal((await ok('project', 'list')).length, 2);
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

test('invitations: listed, sent again, withdrawn', async () => {
  const first = await ok('member', 'invite', '--email', 'new@example.com');
  const [open] = await ok('member', 'invitations');
  assert.equal(open.invitation_id, first.invitation_id);
  const again = await ok('member', 'resend', 'new@example.com');
  assert.notEqual(again.token, first.token);
  await ok('member', 'withdraw', first.invitation_id);
  assert.deepEqual(await ok('member', 'invitations'), []);
});

test('an artifact: edited, published and moved, by a slug', async () => {
  await daemon.cli('sample', 'edited.kv');
  const { artifact_id: id } = JSON.parse((await daemon.cli('upload', 'edited.kv', '--json')).stdout);
  await ok('project', 'create', 'Law', '--slug', 'law');
  const edited = await ok('edit', id, '--name', 'Annual report', '--tag', 'law', '--description', 'Of 2030.',
    '--visibility', 'public', '--project', 'law');
  assert.deepEqual([edited.name, edited.tags, edited.description, edited.visibility, edited.project],
    ['Annual report', ['law'], 'Of 2030.', 'public', 'law']);
  // A public URL is downloaded as a link is; no key is there to be sent.
  const got = await daemon.cliWith({ env: { KVCS_API_KEY: '', HOME: join(daemon.folder, 'nobody') } },
    'download', edited.public_url, '-o', 'public.kv', '--json');
  assert.equal(got.status, 0, got.stderr);
  assert.deepEqual((await ok('edit', id, '--no-tags')).tags, []);
  const [row] = JSON.parse((await daemon.cli('list', '--status', 'all', '--json')).stdout).filter((one) => one.artifact_id === id);
  assert.equal(row?.status ?? 'ready', 'ready');
});

test('what people have is found by name, and lists are of the active project', async () => {
  await daemon.cli('sample', 'named.kv');
  const up = async (...args) => {
    const done = await daemon.cliWith({ env: { KVCS_TOKEN: token } }, 'upload', 'named.kv', ...args, '--json');
    assert.equal(done.status, 0, done.stderr);
    return JSON.parse(done.stdout);
  };
  await ok('project', 'create', 'Tax', '--slug', 'tax');
  const own = await up('--name', 'twin one');
  const there = await up('--name', 'ledger', '--project', 'tax');
  assert.deepEqual([own.project, there.project], ['default', 'tax']);
  const ids = async (...args) => (await ok('list', ...args)).map((one) => one.artifact_id);
  assert.ok((await ids()).includes(own.artifact_id) && !(await ids()).includes(there.artifact_id));
  assert.deepEqual(await ids('--project', 'tax'), [there.artifact_id]);
  assert.ok((await ids('--all-projects')).includes(there.artifact_id));
  const shown = await daemon.cliWith({ env: { KVCS_TOKEN: token } }, 'list');
  assert.match(shown.stderr, /^Project default of organization default; --all-projects/);
  // By name, by some digits, and with one name for two.
  assert.equal((await ok('rename', 'twin one', 'twin')).artifact_id, own.artifact_id);
  assert.deepEqual((await ok('tag', own.artifact_id.slice(0, 8), '+law', '+de')).tags, ['law', 'de']);
  assert.deepEqual((await ok('tag', 'twin', '-law')).tags, ['de']);
  assert.equal((await ok('visibility', 'ledger', 'public')).visibility, 'public');
  assert.equal((await ok('describe', 'ledger', 'Of 2030.')).description, 'Of 2030.');
  await ok('rename', 'ledger', 'twin');
  const two = await cli('delete', 'twin', '--yes');
  assert.equal(two.status, 1);
  const told = JSON.parse(two.stderr);
  assert.equal(told.code, 'invalid');
  for (const id of [own.artifact_id, there.artifact_id]) assert.ok(told.error.includes(id), told.error);
  await ok('delete', there.artifact_id.slice(0, 13), '--yes');
  await ok('delete', 'twin', '--yes');
  const key = await ok('key', 'create', 'named-key');
  assert.equal((await ok('key', 'rotate', 'named-key')).id, key.id);
  await ok('key', 'revoke', 'named-key', '--yes');
  assert.equal((await ok('project', 'list')).filter((one) => one.current).map((one) => one.slug).join(), 'default');
  assert.equal((await ok('org', 'list')).find((one) => one.current).slug, 'default');
  // What was deleted in it can be restored: that goes with a word alone.
  const held = await cli('project', 'delete', 'Tax', '--yes');
  assert.match(held.stderr, /project_not_empty/);
  await ok('project', 'delete', 'Tax', '--force', '--yes');
});

test('the plan of the active organization', async () => {
  const plan = await ok('org', 'plan');
  assert.ok(plan.projects.used >= 1);
  const shown = await daemon.cliWith({ env: { KVCS_TOKEN: token } }, 'org', 'plan');
  assert.match(shown.stdout, /^Organization +default\nPlan +\S+\nMonth +\S+\nRESOURCE/);
  const quota = await daemon.cliWith({ env: { KVCS_TOKEN: token } }, 'quota');
  assert.equal(quota.stdout, shown.stdout);
});

test('after a rename every answer has the present slug', async () => {
  await ok('org', 'rename', 'default', '--slug', 'present');
  assert.equal(JSON.parse((await daemon.cli('whoami', '--json')).stdout).organization, 'present');
  assert.match((await daemon.cliWith({ env: { KVCS_TOKEN: token } }, 'whoami')).stdout, /Organization +present \(owner\)/);
  await ok('org', 'rename', 'present', '--slug', 'default');
});

test('a key where a person is needed, and nothing active: told in commands', async () => {
  const refused = await daemon.cli('org', 'list');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /`env -u KVCS_API_KEY kvcs …`/);
  const invited = await ok('member', 'invite', '--email', 'alone@example.com', '--role', 'viewer');
  const alone = await begin('/auth/register', { token: invited.token, password: 'correct horse battery staple' });
  await ok('member', 'remove', 'alone@example.com', '--yes');
  const nowhere = await daemon.cliWith({ env: { KVCS_TOKEN: alone } }, 'quota');
  assert.equal(nowhere.status, 1);
  assert.match(nowhere.stderr, /kvcs org use ORG/);
});

test('a second factor, sessions and a new password', async () => {
  assert.equal((await cli('totp', 'on')).status, 1);
  const password = 'correct horse battery staple\n';
  const { secret } = (await cliAnswered(password, 'totp', 'on')).json;
  const { recovery_codes: codes } = await ok('totp', 'on', '--code', totpCode(secret));
  assert.ok(codes.length > 1);
  assert.match((await daemon.cliWith({ env: { KVCS_TOKEN: token } }, 'whoami')).stdout, /Second factor +on\n/);
  assert.match((await cliAnswered(password, 'totp', 'on')).stderr, /kvcs totp off/);
  assert.equal((await cli('totp', 'off', '--code', codes[0])).status, 1);
  assert.equal((await cliAnswered(password, 'totp', 'off', '--code', codes[0])).status, 0);
  const other = await begin('/auth/login', { email: 'ada@example.com', password: 'correct horse battery staple' });
  const sessions = await ok('session', 'list');
  const there = sessions.find((one) => !one.current);
  await ok('session', 'end', there.session_id);
  assert.equal((await daemon.cliWith({ env: { KVCS_TOKEN: other } }, 'org', 'list')).status, 1);
  await ok('session', 'end', '--others');
  assert.equal((await ok('session', 'list')).length, 1);
  const changed = await daemon.cliWith({ env: { KVCS_TOKEN: token },
    stdin: 'correct horse battery staple\nanother violin under clouds\n' }, 'password');
  assert.equal(changed.status, 0, changed.stderr);
  assert.equal((await cli('org', 'list')).status, 1);
  assert.ok(await begin('/auth/login', { email: 'ada@example.com', password: 'another violin under clouds' }));
});
