// Goal: people sign in through a real issuer of OpenID Connect as they would in a browser: who is let
// in, what the issuer's claims give and take back, and that nothing of one sign-in counts for another.
// Method: the real binary against oidc-provider, and a browser that follows redirects and fills forms.
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { Daemon } from './daemon.mjs';
import { Browser, OidcIssuer } from './oidc_issuer.mjs';

let daemon, issuer;
const accounts = {
  boss: { email: 'boss@example.com' },
  staff: { groups: ['kv-admins'] },
  eve: { email: 'boss@example.com', email_verified: false },
};

before(async () => {
  issuer = await new OidcIssuer().start({ callback: 'http://127.0.0.1:1/auth/callback', accounts });
  daemon = await new Daemon({
    KVCS_AUTH_PROVIDERS: `{idp: {issuer: "${issuer.url}", client_id: kvcs, client_secret_env: IDP_SECRET,
      scopes: [openid, email, profile, groups], admins: [boss@example.com], role_claim: groups,
      role_map: {kv-admins: default/admin}}}`,
    IDP_SECRET: OidcIssuer.client.client_secret,
  }).start();
  issuer.options.callback = `${daemon.url}/auth/callback`;
  issuer.options.backchannel = `${daemon.url}/auth/backchannel/idp`;
  issuer.options.after_logout = `${daemon.url}/`;
  issuer.oidc = issuer.provider();
});
after(async () => {
  await daemon?.stop();
  daemon?.remove();
  issuer?.stop();
});

const json = async (response) => ({ status: response.status, body: await response.json().catch(() => null) });
const me = async (browser) => json(await browser.ask(`${daemon.url}/api/v1/me`));
// Signs in, and stops where the daemon leads back to.
const signIn = (browser, login, query = '') =>
  browser.signIn(`${daemon.url}/auth/login/idp?next=/done${query}`, login, { stop_at: `${daemon.url}/done` });
const cookieOf = (browser) =>
  [...browser.jar['127.0.0.1']].map(([name, value]) => `${name}=${value}`).join('; ');
// What a page of the daemon's own does.
const send = async (browser, method, path, body) => json(await fetch(daemon.url + path, { method,
  headers: { cookie: cookieOf(browser), origin: daemon.url, 'content-type': 'application/json',
    'x-csrf-token': (await me(browser)).body.csrf_token },
  body: body && JSON.stringify(body) }));

test('somebody on the list of admins owns the daemon from the first sign-in on', async () => {
  const browser = new Browser();
  assert.equal((await signIn(browser, 'boss')).url, `${daemon.url}/done`);
  const { body } = await me(browser);
  assert.equal(body.kind, 'person');
  assert.equal(body.email, 'boss@example.com');
  assert.equal(body.operator_role, 'owner');
  assert.equal((await browser.ask(`${daemon.url}/admin/people`)).status, 200);
});

test('an address that nobody has verified is nobody\'s', async () => {
  const { status, page } = await signIn(new Browser(), 'eve');
  assert.equal(status, 403);
  assert.match(page, /Nobody has invited this account/);
});

test('roles come with the claims, and go with them', async () => {
  const browser = new Browser();
  await signIn(browser, 'staff');
  let { body } = await me(browser);
  assert.deepEqual(body.organizations.map(({ slug, role }) => [slug, role]), [['default', 'admin']]);
  assert.equal(body.operator_role, null);
  accounts.staff.groups = [];
  await signIn(browser, 'staff');
  ({ body } = await me(browser));
  assert.deepEqual(body.organizations, []);
  accounts.staff.groups = ['kv-admins', 'unknown'];
  await signIn(browser, 'staff');
  ({ body } = await me(browser));
  assert.equal(body.organizations[0].role, 'admin');
});

