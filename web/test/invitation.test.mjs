// Goal: whoever is signed in is asked before joining, and nobody else is taken for signed in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();
const page = (state) =>
  web.render(web.h(web.JoinView, { name: 'Ada', failure: null, busy: false, done: false, ...state }));

test('joining is a button that names who joins', () => {
  assert.ok(page({}).includes('Join as Ada'));
  assert.ok(page({ name: '<b>' }).includes('&lt;b>'));
  assert.ok(page({ failure: 'The invitation is used.' }).includes('role="alert"'));
  assert.ok(!page({ done: true }).includes('<button'));
});

test('a session with a cookie is somebody; a key, a refusal and silence are nobody', async () => {
  const answer = (status, body) => async () => new Response(JSON.stringify(body), { status });
  const person = { kind: 'person', name: 'Ada', csrf_token: 'c' };
  assert.deepEqual(await web.readMe(answer(200, person)), { name: 'Ada', csrf_token: 'c' });
  assert.equal(await web.readMe(answer(200, { ...person, csrf_token: null })), null);
  assert.equal(await web.readMe(answer(200, { kind: 'project' })), null);
  assert.equal(await web.readMe(answer(401, { error: 'no' })), null);
  assert.equal(await web.readMe(async () => { throw new TypeError('fetch failed'); }), null);
});

test('the token of a session goes along with what is sent', async () => {
  let sent;
  const fetcher = async (path, init) => {
    sent = init.headers;
    return new Response('{}');
  };
  await web.postJson(fetcher, '/x', {}, 'c');
  assert.equal(sent['x-csrf-token'], 'c');
});
