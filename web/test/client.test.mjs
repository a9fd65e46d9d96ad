// Goal: a call says what the daemon said, carries what it needs, and survives the end of a session.
// Method: the client with a fetch that answers from a list.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();
const base = 'http://h:1/kv/';

// Answers one after the other: [status, body, headers]; remembers what was asked.
function daemon(...answers) {
  const asked = [];
  const fetcher = async (url, init) => {
    asked.push({ url, method: init.method, headers: Object.fromEntries(init.headers), body: init.body });
    const [status, body, headers = {}] = answers.shift() ?? [500, {}];
    return new Response(status === 204 ? null : typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
  };
  return { asked, fetcher };
}
const client = ({ fetcher }, more = {}) => new web.Client({ fetcher, base, csrf: () => 'c', ...more });

test('a call works under a prefix, with names and a query', async () => {
  const server = daemon([200, { id: 'x' }]);
  const got = await client(server).get('/api/v1/artifacts/{id}', { path: { id: 'a/b' }, query: { shape: 'full', q: '', n: null } });
  assert.deepEqual(got, { id: 'x' });
  assert.equal(server.asked[0].url, 'http://h:1/kv/api/v1/artifacts/a%2Fb?shape=full');
  assert.equal(server.asked[0].headers['x-csrf-token'], undefined);
  assert.throws(() => web.fillPath('/x/{id}', {}), /needs "id"/);
});

test('what changes something carries the token, its JSON and the tag of what was read', async () => {
  const server = daemon([204], [200, { a: 1 }, { etag: '"7"' }]);
  const one = client(server);
  assert.equal(await one.patch('/x', { body: { name: 'n' }, ifMatch: '"6"' }), undefined);
  const { headers, body, method } = server.asked[0];
  assert.deepEqual([method, headers['x-csrf-token'], headers['if-match'], body], ['PATCH', 'c', '"6"', '{"name":"n"}']);
  assert.equal((await one.getTagged('/x')).etag, '"7"');
});

test('a refusal has the words, the code and the wait of whatever door it came through', async () => {
  for (const [body, headers, expected] of [
    [{ error: 'No such thing.' }, {}, { message: 'No such thing.', code: '' }],
    [{ error: 'Taken.', code: 'slug_taken', details: { field: 'slug' } }, {}, { message: 'Taken.', code: 'slug_taken', field: 'slug', fields: { slug: 'Taken.' } }],
    [{ error: 'Wait.', code: 'RATE_LIMITED', status: 429, request_id: 'r', retry_after: 7 }, {}, { code: 'RATE_LIMITED', retryAfterS: 7, requestId: 'r' }],
    [{ error: { message: 'Too much.', type: 'insufficient_quota', code: 'budget', param: null } }, { 'retry-after': '3' }, { message: 'Too much.', code: 'budget', retryAfterS: 3 }],
    [{ type: 'error', error: { type: 'overloaded_error', message: 'Busy.' } }, { 'x-request-id': 'q' }, { message: 'Busy.', code: 'overloaded_error', requestId: 'q' }],
    ['<html>', {}, { message: '/kv/x answered 418 without words.' }],
    [[], {}, { message: '/kv/x answered 418 without words.' }],
  ]) {
    await assert.rejects(client(daemon([418, body, headers])).get('/x'), (error) => {
      assert.ok(error instanceof web.ApiError);
      for (const [name, value] of Object.entries(expected)) assert.deepEqual(error[name], value, name);
      return true;
    });
  }
});

test('silence is said to be that; a caller that gives up is not', async () => {
  const dead = { fetcher: async () => { throw new TypeError('fetch failed'); } };
  await assert.rejects(client(dead).get('/x'), (error) => error.isSilent && /does not answer/.test(error.message));
  const slow = { fetcher: (_, { signal }) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new DOMException('stop', 'AbortError')));
  }) };
  await assert.rejects(client(slow).get('/x', { timeoutMs: 1 }), /No answer within/);
  const stop = new AbortController();
  const asked = client(slow).get('/x', { signal: stop.signal });
  stop.abort();
  await assert.rejects(asked, { name: 'AbortError' });
});

// A body that comes piece by piece; `end` is how the network sees that nobody reads on.
function streamed(signal) {
  const state = { ended: false };
  const body = new ReadableStream({
    start(to) {
      state.push = (text) => to.enqueue(new TextEncoder().encode(text));
      state.close = () => to.close();
      state.breakOff = () => to.error(new TypeError('terminated'));
      signal?.addEventListener('abort', () => {
        state.ended = true;
        to.error(new DOMException('stop', 'AbortError'));
      });
    },
  });
  return Object.assign(state, { response: new Response(body) });
}

test('a stream that its reader stops ends at the daemon too', async () => {
  let sent;
  const one = client({ fetcher: async (_, { signal }) => (sent = streamed(signal)).response });
  const stop = new AbortController();
  const response = await one.raw('/x', { signal: stop.signal }, 60_000);
  const reader = response.body.getReader();
  sent.push('half');
  assert.equal(new TextDecoder().decode((await reader.read()).value), 'half');
  const next = reader.read();
  stop.abort();
  await assert.rejects(next, { name: 'AbortError' });
  assert.ok(sent.ended);
});

