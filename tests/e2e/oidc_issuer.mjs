// A real issuer of OpenID Connect (oidc-provider) on loopback, and a person's browser without a
// screen. The issuer signs people in by any login, with PKCE, by code or by device; ends sessions for
// the browser and from server to server; and changes its keys when a test wants it. Two clients: the
// daemon's (confidential; RFC 9207's iss in each answer) and that of a command line (public; its
// access tokens are JWTs for the daemon).
import { generateKeyPair, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import Provider from 'oidc-provider';
import { setCookies } from './oauth_server.mjs';

const generate = promisify(generateKeyPair);
const keyOf = async (alg) => {
  const [type, options] = { RS256: ['rsa', { modulusLength: 2048 }], ES256: ['ec', { namedCurve: 'P-256' }],
    EdDSA: ['ed25519'] }[alg];
  const { privateKey } = await generate(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}` };
};

export class OidcIssuer {
  // `callback`: where the daemon wants the browser back; `after_logout` and `backchannel` likewise.
  // `accounts`: login → claims beside sub; a login that is not there has an address of its own.
  async start({ callback, after_logout, backchannel, accounts = {}, alg = 'RS256' }) {
    this.accounts = accounts;
    this.options = { callback, after_logout, backchannel };
    this.keys = [];
    this.server = createServer((request, response) => this.oidc.callback()(request, response));
    // On a busy machine the server would close an idle connection just when a request is on its way.
    this.server.keepAliveTimeout = 0;
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    await this.rotate(alg);
    return this;
  }

  // From now on all is signed with a new key. `keep`: the old ones are published beside it.
  async rotate(alg, { keep = false } = {}) {
    this.keys = [await keyOf(alg), ...(keep ? this.keys : [])];
    this.alg = alg;
    // Sessions, codes and tokens stay: the library keeps them outside of the provider.
    this.oidc = this.provider();
    return this.keys[0].kid;
  }

  provider() {
    const { callback, after_logout, backchannel } = this.options;
    const signed = { id_token_signed_response_alg: this.alg };
    const native = { application_type: 'native', response_types: ['code'], ...signed };
    const claimsOf = (login) => ({ email: `${login}@example.com`, email_verified: true, name: login,
      ...this.accounts[login], sub: login });
    return new Provider(this.url, {
      jwks: { keys: this.keys },
      clients: [
        { ...native, ...OidcIssuer.client, redirect_uris: [callback], grant_types: ['authorization_code'],
          ...(after_logout && { post_logout_redirect_uris: [after_logout] }),
          ...(backchannel && { backchannel_logout_uri: backchannel, backchannel_logout_session_required: true }) },
        { ...native, client_id: 'kvcs-cli', token_endpoint_auth_method: 'none',
          redirect_uris: ['http://127.0.0.1/callback'],
          grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'] },
      ],
      pkce: { required: () => true },
      claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
      scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
      findAccount: (context, login) => ({ accountId: login, claims: () => claimsOf(login) }),
      ttl: { AccessToken: 600, IdToken: 600, Grant: 3600, Session: 3600, Interaction: 600, DeviceCode: 600,
        RefreshToken: 3600 },
      features: { devInteractions: { enabled: true }, deviceFlow: { enabled: true },
        rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: Boolean(backchannel) },
        userinfo: { enabled: true },
        resourceIndicators: { enabled: true,
          defaultResource: (context, client) => (client.clientId === 'kvcs-cli' ? 'urn:kvcs:api' : undefined),
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({ scope: 'openid', audience: OidcIssuer.client.client_id,
            accessTokenFormat: 'jwt', jwt: { sign: { alg: this.alg } } }) } },
      cookies: { keys: ['of the test'] },
    });
  }

  stop() {
    this.server?.closeAllConnections();
    this.server?.close();
  }
}
OidcIssuer.client = { client_id: 'kvcs', client_secret: 'client-secret-1' };

// The members of the page's one form, as a person sends it: `typed` by name, and the button that
// goes on.
function filled(page, typed) {
  const form = page.match(/<form[^>]*method="post"[^>]*>/i)?.[0] ?? page.match(/<form[^>]*action=[^>]*>/i)?.[0];
  const action = form?.match(/action="([^"]*)"/)?.[1];
  if (!action) return null;
  const fields = {};
  for (const [tag] of page.matchAll(/<(?:input|button)\b[^>]*>/g)) {
    const of = (name) => tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1];
    if (!of('name') || of('name') === 'abort') continue;
    fields[of('name')] = typed[of('name')] ?? of('value') ?? '';
  }
  return { action: action.replaceAll('&amp;', '&'), fields };
}

// A person's browser: cookies by host (no browser tells ports apart), redirects, forms.
export class Browser {
  constructor() {
    this.jar = {};
  }

  async ask(url, { form } = {}) {
    const cookies = this.jar[new URL(url).hostname] ??= new Map();
    const response = await fetch(url, { redirect: 'manual', method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') } });
    for (const line of setCookies(response)) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  }

  // From a link to the last page, signing in as `login` and agreeing where it is asked. Stops in
  // front of an address that begins with `stop_at`. Resolves with {url, status, page}.
  async signIn(link, login, { stop_at } = {}) {
    let next = { url: link };
    for (let step = 0; step < 20; step++) {
      if (stop_at && next.url.startsWith(stop_at)) return { url: next.url };
      const response = await this.ask(next.url, next);
      const place = response.headers.get('location');
      if (place) {
        next = { url: new URL(place, next.url).href };
        continue;
      }
      const page = await response.text();
      const form = response.status < 400 && filled(page, { login, password: 'any' });
      if (!form) return { url: next.url, status: response.status, page };
      next = { url: new URL(form.action, next.url).href, form: form.fields };
    }
    throw new Error(`no end after twenty steps, at ${next.url}`);
  }
}
