// Goal: an operator sets the tool gateway up and watches it with `kvcs gateway` and `kvcs admin`
// alone, credentials go in by stdin and never come out, and a key space of the gateway before this
// one is imported and works. Method: the real binary as daemon and as command line, an API that
// answers what it was asked.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon } from './daemon.mjs';

const daemon = new Daemon({ KVCS_GATEWAY_IP_REQUESTS_PER_MINUTE: '-1' });
const echo = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ method: request.method, url: request.url, body: Buffer.concat(chunks).toString(),
    authorization: request.headers.authorization ?? null, key: request.headers['x-key'] ?? null }));
});
let api;

const ok = (result) => {
  assert.equal(result.status, 0, result.stderr ?? '');
  return result.stdout;
};
const cli = async (...args) => ok(await daemon.cli(...args));
const give = async (stdin, ...args) => ok(await daemon.cliWith({ stdin }, ...args));
const record = (auth_type, auth = {}) => JSON.stringify({ base_url: api, auth_type, auth, allow_private_addresses: true });

before(async () => {
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  api = `http://127.0.0.1:${echo.address().port}`;
  await daemon.start();
});

after(async () => {
  if (daemon.process) await daemon.stop();
  daemon.remove();
  echo.closeAllConnections();
  echo.close();
});

test('with --json a refusal has one of the codes, and the word that the daemon gave it', async () => {
  const refused = await daemon.cli('gateway', 'tenant', 'show', 'nobody', '--json');
  assert.equal(refused.status, 1);
  const told = JSON.parse(refused.stderr);
  assert.deepEqual([told.code, told.reason], ['not_found', 'TENANT_NOT_FOUND']);
});

test('to add a tenant that is there changes what is given, and nothing else', async () => {
  await cli('gateway', 'tenant', 'add', 'again', '--name', 'Again', '--requests-per-minute', '50');
  await cli('gateway', 'tenant', 'suspend', 'again');
  await cli('gateway', 'tenant', 'add', 'again', '--name', 'Once more');
  const tenant = JSON.parse(await cli('gateway', 'tenant', 'show', 'again', '--json'));
  assert.equal(tenant.name, 'Once more');
  assert.equal(tenant.status, 'suspended');
  assert.equal(tenant.limits.requests_per_minute, 50);
});

test('provider, tenant, token and account are set up, and a call goes through', async () => {
  await give(record('bearer'), 'gateway', 'provider', 'set', 'tool');
  await cli('gateway', 'tenant', 'add', 'kahuna', '--name', 'Kahuna', '--requests-per-minute', '500');
  const made = JSON.parse(await cli('gateway', 'token', 'create', 'kahuna', '--name', 'agent', '--json'));
  const added = await give('tool-secret-1\n', 'gateway', 'account', 'add', 'kahuna', 'tool');
  assert.equal(added.includes('tool-secret'), false);
  const env = { KVCS_GATEWAY_TOKEN: made.token };
  const called = ok(await daemon.cliWith({ env }, 'gateway', 'call', 'kahuna', 'tool', '--path', '/v1/things',
    '--query', 'limit=2', '--query', 'tag=a', '--query', 'tag=b', '--compact'));
  assert.deepEqual(JSON.parse(called), { method: 'GET', url: '/v1/things?limit=2&tag=a&tag=b', body: '',
    authorization: 'Bearer tool-secret-1', key: null });
  const sent = ok(await daemon.cliWith({ env, stdin: '{"path":"/v1/x","body":{"amount":1.10}}' },
    'gateway', 'call', 'kahuna', 'tool', '--request', '-'));
  assert.equal(JSON.parse(sent).data.body, '{"amount":1.10}');
  const dry = ok(await daemon.cliWith({ env }, 'gateway', 'call', 'kahuna', 'tool', '--path', '/v1/x', '--dry-run'));
  assert.equal(JSON.parse(dry).request.headers.authorization, '***');
  const refused = await daemon.cliWith({ env }, 'gateway', 'call', 'kahuna', 'nothing', '--path', '/x');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /Provider 'nothing' is not configured/);
  const none = await daemon.cli('gateway', 'call', 'kahuna', 'tool', '--path', '/x');
  assert.equal(none.status, 1);
  assert.match(none.stderr, /KVCS_GATEWAY_TOKEN/);
  await cli('gateway', 'token', 'revoke', 'kahuna', made.token_id, '-y');
  assert.equal((await daemon.cliWith({ env }, 'gateway', 'call', 'kahuna', 'tool', '--path', '/v1/x')).status, 1);
});

