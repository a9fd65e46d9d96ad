// Goal: the console sends what was typed, shows the same call for an agent, and the strip counts what expires.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const { callBody, callLines, applicationRecord, fieldsOf, fitsState, leadTo, namesIn, nextDays, ownRecord, readQuery } = await loadBundle();
const draft = { tenant: 'acme', provider: 'github', account: '', method: 'POST', path: '/repos', query: '', body: '', user: 'u' };

test('a query is one name=value a line; a name that stands twice has a list', () => {
  assert.deepEqual(readQuery('a=1\nb=two words\n\n a = 2&c'), { a: ['1', '2'], b: 'two words', c: '' });
  assert.deepEqual(readQuery('q=x=y'), { q: 'x=y' });
});

test('an application is stored beside what is stored, and of the catalogue nothing else is', () => {
  const shown = { provider: 'crm', display_name: 'CRM', base_url: 'https://crm.test', version: '', auth_type: 'oauth2_refresh_token',
    auth: { token_url: 'https://crm.test/t', scopes: ['a'], client_id: 'before', client_secret_set: true }, endpoints: {}, default_headers: {},
    timeout_ms: 1, allowed_methods: ['GET'], allowed_path_prefixes: [], allow_private_addresses: false, actions: {}, secrets_set: ['s'],
    catalogue: true, stored: false, callback_url: 'https://kvcs.test/connect/callback' };
  assert.deepEqual(applicationRecord(shown, 'c', 's'), { auth: { client_id: 'c', client_secret: 's' } });
  // The stored secret stays where none is typed; what the daemon alone says is not sent back.
  const { auth, ...rest } = applicationRecord({ ...shown, stored: true }, 'c', '');
  assert.deepEqual(auth, { token_url: 'https://crm.test/t', scopes: ['a'], client_id: 'c' });
  for (const name of ['catalogue', 'stored', 'secrets_set', 'callback_url']) assert.ok(!(name in rest), name);
  assert.equal(rest.base_url, 'https://crm.test');
});

test('an own API is what was typed, and nothing that was left empty', () => {
  assert.deepEqual(ownRecord('api_key_header', { base_url: ' https://a.test ', header: 'X-Key', prefix: '', scopes: '' }),
    { base_url: 'https://a.test', auth_type: 'api_key_header', auth: { header: 'X-Key' } });
  assert.deepEqual(ownRecord('bearer', { base_url: 'http://10.0.0.5', private: 'on', prefix: '/v1/' }),
    { base_url: 'http://10.0.0.5', auth_type: 'bearer', auth: {}, allowed_path_prefixes: ['/v1/'], allow_private_addresses: true });
});

test('a call carries what was typed, and nothing that was not', () => {
  assert.deepEqual(callBody(draft), { path: '/repos', method: 'POST' });
  assert.deepEqual(callBody({ ...draft, account: 'ci', body: '{"name":"x"}', query: 'a=1' }),
    { path: '/repos', method: 'POST', account_id: 'ci', body: { name: 'x' }, query: { a: '1' } });
  assert.throws(() => callBody({ ...draft, body: '{' }), /The body is not JSON/);
  // What was typed for another method stays at home.
  for (const method of ['GET', 'HEAD']) assert.deepEqual(callBody({ ...draft, method, body: '{' }), { path: '/repos', method });
  assert.deepEqual(callLines({ ...draft, body: '{' }, 'http://h/'), {});
});

test('the curl line means the same to a shell, whatever is in it', () => {
  const said = 'it\'s "x" $HOME `id`';
  const { curl } = callLines({ ...draft, body: JSON.stringify({ said }) }, 'http://127.0.0.1:1/');
  const words = execFileSync('bash', ['-c', `curl() { printf '%s\\n' "$@"; }; ${curl}`], { env: {} }).toString().split('\n');
  assert.equal(JSON.parse(words.find((one) => one.startsWith('{'))).body.said, said);
});

test('an account is made of what its service wants', () => {
  assert.deepEqual(fieldsOf('basic').map((one) => one.name), ['username', 'password']);
  assert.ok(fieldsOf('api_key_header').every((one) => one.secret));
  assert.deepEqual(fieldsOf('none'), []);
  assert.deepEqual(namesIn('/repos/{owner}/{repo}/issues'), ['owner', 'repo']);
});

test('tokens are counted on the day that they expire', () => {
  const now = new Date(2026, 10, 30, 12).getTime();
  const one = (expires_at) => ({ provider: 'p', account_id: 'a', expires_at });
  const days = nextDays([one(null), one(new Date(now - 1000).toISOString()), one(new Date(now + 1000).toISOString()),
    one(new Date(2026, 11, 3, 0).toISOString()), one(new Date(2026, 11, 7, 0).toISOString())], now);
  assert.deepEqual(days.map((day) => day.expiring.length), [1, 0, 0, 1, 0, 0, 0]);
});

test('an account is found by its end where nothing renews it in time', () => {
  const inMinutes = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();
  const hour = 60, day = 24 * hour;
  const account = (more) => ({ state: 'ok', failures: 0, type: 'bearer', expires_at: null, next_refresh_at: null, ...more });
  const states = ['attention', 'soon', 'expiring', 'expired'];
  for (const [more, fits] of [
    [{}, []],
    [{ expires_at: inMinutes(7 * day + 1) }, []],
    [{ expires_at: inMinutes(7 * day - 1) }, ['expiring']],
    [{ expires_at: inMinutes(16) }, ['expiring']],
    [{ expires_at: inMinutes(14) }, ['soon', 'expiring']],
    [{ expires_at: inMinutes(-1) }, ['soon', 'expiring', 'expired']],
    // Whatever its type is, one that is renewed is no matter of days, until its end has come.
    [{ type: 'service_account_jwt', expires_at: inMinutes(6), next_refresh_at: inMinutes(3) }, []],
    [{ type: 'oauth2_refresh_token', expires_at: inMinutes(-1), next_refresh_at: inMinutes(-1) }, ['expired']],
    // One of OAuth that nothing renews ends like any other.
    [{ type: 'oauth2_refresh_token', expires_at: inMinutes(day) }, ['expiring']],
    [{ failures: 1, expires_at: inMinutes(day), next_refresh_at: inMinutes(hour) }, []],
    [{ state: 'retrying', expires_at: inMinutes(14), next_refresh_at: inMinutes(3) }, ['attention', 'soon', 'expiring']],
    [{ state: 'reauth_required' }, ['attention']],
  ]) {
    const what = JSON.stringify(more);
    assert.deepEqual(states.filter((state) => fitsState(account(more), state)), fits, what);
    assert.ok(fitsState(account(more), ''), what);
  }
});

test('the page of consent does not get hold of this one', () => {
  const page = { opener: {}, location: { href: 'about:blank' } };
  leadTo(page, 'https://idp.example/consent');
  assert.deepEqual(page, { opener: null, location: { href: 'https://idp.example/consent' } });
});