test('a stranger comes in by an invitation, and by none twice', async () => {
  const admin = new Browser();
  await signIn(admin, 'staff');
  const invited = await send(admin, 'POST', '/api/v1/invitations', { role: 'viewer' });
  assert.equal(invited.status, 201);
  const query = `&invitation=${invited.body.token}`;
  const grace = new Browser();
  assert.equal((await signIn(grace, 'grace', query)).url, `${daemon.url}/done`);
  const { body } = await me(grace);
  assert.deepEqual(body.organizations.map(({ role }) => role), ['viewer']);
  const late = await signIn(new Browser(), 'late', query);
  assert.equal(late.status, 404);
  // Whoever is known needs no invitation.
  const again = new Browser();
  assert.equal((await signIn(again, 'grace')).url, `${daemon.url}/done`);
  assert.equal((await me(again)).body.person_id, body.person_id);
});

test('a link puts nobody who is known into an organization; its page asks', async () => {
  const admin = new Browser();
  await signIn(admin, 'staff');
  const known = new Browser();
  await signIn(known, 'grace');
  const before = (await me(known)).body;
  const made = await send(admin, 'POST', '/api/v1/organizations', { name: 'Elsewhere' });
  assert.equal(made.status, 201);
  const invited = await send(admin, 'POST',
    `/api/v1/organizations/${made.body.organization_id}/invitations`, { role: 'viewer' });
  const query = `&invitation=${invited.body.token}`;
  const led = await known.signIn(`${daemon.url}/auth/login/idp?next=/done${query}`, 'grace',
    { stop_at: `${daemon.url}/#/` });
  assert.equal(led.url, `${daemon.url}/#/invitation?token=${invited.body.token}`);
  const after = (await me(known)).body;
  assert.deepEqual(after.organizations, before.organizations);
  assert.equal(after.organization_id, before.organization_id);
  const accepted = await send(known, 'POST', '/api/v1/invitations/accept', { token: invited.body.token });
  assert.equal(accepted.status, 200);
  // What is used keeps nobody out.
  assert.equal((await signIn(known, 'grace', query)).url, `${daemon.url}/done`);
  assert.equal((await me(known)).body.organization_id, before.organization_id);
});

test('with several issuers the answer of one does not count for another', async () => {
  const evil = await new OidcIssuer().start({ callback: 'http://127.0.0.1:1/' });
  const honest = await new OidcIssuer().start({ callback: 'http://127.0.0.1:1/', accounts });
  const providers = `{idp: {issuer: "${honest.url}", client_id: kvcs, client_secret_env: IDP_SECRET,
    admins: [boss@example.com]}, evil: {issuer: "${evil.url}", client_id: kvcs, client_secret_env: IDP_SECRET}}`;
  const both = await new Daemon({ KVCS_AUTH_PROVIDERS: providers,
    IDP_SECRET: OidcIssuer.client.client_secret }).start();
  try {
    honest.options.callback = `${both.url}/auth/callback/idp`;
    honest.oidc = honest.provider();
    const ordinary = new Browser();
    const done = await ordinary.signIn(`${both.url}/auth/login/idp?next=/done`, 'boss',
      { stop_at: `${both.url}/done` });
    assert.equal(done.url, `${both.url}/done`);
    // The victim begins at the evil issuer, which leads on to the honest one, with its own state.
    const victim = new Browser();
    const begun = await victim.ask(`${both.url}/auth/login/evil?next=/done`);
    assert.equal(begun.status, 302);
    const evils = new URL(begun.headers.get('location'));
    assert.equal(evils.searchParams.get('redirect_uri'), `${both.url}/auth/callback/evil`);
    const honests = new URL((await new Browser().ask(`${both.url}/auth/login/idp`)).headers.get('location'));
    honests.searchParams.set('state', evils.searchParams.get('state'));
    const { url } = await victim.signIn(honests.href, 'boss', { stop_at: `${both.url}/auth/callback` });
    const answer = new URL(url);
    answer.searchParams.delete('iss'); // As of an issuer that does not know RFC 9207.
    const refused = await victim.ask(answer.href);
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /another provider than was asked/);
  } finally {
    await both.stop();
    both.remove();
    evil.stop();
    honest.stop();
  }
});