test('an answer that comes late or breaks off in its body is none', async () => {
  let sent;
  const one = client({ fetcher: async (_, { signal }) => (sent = streamed(signal)).response });
  await assert.rejects(one.get('/x', { timeoutMs: 1 }), (error) => error.isSilent && /No answer within/.test(error.message));
  assert.ok(sent.ended);
  for (const end of [() => sent.breakOff(), () => { sent.push('{"a":'); sent.close(); }]) {
    const asked = one.get('/x');
    await new Promise((resolve) => setImmediate(resolve));
    end();
    await assert.rejects(asked, (error) => error.isSilent && /broke off/.test(error.message));
  }
  const stop = new AbortController();
  const asked = one.get('/x', { signal: stop.signal });
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await assert.rejects(asked, { name: 'AbortError' });
});

test('what is not known to be done is told of writes alone', async () => {
  const slow = client({ fetcher: async (_, { signal }) => streamed(signal).response });
  const half = (type) => client({ fetcher: async () => new Response('<h1>{"a":', { headers: { 'content-type': type } }) });
  const unknown = /Whether it was done is not known\.$/;
  for (const run of [(method) => slow[method]('/x', { timeoutMs: 1 }), (method) => half('application/json')[method]('/x'), (method) => half('text/html')[method]('/x')]) {
    await assert.rejects(run('get'), (error) => error.isSilent && !unknown.test(error.message));
    await assert.rejects(run('delete'), (error) => error.isSilent && unknown.test(error.message));
  }
});

test('a click has one key, in whatever tries it takes; the next click has another', async () => {
  let csrf = 'old';
  const busy = [409, { error: 'Under way.', code: 'idempotency_in_progress' }, { 'retry-after': '0' }];
  const server = daemon([401, { error: 'No.' }], busy, busy, [201, { made: 1 }], [201, { made: 2 }], [204], [200, {}]);
  const one = client(server, { csrf: () => csrf, onSignedOut: async () => { csrf = 'new'; return true; } });
  assert.deepEqual(await one.post('/x'), { made: 1 });
  assert.deepEqual(await one.post('/x'), { made: 2 });
  await one.delete('/x');
  await one.get('/x');
  const keys = server.asked.map((call) => call.headers['idempotency-key']);
  assert.match(keys[0], /^[0-9a-f]{32}$/);
  assert.deepEqual(keys.slice(0, 4), Array(4).fill(keys[0]));
  assert.match(keys[4], /^[0-9a-f]{32}$/);
  assert.notEqual(keys[4], keys[0]);
  assert.deepEqual(keys.slice(5), [undefined, undefined]);
  const own = daemon([200, {}]);
  await client(own).raw('/x', { method: 'POST', headers: { 'idempotency-key': 'mine' } });
  assert.equal(own.asked[0].headers['idempotency-key'], 'mine');
});

test('a change without an answer may have been made, and what is shown is read anew', async () => {
  let read = 0;
  const onUnknown = () => read++;
  const dead = { fetcher: async () => { throw new TypeError('fetch failed'); } };
  for (const method of ['post', 'put', 'patch', 'delete']) {
    await assert.rejects(client(dead, { onUnknown })[method]('/x'), /does not answer.*Whether it was done is not known/);
  }
  assert.equal(read, 4);
  await assert.rejects(client(dead, { onUnknown }).get('/x'), (error) => !/not known/.test(error.message));
  await assert.rejects(client(daemon([400, { error: 'Bad.' }]), { onUnknown }).post('/x'), { status: 400 });
  assert.equal(read, 4);
  await assert.rejects(client(dead, { onUnknown }).post('/x', { reads: true }), (error) => !/not known/.test(error.message));
  const asked = daemon([200, {}]);
  await client(asked, { onUnknown }).post('/x', { reads: true });
  assert.deepEqual([asked.asked[0].headers['x-csrf-token'], asked.asked[0].headers['idempotency-key'], read], ['c', undefined, 4]);
  await assert.rejects(client(daemon([200, '{"half']), { onUnknown }).post('/x'), /broke off/);
  assert.equal(read, 5);
  const lost = daemon([409, { error: 'Not known.', code: 'idempotency_outcome_unknown' }]);
  await assert.rejects(client(lost, { onUnknown }).post('/x'), { status: 409 });
  assert.equal(read, 6);
});

test('a session that ends in the middle is begun anew, and the call goes on', async () => {
  let csrf = 'old';
  const server = daemon([401, { error: 'No.' }], [200, { ok: true }]);
  const one = client(server, { csrf: () => csrf, onSignedOut: async () => { csrf = 'new'; return true; } });
  assert.deepEqual(await one.post('/x', { body: { typed: 'kept' } }), { ok: true });
  assert.deepEqual(server.asked.map((call) => call.headers['x-csrf-token']), ['old', 'new']);
  assert.equal(server.asked[1].body, '{"typed":"kept"}');
  const refused = client(daemon([401, { error: 'No.' }]), { onSignedOut: async () => false });
  await assert.rejects(refused.get('/x'), { status: 401, message: 'No.' });
});

