// Goal: the page says what the daemon says, also when that is bad news or nonsense.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();
const healthy = { status: 'healthy', services: { kv: 'up', d1: 'up' }, version: '1.2.3', uptime_s: 61 };

// A fetch that answers by path: [status, body]; a missing path is a refused connection.
function answers(table) {
  return async (path) => {
    if (!(path in table)) throw new TypeError('fetch failed');
    const [status, body] = table[path];
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status });
  };
}
const page = (state) =>
  web.render(web.h(web.StatusView, { snapshot: null, failure: null, origin: 'http://h:1', ...state }));

test('a healthy daemon with both answers', async () => {
  const snapshot = await web.readSnapshot(
    answers({ '/health': [200, healthy], '/api/v1/status': [200, { version: '1.2.4', commit: 'abc' }] }));
  const html = page({ snapshot });
  for (const text of ['Running', '1.2.4', 'abc', '1 min 1 s', 'dot good', 'kv', 'd1']) {
    assert.ok(html.includes(text), text);
  }
});

test('without the status route the page lives on health alone', async () => {
  const snapshot = await web.readSnapshot(answers({ '/health': [200, healthy] }));
  assert.equal(snapshot.status, null);
  assert.ok(page({ snapshot }).includes('1.2.3'));
});

test('an unhealthy daemon answers 503 and is shown as not working', async () => {
  const snapshot = await web.readSnapshot(
    answers({ '/health': [503, { status: 'unhealthy', services: { kv: 'down' } }] }));
  const html = page({ snapshot });
  assert.ok(html.includes('Not working'));
  assert.ok(html.includes('dot bad'));
});

test('no answer, a wrong status and nonsense are failures with words', async () => {
  for (const [table, says] of [
    [{}, /no usable answer/],
    [{ '/health': [404, {}] }, /answered 404/],
    [{ '/health': [200, '<html>'] }, /no usable answer/],
    [{ '/health': [200, []] }, /did not answer as a kvcs does/],
    [{ '/health': [200, { status: 1 }] }, /did not answer as a kvcs does/],
  ]) {
    await assert.rejects(web.readSnapshot(answers(table)), (error) => {
      assert.ok(error instanceof web.ApiError);
      assert.match(error.message, says);
      return true;
    });
  }
  assert.ok(page({ failure: 'no usable answer from /health' }).includes('Not reachable'));
});

test('what the daemon says cannot become markup', async () => {
  const snapshot = await web.readSnapshot(answers({
    '/health': [200, { status: '<img src=x>', services: { '<b>': '<i>' }, version: '<script>' }],
  }));
  const html = page({ snapshot });
  for (const tag of ['<img src=x', '<b>', '<i>', '<script>']) assert.ok(!html.includes(tag), tag);
});

test('the commands name the address of this page', () => {
  assert.ok(page({}).includes('export KVCS_API_URL=http://h:1'));
});

test('durations and states in words', () => {
  assert.deepEqual([0, 59, 60, 3600, 90_000, -5].map(web.formatDuration),
    ['0 s', '59 s', '1 min 0 s', '1 h 0 min', '1 d 1 h', '0 s']);
  assert.deepEqual(['up', 'degraded', 'down', 'what'].map(web.toneOf), ['good', 'warn', 'bad', 'bad']);
});