test('an answer counts once, in the browser that asked, and for nothing else', async () => {
  const browser = new Browser();
  const stop_at = `${daemon.url}/auth/callback`;
  const { url } = await browser.signIn(`${daemon.url}/auth/login/idp?next=/done`, 'boss', { stop_at });
  const stranger = new Browser();
  assert.equal((await stranger.ask(url)).status, 403);
  // The attempt has spent it.
  assert.equal((await browser.ask(url)).status, 400);
  const second = await browser.signIn(`${daemon.url}/auth/login/idp?next=/done`, 'boss', { stop_at });
  const forged = new URL(second.url);
  forged.searchParams.set('iss', 'https://other.example');
  assert.equal((await browser.ask(forged.href)).status >= 400, true);
  const third = await browser.signIn(`${daemon.url}/auth/login/idp?next=/done`, 'boss', { stop_at });
  assert.equal((await browser.ask(third.url)).status, 302);
  assert.equal((await browser.ask(third.url)).status, 400);
  const nonsense = await browser.ask(`${stop_at}?state=none&code=none`);
  assert.equal(nonsense.status, 400);
});

test('the way back is a path of this host', async () => {
  for (const next of ['https://evil.example', '//evil.example', '/\\evil.example', 'evil', '/a%0d%0ab']) {
    const response = await new Browser().ask(`${daemon.url}/auth/login/idp?next=${next}`);
    assert.equal(response.status, 400, next);
  }
});

test('a second way to sign in is added from within, and to nobody else\'s account', async () => {
  const local = new Browser();
  local.jar['127.0.0.1'] = new Map([(await daemon.setUp()).headers.cookie.split('=')]);
  const { body: before } = await me(local);
  // A session alone, which may be a stolen one, adds none.
  const ask = (body) => fetch(`${daemon.url}/auth/link/idp`, { method: 'POST', body: JSON.stringify(body), headers: {
    cookie: cookieOf(local), origin: daemon.url, 'x-csrf-token': before.csrf_token, 'content-type': 'application/json' } });
  assert.equal((await ask({})).status, 400);
  assert.equal((await ask({ current_password: 'another' })).status, 403);
  const asked = await ask({ current_password: 'correct horse battery staple' });
  assert.equal(asked.status, 200);
  const [name, value] = asked.headers.get('set-cookie').split(';')[0].split('=');
  local.jar['127.0.0.1'].set(name, value);
  const { url } = await asked.json();
  await local.signIn(url, 'ada', { stop_at: `${daemon.url}/done` });
  const elsewhere = new Browser();
  await signIn(elsewhere, 'ada');
  assert.equal((await me(elsewhere)).body.person_id, before.person_id);
  // The same account cannot become a second person's.
  const boss = new Browser();
  await signIn(boss, 'boss');
  const { body: bosses } = await me(boss);
  const again = await fetch(`${daemon.url}/auth/link/idp`, { method: 'POST', headers: {
    cookie: cookieOf(boss), origin: daemon.url, 'x-csrf-token': bosses.csrf_token } });
  const [flow, proof] = again.headers.get('set-cookie').split(';')[0].split('=');
  const other = new Browser();
  other.jar['127.0.0.1'] = new Map([...boss.jar['127.0.0.1']].filter(([one]) => one === 'kvcs_session'));
  other.jar['127.0.0.1'].set(flow, proof);
  const refused = await other.signIn((await again.json()).url, 'ada');
  assert.equal(refused.status, 409);
});

test('keys that an issuer changes are fetched; a sign-out there ends the sessions here', async () => {
  await issuer.rotate('ES256');
  const browser = new Browser();
  assert.equal((await signIn(browser, 'boss')).url, `${daemon.url}/done`);
  const form = (logout_token) => fetch(`${daemon.url}/auth/backchannel/idp`, { method: 'POST',
    body: new URLSearchParams({ logout_token }) });
  assert.equal((await form('e30.e30.')).status, 400);
  assert.equal((await me(browser)).status, 200);
  await browser.signIn(`${issuer.url}/session/end?client_id=kvcs`, 'boss', { stop_at: `${daemon.url}/` });
  // The issuer tells it after its own page is shown.
  for (const end = Date.now() + 10_000; (await me(browser)).status !== 401;) {
    assert.ok(Date.now() < end, 'the session goes on');
  }
});

