// Goal: accounts that a person connects in the browser stay usable: tokens of a few seconds are
// always fresh, rotated refresh tokens are never lost or used twice, a consent that is withdrawn is
// told once and mended by another, and a daemon killed in the middle of a refresh comes back to one
// state. Method: the real binary against oidc-provider, whose API takes valid tokens alone.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Daemon } from './daemon.mjs';
import { OAuthServer, setCookies } from './oauth_server.mjs';

const lifetime_s = 4;
const alerts = [];  // What the webhook was sent.
const hook = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  alerts.push({ path: request.url, headers: request.headers, text: Buffer.concat(chunks).toString() });
  response.end();
});
let daemon, oauth, token;
const account = (rest = '', id = 'main') => `/admin/tenants/kahuna/providers/local/accounts/${id}${rest}`;

const call = async (body = {}) => {
  const response = await fetch(`${daemon.url}/api/v1/kahuna/local`, { method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ path: '/v1/me', account_id: 'main', ...body }) });
  return { status: response.status, body: await response.json() };
};
const connect = async (id = 'main') => {
  const link = await daemon.cli('gateway', 'account', 'connect', 'kahuna', 'local', id, '--json');
  assert.equal(link.status, 0, link.stderr);
  const { url } = JSON.parse(link.stdout);
  return { url, page: await oauth.giveConsent(url) };
};
// Until the daemon says so; each answer of it is a step.
const until = async (what, condition) => {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    const value = await condition();
    if (value) return value;
  }
  assert.fail(`not within 30 s: ${what}`);
};
// The daemon's own thread may have the account at that moment.
const refresh = async () => {
  const { status } = await until('a refresh', async () => {
    const answer = await daemon.admin('POST', account('/refresh'), {});
    return answer.status !== 409 && answer;
  });
  assert.equal(status, 200);
};
const state = async (id) => (await daemon.admin('GET', account('', id))).body;

before(async () => {
  hook.listen(0, '127.0.0.1');
  await once(hook, 'listening');
  const hookUrl = `http://127.0.0.1:${hook.address().port}`;
  daemon = new Daemon({ KVCS_GATEWAY_IP_REQUESTS_PER_MINUTE: '-1', KVCS_GATEWAY_TOKEN_REQUESTS_PER_MINUTE: '-1',
    KVCS_GATEWAY_TENANT_REQUESTS_PER_MINUTE: '-1', KVCS_LOG_LEVEL: 'debug',
    KVCS_ADMIN_REQUESTS_PER_MINUTE: '1000000', KVCS_ALERTS_ALLOW_PRIVATE_ADDRESSES: 'true',
    KVCS_ALERTS_WEBHOOK_URL: `${hookUrl}/hook`, KVCS_ALERTS_WEBHOOK_SECRET: 'webhook-secret-1',
    KVCS_ALERTS_SLACK_URL: `${hookUrl}/slack/slack-secret-1` });
  await daemon.start();
  oauth = await new OAuthServer().start({ lifetime_s, callback: `${daemon.url}/connect/callback` });
  const set = await daemon.cliWith({ stdin: JSON.stringify(oauth.record()) },
    'gateway', 'provider', 'set', 'local');
  assert.equal(set.status, 0, set.stderr);
  assert.equal((await daemon.cli('gateway', 'tenant', 'add', 'kahuna', '--name', 'Kahuna')).status, 0);
  token = JSON.parse((await daemon.cli('gateway', 'token', 'create', 'kahuna', '--json')).stdout).token;
});

after(async () => {
  if (daemon?.process.exitCode === null && daemon.process.signalCode === null) await daemon.stop();
  daemon?.remove();
  oauth?.stop();
  hook.closeAllConnections();
  hook.close();
});

test('a person connects an account in the browser, with PKCE and state, and the agent can call', async () => {
  assert.equal((await call()).body.code, 'TOKEN_MISSING');
  const { url, page } = await connect();
  assert.equal(page.status, 200, page.page);
  assert.match(page.page, /The account is connected/);
  const shown = await state();
  assert.equal(shown.state, 'ok');
  assert.equal(shown.sealed, true);
  assert.equal(shown.type, 'oauth2_refresh_token');
  const answer = await call();
  assert.deepEqual(answer, { status: 200, body: { success: true, status: 200, data: { account: 'ada' }, cache: 'MISS' } });
  // The link and the callback are good once.
  assert.equal((await fetch(url, { redirect: 'manual' })).status, 404);
  assert.equal((await fetch(page.url)).status, 400);
});

