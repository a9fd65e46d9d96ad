// Goal: the links of setup and invitations lead to their form, and a refusal is said in words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();
const page = (state) =>
  web.render(web.h(web.SignInView, { way: 'login', failure: null, busy: false, done: null, ...state }));

test('an address leads to the form that it is for, or to none', () => {
  assert.deepEqual(web.wayOf('#/setup?token=aB_-9'), { way: 'setup', token: 'aB_-9' });
  assert.deepEqual(web.wayOf('#/invitation?token=x'), { way: 'invitation', token: 'x' });
  assert.deepEqual(web.wayOf('#/login'), { way: 'login', token: '' });
  assert.deepEqual(web.wayOf('#/reset?token=3f-0.aB_-9'), { way: 'reset', token: '3f-0.aB_-9' });
  for (const other of ['#/reset', '#/code', '', '#/', '#/setup', '#/invitation?token=', '#/setup?token=<b>', '#/other']) {
    assert.equal(web.wayOf(other), null, other);
  }
});

test('each form asks for what its route needs', () => {
  assert.ok(page({ way: 'setup' }).includes('Create my account'));
  assert.ok(page({ way: 'setup' }).includes('name="name"'));
  assert.ok(!page({ way: 'login' }).includes('name="name"'));
  assert.ok(page({ way: 'login' }).includes('current-password'));
  assert.ok(page({ way: 'invitation' }).includes('new-password'));
  assert.ok(page({ way: 'reset' }).includes('new-password'));
  assert.ok(!page({ way: 'reset' }).includes('name="email"'));
  assert.ok(page({ way: 'reset', done: '' }).includes('href="#/login"'));
  assert.ok(page({ way: 'code' }).includes('one-time-code'));
  assert.ok(!page({ way: 'code' }).includes('name="password"'));
});

test('a refusal is shown in the words of the daemon, and is no markup', () => {
  const html = page({ failure: 'The address <b>or</b> the password is wrong.' });
  assert.ok(html.includes('role="alert"'));
  assert.ok(html.includes('&lt;b>or'));
  assert.ok(page({ done: 'Ada' }).includes('Welcome, Ada'));
});

test('an answer is the object, a refusal its words, silence a failure', async () => {
  const answer = (status, body) => async () => new Response(JSON.stringify(body), { status });
  assert.deepEqual(await web.postJson(answer(200, { name: 'Ada' }), '/auth/login', {}), { name: 'Ada' });
  await assert.rejects(web.postJson(answer(401, { error: 'Wrong.' }), '/auth/login', {}), /Wrong\./);
  await assert.rejects(web.postJson(answer(500, []), '/auth/login', {}), /answered 500/);
  const silent = async () => { throw new TypeError('fetch failed'); };
  await assert.rejects(web.postJson(silent, '/auth/login', {}), /does not answer/);
});