test('a sign-out leads to the issuer, which ends its session too and leads back', async () => {
  const browser = new Browser();
  await signIn(browser, 'boss');
  const { status, body } = await send(browser, 'POST', '/auth/logout');
  assert.equal(status, 200);
  const url = new URL(body.url);
  assert.equal(url.origin, issuer.url);
  assert.equal(url.searchParams.get('client_id'), 'kvcs');
  assert.equal(url.searchParams.get('post_logout_redirect_uri'), `${daemon.url}/`);
  assert.equal((await me(browser)).status, 401);
  const back = await browser.signIn(body.url, 'boss', { stop_at: `${daemon.url}/` });
  assert.equal(back.url, `${daemon.url}/`);
  // The issuer knows the browser no longer: it asks who signs in.
  const again = await browser.ask(`${daemon.url}/auth/login/idp?next=/done`);
  const asked = await browser.ask(again.headers.get('location'));
  assert.match(asked.headers.get('location'), /\/interaction\//);
});

test('codes that nobody gave reach the issuer so often and no more', async () => {
  const guessed = await new Daemon({ IDP_SECRET: OidcIssuer.client.client_secret, KVCS_AUTH_PROVIDERS:
    `{idp: {issuer: "${issuer.url}", client_id: kvcs, client_secret_env: IDP_SECRET}}` }).start();
  let asked = 0;
  const count = ({ url }) => { asked += url.startsWith('/token'); };
  issuer.server.on('request', count);
  try {
    const statuses = new Set();
    for (let i = 0; i < 70; i++) {
      const browser = new Browser();
      const begun = new URL((await browser.ask(`${guessed.url}/auth/login/idp`)).headers.get('location'));
      const state = begun.searchParams.get('state');
      const iss = encodeURIComponent(issuer.url);
      const ended = await browser.ask(`${guessed.url}/auth/callback?code=guess${i}&state=${state}&iss=${iss}`);
      statuses.add(ended.status);
    }
    assert.ok(statuses.has(429), [...statuses].join());
    assert.ok(asked >= 1 && asked < 70, `${asked}`);
  } finally {
    issuer.server.off('request', count);
    await guessed.stop();
    guessed.remove();
  }
});

test('over TLS no other host can set the cookie of a flow', async () => {
  const secure = new Daemon({ KVCS_HTTP_PUBLIC_URL: 'https://kv.example.com:443/', KVCS_AUTH_PROVIDERS:
    `{idp: {issuer: "${issuer.url}", client_id: kvcs}}` });
  // Its own address is the proxy's to know: it is asked where it listens.
  secure.listen = `unix:${secure.folder}/socket`;
  try {
    await secure.start();
    const { headers } = await new Promise((resolve, reject) => {
      get({ socketPath: `${secure.folder}/socket`, path: '/auth/login/idp', agent: false },
        (response) => resolve(response.resume())).on('error', reject);
    });
    const [cookie] = headers['set-cookie'];
    assert.match(cookie, /^__Host-kvcs_sign_in_[0-9a-f]{8}=/);
    assert.match(cookie, /; Secure/);
    assert.match(cookie, /; Path=\/(;|$)/);
    assert.equal(new URL(headers.location).searchParams.get('redirect_uri'),
      'https://kv.example.com/auth/callback');
  } finally {
    await secure.stop();
    secure.remove();
  }
});

test('an issuer that is away is said to be, and stops nothing else', async () => {
  const lonely = await new Daemon({ KVCS_AUTH_PROVIDERS:
    '{away: {issuer: "http://127.0.0.1:1", client_id: kvcs}}' }).start();
  try {
    const response = await new Browser().ask(`${lonely.url}/auth/login/away`);
    assert.equal(response.status, 503);
    assert.equal((await fetch(`${lonely.url}/health`)).status, 200);
    assert.equal((await new Browser().ask(`${lonely.url}/auth/login/none`)).status, 404);
  } finally {
    await lonely.stop();
    lonely.remove();
  }
});
