// Goal: the development issuer is one for clients that know nothing of kvcs, and the daemon starts with
// it on this machine alone. Method: the real binary, and openid-client as a peer of both flows.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generators, Issuer } from 'openid-client';
import { Daemon } from './daemon.mjs';

const callback = 'http://127.0.0.1:1/callback';  // Nobody is asked there.
let daemon, client;

before(async () => {
  daemon = await new Daemon({ KVCS_AUTH_DEV_ISSUER: 'true' }).start();
  const issuer = await Issuer.discover(`${daemon.url}/oidc`);
  client = new issuer.Client({ client_id: 'kvcdn-cli', token_endpoint_auth_method: 'none',
    redirect_uris: [callback], response_types: ['code'] });
});
after(async () => {
  await daemon?.stop();
  daemon?.remove();
});

const me = async (token) => {
  const response = await fetch(`${daemon.url}/api/v1/me`, { headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, body: await response.json() };
};

async function codeFlow(more = {}) {
  const [verifier, state, nonce] = [generators.codeVerifier(), generators.state(), generators.nonce()];
  const url = client.authorizationUrl({ scope: 'openid email profile', state, nonce, ...more,
    code_challenge: generators.codeChallenge(verifier), code_challenge_method: 'S256' });
  const led = await fetch(url, { redirect: 'manual' });
  assert.equal(led.status, 302);
  const params = client.callbackParams(led.headers.get('location'));
  return client.callback(callback, params, { code_verifier: verifier, state, nonce });
}

test('a client signs in by code and PKCE, is known to the daemon, and renews its tokens', async () => {
  const tokens = await codeFlow({ login_hint: 'ada' });
  assert.equal(tokens.claims().sub, 'ada');
  assert.equal((await client.userinfo(tokens)).sub, 'ada');
  const { status, body } = await me(tokens.access_token);
  assert.equal(status, 200);
  assert.equal(body.name, 'ada');
  assert.deepEqual(body.organizations.map(({ role }) => role), ['owner']);
  const renewed = await client.refresh(tokens);
  assert.notEqual(renewed.refresh_token, tokens.refresh_token);
  assert.equal((await me(renewed.access_token)).body.person_id, body.person_id);
  await assert.rejects(client.refresh(tokens), /invalid_grant/);
  assert.equal((await client.userinfo((await client.refresh(renewed)).access_token)).sub, 'ada');
});

test('a client signs in by device', async () => {
  const handle = await client.deviceAuthorization({ scope: 'openid' });
  assert.match(handle.user_code, /^[B-Z]{4}-[B-Z]{4}$/);
  const [tokens, page] = await Promise.all([handle.poll(), fetch(handle.verification_uri_complete)]);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /go back to it/);
  assert.equal(tokens.claims().sub, 'developer');
  assert.equal((await me(tokens.access_token)).status, 200);
});

test('tokens and keys outlive a restart', async () => {
  const tokens = await codeFlow();
  const keys = await (await fetch(`${daemon.url}/oidc/keys`)).json();
  const { port } = daemon;
  await daemon.stop();
  daemon.listen = `127.0.0.1:${port}`;
  await daemon.start();
  assert.deepEqual(await (await fetch(`${daemon.url}/oidc/keys`)).json(), keys);
  assert.equal((await me(tokens.access_token)).status, 200);
  assert.ok((await client.refresh(tokens)).access_token);
});

test('it starts at this machine\'s own addresses, without a proxy and a public name', async () => {
  const bad = [
    [{}, { listen: '0.0.0.0:0' }],
    [{ KVCS_HTTP_PUBLIC_URL: 'https://kvcs.example.com' }, {}],
    [{ KVCS_HTTP_TRUSTED_PROXIES: '127.0.0.1' }, {}],
  ];
  for (const [env, options] of bad) {
    const other = new Daemon({ KVCS_AUTH_DEV_ISSUER: 'true', ...env }, options);
    await assert.rejects(other.start(), /auth\.dev_issuer/);
    other.remove();
  }
});
