// Goal: the issuer that sign-ins are tested against does what an issuer does, so that a failure there
// is the daemon's. Method: each of its flows without the daemon, tokens verified by node's crypto.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Browser, OidcIssuer } from './oidc_issuer.mjs';

const told = [];  // Logout tokens.
const backchannel = createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  told.push(new URLSearchParams(text).get('logout_token'));
  response.end();
});
const callback = 'http://127.0.0.1:1/auth/callback';  // Nobody is asked there.
const after_logout = 'http://127.0.0.1:1/';
const hashOf = { RS256: 'sha256', ES256: 'sha256', EdDSA: null };
let issuer, metadata;

before(async () => {
  backchannel.listen(0, '127.0.0.1');
  await once(backchannel, 'listening');
  issuer = await new OidcIssuer().start({ callback, after_logout,
    backchannel: `http://127.0.0.1:${backchannel.address().port}/logout`,
    accounts: { eve: { email_verified: false, groups: ['staff'] } } });
  metadata = await json(`${issuer.url}/.well-known/openid-configuration`);
});
after(() => {
  issuer?.stop();
  backchannel.closeAllConnections();
  backchannel.close();
});

const json = async (url, options) => (await fetch(url, options)).json();
const post = (url, form, headers = {}) => json(url, { method: 'POST', body: new URLSearchParams(form), headers });
const basic = `Basic ${Buffer.from('kvcs:client-secret-1').toString('base64')}`;

// The claims of a token whose signature fits the key that it names.
async function claimsOf(token, alg = issuer.alg) {
  const [header, payload, signature] = token.split('.');
  const { kid, alg: said } = JSON.parse(Buffer.from(header, 'base64url'));
  assert.equal(said, alg);
  const { keys } = await json(metadata.jwks_uri);
  const jwk = keys.find((key) => key.kid === kid);
  assert.ok(jwk, `${kid} is published`);
  assert.equal(jwk.d, undefined);
  assert.ok(verify(hashOf[alg], `${header}.${payload}`, { key: createPublicKey({ key: jwk, format: 'jwk' }),
    dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));
  return JSON.parse(Buffer.from(payload, 'base64url'));
}

async function signIn(browser, login) {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({ client_id: 'kvcs', response_type: 'code', scope: 'openid email profile groups',
    redirect_uri: callback, state: 's-1', nonce: 'n-1', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url') });
  const { url } = await browser.signIn(`${metadata.authorization_endpoint}?${query}`, login, { stop_at: callback });
  const answer = new URL(url).searchParams;
  assert.equal(answer.get('state'), 's-1');
  assert.equal(answer.get('iss'), issuer.url);
  const exchange = { grant_type: 'authorization_code', code: answer.get('code'), redirect_uri: callback };
  return { exchange, verifier };
}
async function tokensOf(browser, login) {
  const { exchange, verifier } = await signIn(browser, login);
  return post(metadata.token_endpoint, { ...exchange, code_verifier: verifier }, { authorization: basic });
}

test('its metadata is that of one that names itself in its answers', () => {
  assert.equal(metadata.issuer, issuer.url);
  assert.equal(metadata.authorization_response_iss_parameter_supported, true);
  assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']);
  for (const name of ['authorization', 'token', 'userinfo', 'end_session', 'device_authorization']) {
    assert.ok(metadata[`${name}_endpoint`].startsWith(issuer.url), name);
  }
});

test('a person signs in with PKCE, and keys of three kinds change under way', async () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA']) {
    const kid = await issuer.rotate(alg);
    const { keys } = await json(metadata.jwks_uri);
    assert.deepEqual(keys.map((key) => key.kid), [kid]);
    const tokens = await tokensOf(new Browser(), 'ada');
    const claims = await claimsOf(tokens.id_token, alg);
    assert.deepEqual([claims.iss, claims.sub, claims.aud, claims.nonce], [issuer.url, 'ada', 'kvcs', 'n-1']);
    const info = await json(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    assert.deepEqual(info, { sub: 'ada', email: 'ada@example.com', email_verified: true, name: 'ada' });
  }
  await issuer.rotate('RS256', { keep: true });
  assert.equal((await json(metadata.jwks_uri)).keys.length, 2);
});

test('an account has the claims that the test gave it', async () => {
  const tokens = await tokensOf(new Browser(), 'eve');
  const info = await json(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  assert.equal(info.email_verified, false);
  assert.deepEqual(info.groups, ['staff']);
});

test('a code needs its verifier, and works once', async () => {
  const redeem = ({ exchange, verifier }) => post(metadata.token_endpoint,
    { ...exchange, code_verifier: verifier }, { authorization: basic });
  const stolen = await signIn(new Browser(), 'ada');
  assert.equal((await redeem({ ...stolen, verifier: 'x'.repeat(43) })).error, 'invalid_grant');
  const own = await signIn(new Browser(), 'ada');
  assert.ok((await redeem(own)).id_token);
  assert.equal((await redeem(own)).error, 'invalid_grant');
});

test('a browser that is signed in is not asked again, and a sign-out ends that everywhere', async () => {
  const browser = new Browser();
  const { id_token } = await tokensOf(browser, 'ada');
  const second = await claimsOf((await tokensOf(browser, 'nobody')).id_token);
  assert.equal(second.sub, 'ada');
  const query = new URLSearchParams({ id_token_hint: id_token, client_id: 'kvcs', state: 's-2',
    post_logout_redirect_uri: after_logout });
  const end = await browser.signIn(`${metadata.end_session_endpoint}?${query}`, 'ada', { stop_at: after_logout });
  assert.equal(end.url, `${after_logout}?state=s-2`);
  assert.equal(told.length, 1);
  const logout = await claimsOf(told[0]);
  assert.deepEqual(logout.events, { 'http://schemas.openid.net/event/backchannel-logout': {} });
  assert.equal(logout.sid, second.sid);
  const third = await claimsOf((await tokensOf(browser, 'eve')).id_token);
  assert.equal(third.sub, 'eve');
});

test('a command line gets a JWT for the daemon by the device flow, and renews it', async () => {
  const started = await post(metadata.device_authorization_endpoint,
    { client_id: 'kvcs-cli', scope: 'openid offline_access', prompt: 'consent' });
  const redeem = () => post(metadata.token_endpoint, { client_id: 'kvcs-cli', device_code: started.device_code,
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code' });
  assert.equal((await redeem()).error, 'authorization_pending');
  const { status, page } = await new Browser().signIn(started.verification_uri_complete, 'ada');
  assert.equal(status, 200, page);
  const tokens = await redeem();
  const access = await claimsOf(tokens.access_token);
  assert.deepEqual([access.iss, access.sub, access.aud], [issuer.url, 'ada', 'kvcs']);
  const renewed = await post(metadata.token_endpoint, { client_id: 'kvcs-cli', grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token });
  assert.equal((await claimsOf(renewed.access_token)).sub, 'ada');
});