test('a wrong password, and a service that refuses its account, end no session', async () => {
  const asks = { onSignedOut: async () => assert.fail('asked to sign in') };
  for (const path of ['/auth/login', '/auth/login/totp', '/auth/reset/confirm']) {
    await assert.rejects(client(daemon([401, { error: 'Wrong.' }]), asks).post(path), { status: 401, message: 'Wrong.' });
  }
  const refused = [401, { error: 'github answered 401.', code: 'UPSTREAM_ERROR', status: 401, details: { upstream_status: 401, upstream: { message: 'Bad credentials' } } }];
  await assert.rejects(client(daemon(refused), asks).raw('/api/v1/t/github', { method: 'POST' }), (error) => error.details.upstream.message === 'Bad credentials');
});

test('a token of another tab\'s session is read anew, once', async () => {
  let csrf = 'old';
  const fail = [403, { error: 'X-CSRF-Token is not the session\'s.', code: 'csrf_token_missing' }];
  const server = daemon(fail, [204], fail, fail);
  const one = client(server, { csrf: () => csrf, onStaleCsrf: async () => { csrf = 'new'; return true; } });
  await one.delete('/x');
  assert.equal(server.asked[1].headers['x-csrf-token'], 'new');
  await assert.rejects(one.delete('/x'), { status: 403 });
  assert.equal(server.asked.length, 4);
  for (const code of ['csrf_token_missing', 'CSRF_TOKEN_MISSING']) {
    const coded = daemon([403, { error: 'No.', code }], [204]);
    await client(coded, { onStaleCsrf: async () => true }).delete('/x');
    assert.equal(coded.asked.length, 2, code);
  }
});

test('of another person, or for another reason, a refused call is not made again', async () => {
  for (const [refusal, again] of [
    [[403, { error: 'X-CSRF-Token must be the csrf_token of …' }], false],
    [[400, { error: 'The name has "csrf" in it.' }], true],
    [[403, { error: 'csrf is a word that is not allowed here.' }], true],
  ]) {
    const server = daemon(refusal, [204]);
    await assert.rejects(client(server, { onStaleCsrf: async () => again }).delete('/x'), { status: refusal[0] });
    assert.equal(server.asked.length, 1);
  }
});

test('a PUT that makes a thing replaces none that is there', async () => {
  await web.mustBeFree(client(daemon([404, { error: 'None.' }])).get('/x'), 'name', 'x');
  await assert.rejects(web.mustBeFree(client(daemon([200, {}])).get('/x'), 'name', 'x'), (error) => error.status === 409 && error.fields.name.startsWith('"x" is there'));
  await assert.rejects(web.mustBeFree(client(daemon([503, { error: 'Wait.' }])).get('/x'), 'name', 'x'), { status: 503 });
});

test('the words of a refusal find their field', () => {
  const error = (message, rest) => new web.ApiError(400, message, rest);
  assert.deepEqual(web.fieldErrors(error('"name" is too long.'), ['name', 'email']), { name: '"name" is too long.' });
  assert.deepEqual(web.fieldErrors(error('"model" is not known.'), ['name']), {});
  assert.deepEqual(web.fieldErrors(error('No.', { fields: { name: 'Taken.' } }), ['name']), { name: 'Taken.' });
  assert.deepEqual(web.fieldErrors(error('name: is too long.'), ['email', 'name']), { name: 'Is too long.' });
  assert.deepEqual(web.fieldErrors(error('gpt-4.1.price: is too large.'), ['price']), { price: 'Is too large.' });
  assert.deepEqual(web.fieldErrors(error('Two.', { fields: { budget: "budget: '5,5,5' is none." } }), ['budget']), { budget: "'5,5,5' is none." });
  assert.deepEqual(web.fieldErrors(error('rename: no.'), ['name']), {});
  assert.deepEqual(web.fieldErrors(undefined, ['name']), {});
  const taken = error("The slug 'default' is taken.", { code: 'slug_exists' });
  assert.deepEqual(web.fieldErrors(taken, ['name', 'slug']), { slug: taken.message });
  assert.deepEqual(web.fieldErrors(taken, ['name']), { name: taken.message });
  assert.deepEqual(web.fieldErrors(taken, ['plan']), {});
});

test('a conflict is called stale only where somebody changed the thing', () => {
  const stale = (status, words) => new web.ApiError(status, words).isStale;
  assert.ok(stale(412, 'No.') && stale(409, 'The record x was changed meanwhile; read it again.'));
  assert.ok(!stale(409, "The slug 'default' is taken.") && !stale(400, 'It was changed meanwhile.'));
});

test('a comma of a keypad is a point, and one of thousands is left to be refused', () => {
  assert.deepEqual(['5,50', ' 5,5 ', '5.50', '1,000', '1,2,3', ',5', ''].map(web.withPoint), ['5.50', ' 5.5 ', '5.50', '1,000', '1,2,3', ',5', '']);
});