test('agents are scheduled entry by entry', async () => {
  const list = async () => JSON.parse(await cli('gateway', 'schedule', 'list', 'kahuna', '--json'));
  assert.deepEqual(await list(), []);
  await cli('gateway', 'schedule', 'add', 'kahuna', 'review', '--agent', 'sales', '--message', 'What moved?');
  await cli('gateway', 'schedule', 'add', 'kahuna', 'clean', '--agent', 'ops', '--message', 'Tidy up.',
    '--cadence', 'weekly_friday', '--callback-url', 'https://example.com/done', '--disabled');
  const clean = { name: 'clean', agent_type: 'ops', message: 'Tidy up.', cadence: 'weekly_friday',
    callback_url: 'https://example.com/done', enabled: false };
  assert.deepEqual(await list(),
    [{ name: 'review', agent_type: 'sales', message: 'What moved?', cadence: 'daily', enabled: true }, clean]);
  // The same name again replaces its entry, where it is.
  const again = JSON.parse(await cli('gateway', 'schedule', 'add', 'kahuna', 'review', '--agent', 'sales',
    '--message', 'What is new?', '--json'));
  assert.deepEqual(again, [{ name: 'review', agent_type: 'sales', message: 'What is new?', cadence: 'daily',
    enabled: true }, clean]);
  await cli('gateway', 'schedule', 'remove', 'kahuna', 'review', '-y');
  assert.deepEqual(await list(), [clean]);
  const gone = await daemon.cli('gateway', 'schedule', 'remove', 'kahuna', 'review', '-y');
  assert.equal(gone.status, 1);
  assert.match(gone.stderr, /'review' is scheduled/);
  const wrong = await daemon.cli('gateway', 'schedule', 'add', 'kahuna', 'x', '--agent', 'a', '--message', 'm',
    '--callback-url', 'ftp://x');
  assert.match(wrong.stderr, /callback_url/);
  assert.equal((await daemon.cli('gateway', 'schedule', 'list', 'nobody')).status, 1);
});

