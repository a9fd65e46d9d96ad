// Goal: `kvcs login` signs a person in from a terminal: by the server itself, by an issuer, by the
// development issuer; what it keeps is used, renewed by one process at a time, and gone after
// `kvcs logout`. Method: the real binary on both sides, a person's browser without a screen.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { binary, Daemon } from './daemon.mjs';
import { Browser, OidcIssuer } from './oidc_issuer.mjs';

const password = 'correct horse battery staple';

async function withServer(env, run) {
  const daemon = new Daemon(env);
  try {
    await daemon.start();
    mkdirSync(join(daemon.folder, 'elsewhere'));
    await run(daemon);
  } finally {
    await daemon.stop();
    daemon.remove();
  }
}

// A terminal of somebody who has no key, in a folder without the daemon's own credentials.
class Terminal {
  constructor(daemon, name = 'home') {
    this.folder = join(daemon.folder, 'elsewhere');
    this.home = join(daemon.folder, name);
    this.env = { PATH: process.env.PATH, HOME: this.home, KVCS_API_URL: daemon.url, KVCS_DATA_DIR: '' };
  }

  // Resolves with {status, stdout, stderr}; `seen` is told of stderr as it comes.
  run(args, seen = () => {}, stdin = '') {
    const child = spawn(binary, args, { cwd: this.folder, env: this.env, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => {});
    child.stdin.end(stdin);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => { stdout += chunk; });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
      seen(stderr);
    });
    return new Promise((resolve) => child.on('close', (status) => resolve({ status, stdout, stderr })));
  }

  // `confirm` gets the address and the code once they are shown.
  async login(confirm, ...args) {
    let shown = false;
    const confirmed = [];
    const done = await this.run(['login', '--json', ...args], (text) => {
      const match = text.match(/Open (\S+)\n[^\n]*code (\S+)\n/);
      if (shown || !match) return;
      shown = true;
      confirmed.push(confirm(match[1], match[2]));
    });
    await Promise.all(confirmed);
    assert.equal(done.status, 0, done.stderr);
    return JSON.parse(done.stdout);
  }

  async json(...args) {
    const done = await this.run([...args, '--json']);
    assert.equal(done.status, 0, done.stderr);
    return JSON.parse(done.stdout);
  }

  get file() { return join(this.home, '.config/kvcs/credentials.json'); }
}

// The person of the setup link, with a cookie.
async function setUp(daemon) {
  const token = daemon.credentials.setup_url.split('token=')[1];
  return signedIn(daemon, '/auth/setup', 201, { token, email: 'ada@example.com', name: 'Ada', password });
}

