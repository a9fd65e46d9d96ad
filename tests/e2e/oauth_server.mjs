// A real OAuth 2.0 server (oidc-provider) on loopback with short lifetimes and rotating refresh
// tokens, an API that accepts its tokens and no others, and a token endpoint in front of it that a
// test can hold. A person's consent is given by giveConsent().
import { createServer } from 'node:http';
import { once } from 'node:events';
import Provider from 'oidc-provider';

const listen = async (handler) => {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
};
const urlOf = (server) => `http://127.0.0.1:${server.address().port}`;
const bodyOf = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

// The fetch of Debian's Node joins these headers; a comma in a date is followed by no name.
export function setCookies(response) {
  const { headers } = response;
  if (headers.getSetCookie) return headers.getSetCookie();
  return (headers.get('set-cookie') ?? '').split(/, (?=[^;,\s]+=)/).filter((line) => line !== '');
}

export class OAuthServer {
  // `lifetime_s` of access tokens; `callback`: where the daemon wants the browser back.
  async start({ lifetime_s, callback }) {
    this.client = { client_id: 'kvcs', client_secret: 'client-secret-1' };
    this.secrets = new Set([this.client.client_secret]);  // Every one that it ever gave out.
    this.refreshOf = new Map();  // Access token → the refresh token that came with it.
    this.calls = [];  // Authorization of each call that reached the API.
    this.hold = null;  // async (phase, finish) around one exchange; see token().
    this.server = await listen((request, response) => this.oidc.callback()(request, response));
    this.tokenServer = await listen((request, response) => this.token(request, response));
    this.apiServer = await listen((request, response) => this.api(request, response));
    this.oidc = new Provider(urlOf(this.server), {
      clients: [{ ...this.client, redirect_uris: [callback], application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
        token_endpoint_auth_method: 'client_secret_basic' }],
      pkce: { required: () => true },
      scopes: ['openid', 'offline_access'],
      issueRefreshToken: async () => true,
      rotateRefreshToken: true,
      ttl: { AccessToken: lifetime_s, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600 },
      features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
      cookies: { keys: ['of the test'] },
    });
    return this;
  }

  // What an administrator puts for this API.
  record() {
    return { base_url: urlOf(this.apiServer), auth_type: 'oauth2_refresh_token',
      allow_private_addresses: true, allowed_path_prefixes: ['/v1/'],
      auth: { authorize_url: `${urlOf(this.server)}/auth`, token_url: `${urlOf(this.tokenServer)}/token`,
        revoke_url: `${urlOf(this.server)}/token/revocation`, client_auth: 'client_secret_basic',
        issuer: urlOf(this.server), authorize_params: 'prompt=consent',
        scopes: ['openid', 'offline_access'], ...this.client } };
  }

  // Passes the exchange on. `hold.before` and `hold.after` are awaited around it.
  async token(request, response) {
    const sent = await bodyOf(request);
    const hold = this.hold;
    await hold?.before?.();
    const answer = await fetch(`${urlOf(this.server)}/token`, { method: 'POST', body: sent,
      headers: { 'content-type': request.headers['content-type'], authorization: request.headers.authorization } });
    const text = await answer.text();
    const tokens = JSON.parse(text);
    for (const name of ['access_token', 'refresh_token']) if (tokens[name]) this.secrets.add(tokens[name]);
    this.refreshOf.set(tokens.access_token, tokens.refresh_token);
    await hold?.after?.();
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(text);
  }

  async api(request, response) {
    const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    this.calls.push(token);
    const known = await this.oidc.AccessToken.find(token);
    response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(known ? { account: known.accountId } : { message: `no such token: ${token}` }));
  }

  // The person's browser: follows the link, signs in, agrees, and comes back to the daemon. Resolves
  // with the last page.
  async giveConsent(link) {
    const jar = {};  // By origin.
    let next = { url: link };
    for (let step = 0; step < 20; step++) {
      const origin = new URL(next.url).origin;
      const cookies = jar[origin] ??= new Map();
      const response = await fetch(next.url, { redirect: 'manual', method: next.form ? 'POST' : 'GET',
        body: next.form && new URLSearchParams(next.form),
        headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') } });
      for (const line of setCookies(response)) {
        const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
        cookies.set(name, value);
      }
      const place = response.headers.get('location');
      if (place) {
        next = { url: new URL(place, next.url).href };
        continue;
      }
      const page = await response.text();
      const action = page.match(/action="([^"]*\/interaction\/[^"]*)"/)?.[1];
      if (!action) return { status: response.status, page, url: next.url };
      const prompt = page.match(/name="prompt" value="(\w+)"/)[1];
      const form = prompt === 'login' ? { prompt, login: 'ada', password: 'any' } : { prompt };
      next = { url: new URL(action, next.url).href, form };
    }
    throw new Error(`no end after twenty steps, at ${next.url}`);
  }

  // The person withdraws the consent at the provider.
  async withdraw(access) {
    const token = await this.oidc.RefreshToken.find(this.refreshOf.get(access));
    const grant = await this.oidc.Grant.find(token.grantId);
    await grant.destroy();
    await token.destroy();
  }

  stop() {
    for (const server of [this.server, this.tokenServer, this.apiServer]) {
      server?.closeAllConnections();
      server?.close();
    }
  }
}