test('what stdin holds becomes the member that the provider needs', async () => {
  const token = JSON.parse(await cli('gateway', 'token', 'create', 'kahuna', '--json')).token;
  const call = async (provider) => JSON.parse(ok(await daemon.cliWith({ env: { MINE: token } }, 'gateway', 'call',
    'kahuna', provider, '--path', '/v1/x', '--compact', '--token-env', 'MINE')));
  await give(record('api_key_header', { header: 'x-key' }), 'gateway', 'provider', 'set', 'by_key');
  await give('tool-secret-2', 'gateway', 'account', 'add', 'kahuna', 'by_key', 'main');
  assert.equal((await call('by_key')).key, 'tool-secret-2');
  await give(record('basic'), 'gateway', 'provider', 'set', 'by_name');
  await give('ada:tool-secret-3', 'gateway', 'account', 'add', 'kahuna', 'by_name');
  assert.equal((await call('by_name')).authorization, `Basic ${btoa('ada:tool-secret-3')}`);
  await give(record('aws_sigv4', { aws_service: 's3' }), 'gateway', 'provider', 'set', 'by_aws');
  await give('AKIDEXAMPLE:tool-secret-4', 'gateway', 'account', 'add', 'kahuna', 'by_aws', '--region', 'eu-west-1');
  assert.match((await call('by_aws')).authorization, /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/s3\//);
  await give('{"access_token":"tool-secret-5","meta":{"a":"b"}}', 'gateway', 'account', 'add', 'kahuna', 'tool', 'second');
  const env = { OTHER: 'tool-secret-6' };
  ok(await daemon.cliWith({ env }, 'gateway', 'account', 'add', 'kahuna', 'tool', 'third', '--secret-env', 'OTHER',
    '--expires', '2100-01-01T00:00:00Z'));
  const list = JSON.parse(await cli('gateway', 'account', 'list', 'kahuna', '--json'));
  assert.deepEqual(list.map((row) => `${row.provider}/${row.account_id}`).sort(),
    ['by_aws/default', 'by_key/main', 'by_name/default', 'tool/default', 'tool/second', 'tool/third']);
  assert.equal(JSON.stringify(list).includes('tool-secret'), false);
  assert.ok(list.every((row) => row.sealed));
  for (const [stdin, ...args] of [['', 'tool'], ['{"access_token":', 'tool'], ['no colon', 'by_name'], ['x', 'nothing']]) {
    const refused = await daemon.cliWith({ stdin }, 'gateway', 'account', 'add', 'kahuna', ...args);
    assert.equal(refused.status, 1, args.join(' '));
  }
  assert.equal((await daemon.cli('gateway', 'account', 'refresh', 'kahuna', 'tool')).status, 1);
  await cli('gateway', 'account', 'remove', 'kahuna', 'tool', 'third', '-y');
  assert.equal((await daemon.cli('gateway', 'account', 'show', 'kahuna', 'tool', 'third')).status, 1);
});

test('mode, suspension, jobs, briefing, decisions and audit', async () => {
  assert.match(await cli('gateway', 'mode', 'frozen'), /frozen/);
  assert.match(await cli('gateway', 'mode'), /frozen/);
  assert.match(await cli('gateway', 'mode', 'active'), /active/);
  assert.match(await cli('gateway', 'tenant', 'suspend', 'kahuna'), /suspended/);
  assert.match(await cli('gateway', 'tenant', 'resume', 'kahuna'), /active/);
  assert.match(await cli('gateway', 'tenant', 'list'), /kahuna/);
  assert.match(await cli('gateway', 'provider', 'list'), /hubspot/);
  assert.match(await cli('gateway', 'provider', 'show', 'tool'), /bearer/);
  assert.match(await cli('admin', 'jobs'), /autoresearch +0 6 \* \* \*/);
  await cli('admin', 'jobs', '--run', 'autoresearch');
  assert.equal((await daemon.cli('admin', 'jobs', '--run', 'nothing')).status, 1);
  let briefing;
  do briefing = await daemon.cli('gateway', 'briefing', '--json'); while (briefing.status !== 0);
  assert.ok(Array.isArray(JSON.parse(briefing.stdout).findings));
  assert.equal((await daemon.cli('gateway', 'briefing', 'someday')).status, 1);
  ok(await daemon.cli('gateway', 'decision', 'list', '--status', 'proposed'));
  assert.equal((await daemon.cli('gateway', 'decision', 'set', 'none', 'accepted')).status, 1);
  assert.match(await cli('admin', 'audit', 'verify'), /true/);
  await cli('gateway', 'provider', 'remove', 'by_key', '-y');
  assert.equal((await daemon.cli('gateway', 'provider', 'show', 'by_key')).status, 1);
});

test('a key space of V5 comes in by kv import, and its tenant works at once', async () => {
  const bearer = 'legacy-bearer-of-the-old-gateway';
  const pair = (key, value) => ({ key, value: typeof value === 'string' ? value : JSON.stringify(value) });
  const bulk = [
    pair(`tenant_auth:${createHash('sha256').update(bearer).digest('hex')}`, { tenant_id: 'ascend', status: 'active' }),
    pair('tenant_config:ascend', { tenant_id: 'ascend', name: 'Ascend', providers: ['old_api'], billing: {} }),
    pair('api_config:old_api', { base_url: api, version: 'v1', auth_type: 'bearer', endpoints: {}, allow_private_addresses: true }),
    pair('tokens:ascend:old_api:default', { access_token: 'tool-secret-7', token_type: 'bearer' }),
    pair('tokens:ascend:old_api:kahuna_prod', { access_token: 'tool-secret-8', expires_at: 4102444800 }),
  ];
  const file = join(daemon.folder, 'v5.json');
  writeFileSync(file, JSON.stringify(bulk));
  await cli('kv', 'import', file);
  const call = async (body, status) => {
    const response = await fetch(`${daemon.url}/api/v1/ascend/old_api`, { method: 'POST', body: JSON.stringify(body),
      headers: { authorization: `Bearer ${bearer}` } });
    assert.equal(response.status, status);
    return response.json();
  };
  assert.equal((await call({ path: '/v1/x' }, 400)).error, 'Tenant ascend has multiple old_api accounts. ' +
    'Pass account_id explicitly. Available: default, kahuna_prod.');
  assert.equal((await call({ path: '/v1/x', account_id: 'default' }, 200)).data.authorization, 'Bearer tool-secret-7');
  assert.equal((await call({ path: '/v1/x', account_id: 'kahuna_prod' }, 200)).data.authorization, 'Bearer tool-secret-8');
  writeFileSync(file, JSON.stringify([pair('system_state:mode', 'frozen')]));
  await cli('kv', 'import', file);
  assert.equal((await call({ path: '/v1/x', account_id: 'default' }, 503)).code, 'FROZEN_GATEWAY');
  await cli('gateway', 'mode', 'active');
});