async function signedIn(daemon, path, status, body) {
  const begun = await fetch(daemon.url + path, { method: 'POST',
    headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  assert.equal(begun.status, status);
  const { csrf_token } = await begun.json();
  const headers = { cookie: begun.headers.get('set-cookie').split(';')[0], origin: daemon.url,
    'x-csrf-token': csrf_token, 'content-type': 'application/json' };
  return (method, route, sent) => fetch(daemon.url + route, { method, headers, body: sent && JSON.stringify(sent) });
}

test('by the server itself: a person confirms, and ends it where sessions are listed', async () => {
  await withServer({}, async (daemon) => {
    const ada = await setUp(daemon);
    const terminal = new Terminal(daemon);
    assert.equal((await terminal.run(['list'])).status, 1);
    const done = await terminal.login(async (url, code) => {
      assert.equal(url, `${daemon.url}/#/device?user_code=${code}`);
      const shown = await (await ada('GET', `/auth/device/${code}`)).json();
      assert.equal(shown.client_id, 'kvcs-cli');
      assert.equal((await ada('POST', `/auth/device/${code}`, { allow: true })).status, 204);
    });
    assert.deepEqual([done.server, done.account, done.issuer], [daemon.url, 'Ada <ada@example.com>', null]);
    assert.equal(statSync(terminal.file).mode & 0o777, 0o600);
    const who = await terminal.json('whoami');
    assert.deepEqual([who.method, who.email], ['login', 'ada@example.com']);
    assert.deepEqual(await terminal.json('list'), []);
    // The owner of the appliance is its operator.
    assert.equal((await terminal.json('admin', 'people'))[0].email, 'ada@example.com');
    writeFileSync(join(terminal.folder, 'some.bin'), 'bytes');
    // The login goes on by the session that a new password begins.
    const changed = await terminal.run(['password'], () => {}, `${password}\nanother violin under clouds\n`);
    assert.equal(changed.status, 0, changed.stderr);
    assert.equal((await terminal.json('session', 'list')).length, 1);
    assert.match((await terminal.run(['whoami'])).stdout, /Signed in as +Ada <ada@example.com>\n/);
    const [server] = await terminal.json('server', 'list');
    assert.deepEqual([server.server, server.current], [daemon.url, true]);
    chmodSync(terminal.file, 0o644);
    const refused = await terminal.run(['list']);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /chmod 600 /);
    chmodSync(terminal.file, 0o600);
    assert.deepEqual(await terminal.json('logout'), { server: daemon.url, signed_out: true, ended: true });
    const again = await signedIn(daemon, '/auth/login', 200,
      { email: 'ada@example.com', password: 'another violin under clouds' });
    const { sessions } = await (await again('GET', '/api/v1/me/sessions')).json();
    assert.equal(sessions.length, 1);
    assert.equal((await terminal.run(['list'])).status, 1);
    const denied = await terminal.run(['login'], (text) => {
      const code = text.match(/code (\S+)\n/)?.[1];
      if (code) void again('POST', `/auth/device/${code}`, { allow: false });
    });
    assert.equal(denied.status, 1);
    assert.match(denied.stderr, /refused/);
  });
});

test('by an issuer: tokens that end are renewed, once, by however many commands', async () => {
  const issuer = await new OidcIssuer().start({ callback: 'http://127.0.0.1:1/auth/callback' });
  try {
    await withServer({ KVCS_AUTH_SIGNUP: 'open', KVCS_AUTH_PROVIDERS: `{idp: {issuer: "${issuer.url}",
      client_id: kvcs, client_secret_env: IDP_SECRET, cli_client_id: kvcs-cli}}`,
      IDP_SECRET: OidcIssuer.client.client_secret }, async (daemon) => {
      const terminal = new Terminal(daemon);
      const done = await terminal.login(async (url) => {
        await new Browser().signIn(url, 'ada');
      });
      assert.equal(done.issuer, issuer.url);
      assert.equal((await terminal.json('whoami')).name, 'ada');
      const kept = () => JSON.parse(readFileSync(terminal.file)).logins[0];
      const before = kept();
      assert.ok(before.refresh_token);
      // As if its end were near. A refresh token that were spent twice would end all that came of it.
      writeFileSync(terminal.file, JSON.stringify({ logins: [{ ...before, expires_at: 1 }] }));
      const all = await Promise.all(Array.from({ length: 4 }, () => terminal.json('quota')));
      assert.equal(all.length, 4);
      const after = kept();
      assert.notEqual(after.access_token, before.access_token);
      assert.notEqual(after.refresh_token, before.refresh_token);
      writeFileSync(terminal.file, JSON.stringify({ logins: [{ ...after, expires_at: 1 }] }));
      assert.deepEqual(await terminal.json('list'), []);
      assert.equal((await terminal.json('logout')).signed_out, true);
    });
  } finally {
    issuer.stop();
  }
});

test('by the development issuer nothing else is needed', async () => {
  await withServer({ KVCS_AUTH_DEV_ISSUER: 'true' }, async (daemon) => {
    const terminal = new Terminal(daemon);
    const done = await terminal.login(async (url) => {
      assert.equal((await fetch(url)).status, 200);
    });
    assert.equal(done.issuer, `${daemon.url}/oidc`);
    assert.match(done.account, /^developer/);
    assert.deepEqual(await terminal.json('list'), []);
    const named = new Terminal(daemon, 'other');
    const again = await named.login(async (url) => {
      assert.equal((await fetch(`${url}&login_hint=eve`)).status, 200);
    }, '--issuer', `${daemon.url}/oidc`, '--server', daemon.url);
    assert.match(again.account, /^eve/);
    assert.notEqual(again.person_id, done.person_id);
  });
});