test('a consent that another browser began, or another issuer answered, stores nothing', async () => {
  const link = JSON.parse((await daemon.cli('gateway', 'account', 'connect', 'kahuna', 'local', 'other', '--json')).stdout);
  const begun = await fetch(link.url, { redirect: 'manual' });
  assert.equal(begun.status, 302);
  const authorize = new URL(begun.headers.get('location'));
  assert.equal(authorize.searchParams.get('code_challenge_method'), 'S256');
  assert.match(authorize.searchParams.get('code_challenge'), /^[\w-]{43}$/);
  const state_ = authorize.searchParams.get('state');
  const stolen = await fetch(`${daemon.url}/connect/callback?code=x&state=${state_}`);
  assert.equal(stolen.status, 403);
  const again = JSON.parse((await daemon.cli('gateway', 'account', 'connect', 'kahuna', 'local', 'other', '--json')).stdout);
  const second = await fetch(again.url, { redirect: 'manual' });
  const cookie = setCookies(second)[0].split(';')[0];
  const secondState = new URL(second.headers.get('location')).searchParams.get('state');
  const foreign = await fetch(`${daemon.url}/connect/callback?code=x&state=${secondState}&iss=https://evil.example`,
    { headers: { cookie } });
  assert.equal(foreign.status, 400);
  assert.match(await foreign.text(), /another issuer/);
  assert.equal((await daemon.admin('GET', account('', 'other'))).status, 404);
});

test('over several lifetimes every call goes out with a token that is valid, and none is lost', async () => {
  const before = new Set(oauth.calls);
  const seen = new Set();
  await until('three rotations', async () => {
    const answer = await call();
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    seen.add(oauth.calls.at(-1));
    return seen.size >= 4;
  });
  assert.ok(before.size >= 1);
  assert.equal((await state()).failures, 0);
  // The job and the route refresh, too; each with a refresh token that was not used before, or the
  // server would have taken the grant back.
  await refresh();
  assert.equal((await daemon.admin('POST', '/admin/jobs/token-refresh/run', {})).status, 202);
  assert.equal((await call()).status, 200);
});

test('a thousand callers while the token rotates: the old token or the new, never none', async () => {
  let left = 1000;
  const statuses = new Set();
  const caller = async () => {
    while (left-- > 0) statuses.add((await call()).status);
  };
  const rotated = once(oauth.oidc, 'grant.success');
  const callers = Array.from({ length: 64 }, caller);
  await refresh();
  await Promise.all(callers);
  await rotated;
  assert.deepEqual([...statuses], [200]);
});

test('a consent that is withdrawn is told once, with a signature, and a new one mends it', async () => {
  await call();
  await oauth.withdraw(oauth.calls.at(-1));
  await until('reauth_required', async () => (await state()).state === 'reauth_required');
  const expired = await until('the expiry', async () => {
    const answer = await call();
    return answer.body.code === 'TOKEN_EXPIRED' && answer;
  });
  assert.equal(expired.status, 401);
  assert.equal(expired.body.details.reauth_required, true);
  await until('the alert', async () => {
    await daemon.admin('POST', '/admin/jobs/alert-delivery/run', {});
    return alerts.length >= 2;
  });
  const sent = alerts.find((alert) => alert.path === '/hook');
  const expected = createHmac('sha256', 'webhook-secret-1')
    .update(`${sent.headers['x-kvcs-timestamp']}.${sent.text}`).digest('hex');
  assert.equal(sent.headers['x-kvcs-signature'], `sha256=${expected}`);
  assert.equal(JSON.parse(sent.text).event, 'token.reauth_required');
  assert.equal(JSON.parse(sent.text).subject, 'kahuna/local/main');
  const slack = alerts.find((alert) => alert.path.startsWith('/slack/'));
  assert.match(JSON.parse(slack.text).text, /token.reauth_required kahuna\/local\/main/);
  assert.equal(alerts.length, 2);
  // A row is marked when the receiver's answer is in, which is after the receiver has counted it.
  await until('the mark of delivery', async () => {
    const { body: log } = await daemon.admin('GET', '/admin/alerts');
    return log.alerts.length > 0 && log.alerts.every((row) => row.status === 'delivered');
  });
  const { page } = await connect();
  assert.equal(page.status, 200, page.page);
  assert.equal((await call()).status, 200);
  assert.equal((await state()).state, 'ok');
});

