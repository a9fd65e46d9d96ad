// Goal: the token that an issuer gave a command line opens every door that its person's session opens,
// and one that is not for this daemon opens none. Method: the real binary against oidc-provider, whose
// access tokens are JWTs.
import assert from 'node:assert/strict';
import { generateKeyPairSync, createHmac, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Daemon } from './daemon.mjs';
import { Browser, OidcIssuer } from './oidc_issuer.mjs';

let daemon, issuer;

before(async () => {
  issuer = await new OidcIssuer().start({ callback: 'http://127.0.0.1:1/auth/callback' });
  daemon = await new Daemon({ KVCS_AUTH_SIGNUP: 'open', KVCS_AUTH_PROVIDERS: `{idp: {issuer: "${issuer.url}",
    client_id: kvcs, client_secret_env: IDP_SECRET, cli_client_id: kvcs-cli, admins: [boss]}}`,
    IDP_SECRET: OidcIssuer.client.client_secret }).start();
});
after(async () => {
  await daemon?.stop();
  daemon?.remove();
  issuer?.stop();
});

const post = async (path, form) => (await fetch(issuer.url + path, { method: 'POST',
  body: new URLSearchParams(form) })).json();
async function bearerOf(login) {
  const started = await post('/device/auth', { client_id: 'kvcs-cli', scope: 'openid' });
  await new Browser().signIn(started.verification_uri_complete, login);
  const tokens = await post('/token', { client_id: 'kvcs-cli', device_code: started.device_code,
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code' });
  return tokens.access_token;
}
const ask = async (token, method, path, body) => {
  const response = await fetch(daemon.url + path, { method, body: body && JSON.stringify(body),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });
  return { status: response.status, body: await response.json().catch(() => null) };
};

test('the first bearer makes the person, and each opens what a session opens', async () => {
  const ada = await bearerOf('ada');
  const me = await ask(ada, 'GET', '/api/v1/me');
  assert.equal(me.status, 200);
  assert.equal(me.body.kind, 'person');
  assert.equal(me.body.session_id, null);
  const rows = [
    ['GET', '/api/v1/artifacts', 200],
    ['POST', '/v1/artifacts/upload-url', 200, { name: 'n', dtype: 'F16' }],
    ['POST', '/api/v1/artifacts/upload-url', 200, { name: 'n', dtype: 'F16' }],
    ['POST', '/api/v1/projects', 201, { name: 'Research' }],
    ['POST', '/api/v1/api-keys', 201, { name: 'ci' }],
    ['GET', '/api/v1/members', 200],
    ['GET', '/api/v1/me/sessions', 200],
    ['GET', '/admin/people', 403],
    ['GET', '/v1/models', 400],  // It does not say for which user.
  ];
  for (const [method, path, status, body] of rows) {
    assert.equal((await ask(ada, method, path, body)).status, status, path);
  }
  const out = await ask(ada, 'POST', '/auth/logout');
  assert.equal(out.status, 409);  // Reason no_session.
  assert.match(out.body.error, /no session of this daemon/);
  // A sign-in in a browser is the same person.
  issuer.options.callback = `${daemon.url}/auth/callback`;
  issuer.oidc = issuer.provider();
  const browser = new Browser();
  await browser.signIn(`${daemon.url}/auth/login/idp?next=/done`, 'ada', { stop_at: `${daemon.url}/done` });
  const seen = await (await browser.ask(`${daemon.url}/api/v1/me`)).json();
  assert.equal(seen.person_id, me.body.person_id);
  const boss = await bearerOf('boss');
  assert.equal((await ask(boss, 'GET', '/admin/people')).status, 200);
  assert.equal((await ask(boss, 'PATCH', `/admin/people/${me.body.person_id}`, { status: 'suspended' })).status, 200);
  assert.equal((await ask(ada, 'GET', '/api/v1/artifacts')).status, 403);
});

test('keys that change are fetched when a token names one that is not known', async () => {
  const known = await bearerOf('late');
  assert.equal((await ask(known, 'GET', '/api/v1/me')).status, 200);
  await issuer.rotate('ES256');
  assert.equal((await ask(await bearerOf('late'), 'GET', '/api/v1/me')).status, 200);
  assert.equal((await ask(known, 'GET', '/api/v1/me')).status, 200);
});

test('a token that is changed, foreign or of another key is refused, in words without the token', async () => {
  const good = await bearerOf('eve');
  assert.equal((await ask(good, 'GET', '/api/v1/me')).status, 200);
  const [header, payload, signature] = good.split('.');
  const said = JSON.parse(Buffer.from(header, 'base64url'));
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const signed = (head, body) => {
    const text = `${part(head)}.${part(body)}`;
    return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
  };
  const keys = await (await fetch(`${issuer.url}/jwks`)).text();
  const mac = (head) => {
    const text = `${part(head)}.${payload}`;
    return `${text}.${createHmac('sha256', keys).update(text).digest('base64url')}`;
  };
  const forged = {
    'alg none': `${part({ ...said, alg: 'none' })}.${payload}.`,
    'HS256 by the public key': mac({ ...said, alg: 'HS256' }),
    'claims changed': `${header}.${part({ ...claims, sub: 'boss' })}.${signature}`,
    'own key, its kid': signed(said, { ...claims, sub: 'boss' }),
    'kid that is a path': signed({ ...said, kid: '../../../../dev/null' }, claims),
    'key within': signed({ ...said, jwk: privateKey.export({ format: 'jwk' }) }, claims),
    'another issuer': signed(said, { ...claims, iss: 'https://evil.example' }),
    'too long': `${header}.${part({ ...claims, pad: 'x'.repeat(13_000) })}.${signature}`,
    'nothing in it': 'eyJ..',
  };
  for (const [name, token] of Object.entries(forged)) {
    const { status, body } = await ask(token, 'GET', '/api/v1/me');
    assert.equal(status, 401, name);
    assert.ok(!JSON.stringify(body).includes(token.slice(0, 30)), name);
  }
  assert.equal((await ask(good, 'GET', '/api/v1/me')).status, 200);
});

test('an issuer that is away stops nobody that is known', async () => {
  const known = await bearerOf('late');
  assert.equal((await ask(known, 'GET', '/api/v1/me')).status, 200);
  issuer.stop();
  assert.equal((await ask(known, 'GET', '/api/v1/me')).status, 200);
});