test('removing an account with --revoke ends its grant at the server', async () => {
  assert.equal((await connect('spare')).page.status, 200);
  assert.equal((await call({ account_id: 'spare' })).status, 200);
  const refreshToken = oauth.refreshOf.get(oauth.calls.at(-1));
  assert.ok(await oauth.oidc.RefreshToken.find(refreshToken));
  const removed = await daemon.cli('gateway', 'account', 'remove', 'kahuna', 'local', 'spare', '--revoke', '-y');
  assert.equal(removed.status, 0, removed.stderr);
  assert.equal(await oauth.oidc.RefreshToken.find(refreshToken), undefined);
  assert.equal((await daemon.admin('GET', account('', 'spare'))).status, 404);
});

// What is promised: what the daemon has stored survives, whole; a lease that died with its process
// ends with the next start. What cannot be promised: a refresh token that the server replaced while
// the answer was still on its way is gone, and the person must consent again.
test('killed before the server was asked: the next start refreshes with the same refresh token', async () => {
  const asked = deferred();
  oauth.hold = { before: () => { asked.resolve(); return new Promise(() => {}); } };
  daemon.admin('POST', account('/refresh'), {}).catch(() => {});
  await asked.promise;
  await daemon.stop('SIGKILL');
  oauth.hold = null;
  await daemon.start();
  const first = oauth.calls.length;
  await until('a refresh after the start', async () => {
    const answer = await call();
    return answer.status === 200 && (await state()).state === 'ok' && oauth.calls.length > first;
  });
  assert.equal((await state()).failures, 0);
});

test('killed after the new token was stored: the new refresh token counts', async () => {
  await refresh();
  await daemon.stop('SIGKILL');
  await daemon.start();
  await refresh();
  assert.equal((await call()).status, 200);
});

test('killed while the answer with a new refresh token was on its way: one state, and one alert', async () => {
  const answered = deferred();
  oauth.hold = { after: () => { answered.resolve(); return new Promise(() => {}); } };
  daemon.admin('POST', account('/refresh'), {}).catch(() => {});
  await answered.promise;
  const told = alerts.length;
  await daemon.stop('SIGKILL');
  oauth.hold = null;
  await daemon.start();
  await until('reauth_required', async () => (await state()).state === 'reauth_required');
  assert.match((await state()).last_error, /invalid_grant/);
  await until('the alert', async () => {
    await daemon.admin('POST', '/admin/jobs/alert-delivery/run', {});
    const { body } = await daemon.admin('GET', '/admin/alerts');
    // Within the hour of the one before it is the same incident.
    return body.alerts.filter((row) => row.event === 'token.reauth_required').length === 4;
  });
  assert.equal(alerts.length, told);
});

test('no secret is in any answer, log, metric, row or file', async () => {
  const secrets = [...oauth.secrets, token, 'webhook-secret-1', 'slack-secret-1', daemon.credentials.admin_key];
  let seen = daemon.log;
  for (const path of ['/metrics', '/health', '/openapi.json', '/admin/errors', '/admin/audit', '/admin/alerts',
    '/admin/decisions', '/admin/job-runs', '/admin/jobs', '/admin/outbox-dead', '/admin/providers/local', '/admin/tenants',
    '/admin/tenants/kahuna', '/admin/tenants/kahuna/tokens', '/admin/tenants/kahuna/accounts', '/admin/kv/bulk',
    '/admin/kv/tokens/keys', '/admin/kv/tokens/values/tokens:kahuna:local:main',
    '/admin/kv/tokens/values/refresh:kahuna:local:main']) {
    const { status, body } = await daemon.admin('GET', path).catch(() => ({ status: 0 }));
    if (path !== '/metrics') assert.equal(status, 200, path);
    seen += JSON.stringify(body ?? await (await fetch(daemon.url + path)).text());
  }
  await daemon.admin('POST', '/admin/jobs/autoresearch/run', {});
  const briefing = await until('a briefing', async () => {
    const { status, body } = await daemon.admin('GET', '/admin/briefings/latest');
    return status === 200 && body;
  });
  assert.ok(briefing.findings.some((finding) => finding.subject === 'kahuna/local/main'));
  seen += JSON.stringify(briefing);
  await daemon.stop();
  seen += daemon.log;
  const { readdirSync, readFileSync, statSync } = await import('node:fs');
  for (const name of readdirSync(daemon.data, { recursive: true })) {
    const path = `${daemon.data}/${name}`;
    if (statSync(path).isFile() && !/initial-credentials|\.key$/.test(name)) seen += readFileSync(path, 'latin1');
  }
  for (const secret of secrets) assert.equal(seen.includes(secret), false, `${secret.slice(0, 6)}…`);
});

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
