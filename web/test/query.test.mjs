// Goal: a list shows what was asked for last, whatever comes late; nobody is asked while nobody looks; and
// what a button does is done once.
// Method: the hooks on a stage, with a clock that stands and answers that come when the test says so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';
import { settle, stage, standingClock } from './stage.mjs';

globalThis.document = Object.assign(new EventTarget(), { hidden: false, baseURI: 'http://h/' });
const page = new EventTarget();
globalThis.addEventListener = page.addEventListener.bind(page);
const web = await loadBundle();
const { clearCache, invalidate, useAction, usePages, useQuery } = web.query;

// Questions that wait for their answers: `asked[0].answer(x)`.
function questions() {
  const asked = [];
  const ask = (signal, cursor) => new Promise((resolve, reject) => {
    asked.push({ signal, cursor, answer: async (data) => { resolve(data); await settle(); }, refuse: async (words, status = 500, rest) => { reject(new web.ApiError(status, words, rest)); await settle(); } });
  });
  return { asked, ask };
}
let lastKey = 0;
const freshKey = () => `/list${++lastKey}`;

test('an answer is shown at once when it is asked for again, and kept when the next try fails', async () => {
  const { asked, ask } = questions();
  const key = freshKey();
  const first = await stage(web, useQuery, key, ask);
  assert.deepEqual([first.now().data, first.now().busy], [undefined, true]);
  await asked[0].answer('one');
  assert.deepEqual([first.now().data, first.now().busy], ['one', false]);
  await first.leave();
  const again = await stage(web, useQuery, key, ask);
  assert.deepEqual([again.now().data, again.now().busy], ['one', true]);
  await asked[1].refuse('No.');
  assert.deepEqual([again.now().data, again.now().error.message, again.now().busy], ['one', 'No.', false]);
  await again.leave();
});

test('of two answers the one that was asked for last is shown', async () => {
  const { asked, ask } = questions();
  const list = await stage(web, useQuery, freshKey(), ask);
  list.now().refresh();
  await settle();
  assert.deepEqual([asked[0].signal.aborted, asked[1].signal.aborted], [true, false]);
  await asked[1].answer('new');
  await asked[0].answer('old');
  assert.equal(list.now().data, 'new');
  await list.leave();
});

test('another key shows nothing of the one before, and what is left is asked no longer', async () => {
  const { asked, ask } = questions();
  const [one, two] = [freshKey(), freshKey()];
  const list = await stage(web, useQuery, one, ask);
  await list.redraw(two, ask);
  assert.ok(asked[0].signal.aborted);
  await asked[0].answer('one');
  assert.equal(list.now().data, undefined);
  await asked[1].answer('two');
  assert.equal(list.now().data, 'two');
  await list.redraw(null, ask);
  assert.deepEqual([list.now().data, list.now().busy, asked.length], [undefined, false, 2]);
  await list.redraw(one, ask);
  assert.equal(list.now().data, undefined);
  await list.leave();
  assert.ok(asked[2].signal.aborted);
});

test('who asks the same at once waits for one answer, which goes on until the last has left', async () => {
  const { asked, ask } = questions();
  const key = freshKey();
  const shown = [await stage(web, useQuery, key, ask), await stage(web, useQuery, key, ask)];
  assert.equal(asked.length, 1);
  await shown[0].leave();
  assert.equal(asked[0].signal.aborted, false);
  const third = await stage(web, useQuery, key, ask);
  await asked[0].answer('one');
  for (const one of [shown[1], third]) assert.deepEqual([one.now().data, one.now().busy], ['one', false]);
  // Asked anew, by one of them or for all, the answer is everybody's too; so is a refusal.
  third.now().refresh();
  await settle();
  assert.deepEqual([asked.length, shown[1].now().busy], [2, true]);
  invalidate(key);
  await settle();
  assert.deepEqual([asked.length, asked[1].signal.aborted], [3, true]);
  await asked[1].answer('before the change');
  await asked[2].refuse('No.');
  for (const one of [shown[1], third]) assert.deepEqual([one.now().data, one.now().error.message, one.now().busy], ['one', 'No.', false]);
  third.now().refresh();
  await settle();
  await shown[1].leave();
  await third.leave();
  assert.ok(asked[3].signal.aborted);
});

test('of two who poll the same each is shown the answers of both', async (t) => {
  const pass = standingClock(t);
  const { asked, ask } = questions();
  page.dispatchEvent(new Event('keydown'));
  const key = freshKey();
  const often = await stage(web, useQuery, key, ask, { pollMs: 1000 });
  const seldom = await stage(web, useQuery, key, ask, { pollMs: 1500 });
  for (let n = 0; n < 4; n++) {
    await asked[n].answer(n);
    assert.deepEqual([often.now().data, seldom.now().data, asked.length], [n, n, n + 1]);
    await pass(1000);
  }
  await often.leave();
  await asked[4].answer(4);
  assert.equal(seldom.now().data, 4);
  await pass(1500);
  assert.equal(asked.length, 6);
  await seldom.leave();
});

test('it is asked again after each answer while the page is seen and used', async (t) => {
  const pass = standingClock(t);
  const { asked, ask } = questions();
  page.dispatchEvent(new Event('keydown'));
  const list = await stage(web, useQuery, freshKey(), ask, { pollMs: 1000 });
  await pass(5000);
  assert.equal(asked.length, 1);
  await asked[0].answer(1);
  await pass(999);
  assert.equal(asked.length, 1);
  await pass(1);
  assert.equal(asked.length, 2);
  await asked[1].refuse('No.');
  await pass(1000);
  assert.equal(asked.length, 3);
  await asked[2].answer(3);
  document.hidden = true;
  await pass(10_000);
  assert.equal(asked.length, 3);
  document.hidden = false;
  await pass(1000);
  assert.equal(asked.length, 4);
  await pass(11 * 60_000);
  await asked[3].answer(4);
  await pass(60_000);
  assert.equal(asked.length, 4);
  page.dispatchEvent(new Event('keydown'));
  await pass(1000);
  assert.equal(asked.length, 5);
  await asked[4].answer(5);
  await list.leave();
  await pass(60_000);
  assert.equal(asked.length, 5);
});

test('what may soon go well is asked again until it does, and what is refused is not', async (t) => {
  const pass = standingClock(t);
  const { asked, ask } = questions();
  page.dispatchEvent(new Event('keydown'));
  const list = await stage(web, useQuery, freshKey(), ask);
  const asksAfter = async (ms) => {
    const before = asked.length;
    await pass(ms - 1);
    assert.equal(asked.length, before, `before ${ms} ms`);
    await pass(1);
    assert.equal(asked.length, before + 1, `after ${ms} ms`);
  };
  for (const [status, ms] of [[0, 2000], [502, 4000], [503, 8000], [504, 15_000], [0, 15_000]]) {
    await asked.at(-1).refuse('No.', status);
    assert.equal(list.now().error.message, 'No.');
    await asksAfter(ms);
  }
  await asked.at(-1).refuse('Busy.', 503, { retryAfterS: 3 });
  document.hidden = true;
  await pass(3000);
  document.hidden = false;
  await asksAfter(3000);
  await asked.at(-1).answer('there');
  assert.deepEqual([list.now().data, list.now().error], ['there', undefined]);
  list.now().refresh();
  await asked.at(-1).refuse('No.', 0);
  await asksAfter(2000);
  for (const [status, rest] of [[403], [500], [429, { retryAfterS: 2_592_000 }]]) {
    await asked.at(-1).refuse('No.', status, rest);
    const { length } = asked;
    await pass(60 * 60_000);
    page.dispatchEvent(new Event('keydown'));
    await pass(60_000);
    assert.equal(asked.length, length, `${status}`);
    list.now().refresh();
  }
  await list.leave();
});

test('a call without an answer asks at once how the daemon is', async () => {
  const mark = questions();
  const health = await stage(web, useQuery, '/health', mark.ask, { pollMs: 15_000 });
  await mark.asked[0].answer('healthy');
  const { asked, ask } = questions();
  const list = await stage(web, useQuery, freshKey(), ask);
  await asked[0].refuse('No.', 403);
  assert.equal(mark.asked.length, 1);
  list.now().refresh();
  await asked[1].refuse('Silence.', 0);
  assert.equal(mark.asked.length, 2);
  await mark.asked[1].refuse('Silence.', 0);
  assert.equal(mark.asked.length, 2);
  const button = await stage(web, useAction, async () => { throw new web.ApiError(0, 'Silence.'); });
  await button.now().run();
  await settle();
  assert.equal(mark.asked.length, 3);
  for (const one of [button, list, health]) await one.leave();
});

test('a question that has a body is no change: without an answer it is asked again after its wait, as every other', async (t) => {
  const pass = standingClock(t);
  page.dispatchEvent(new Event('keydown'));
  let calls = 0;
  // Asked without an end, it is left without an answer.
  const dead = async () => (++calls > 9 ? new Promise(() => {}) : Promise.reject(new TypeError('fetch failed')));
  web.api.configure({ fetcher: dead });
  const look = await stage(web, useQuery, freshKey(), (signal) => web.api.post('/look-up', { body: {}, reads: true, signal }));
  assert.equal(calls, 1);
  assert.match(look.now().error.message, /does not answer/);
  await pass(2000);
  assert.equal(calls, 2);
  await look.leave();
});

test('what the page refuses by itself is not said to be silence', async () => {
  for (const broken of [() => new Date(NaN).toISOString(), () => null.rows]) {
    const button = await stage(web, useAction, async () => broken());
    await button.now().run();
    await settle();
    assert.deepEqual([button.now().error.isSilent, button.now().error.status], [false, 400]);
    await button.leave();
  }
});

test('what is asked for later is not asked for now', async (t) => {
  const pass = standingClock(t);
  const { asked, ask } = questions();
  page.dispatchEvent(new Event('keydown'));
  const list = await stage(web, useQuery, freshKey(), ask, { pollMs: 1000, later: true });
  assert.equal(asked.length, 0);
  await pass(1000);
  assert.equal(asked.length, 1);
  await list.leave();
});

test('a change is read anew where it is shown, and forgotten elsewhere', async () => {
  const { asked, ask } = questions();
  const [shown, other] = [`${freshKey()}/x`, `/other${++lastKey}`];
  const list = await stage(web, useQuery, shown, ask);
  await asked[0].answer('shown');
  const gone = await stage(web, useQuery, other, ask);
  await asked[1].answer('gone');
  await gone.leave();
  invalidate(shown.slice(0, -2));
  await settle();
  assert.deepEqual([asked.length, list.now().data], [3, 'shown']);
  invalidate('/other');
  const back = await stage(web, useQuery, other, ask);
  assert.equal(back.now().data, undefined);
  await back.leave();
  clearCache();
  await settle();
  assert.equal(list.now().data, undefined);
  await list.leave();
});

const idOf = (row) => row;
async function listOf(key = freshKey()) {
  const { asked, ask } = questions();
  const fetchPage = (cursor, signal) => ask(signal, cursor);
  const list = await stage(web, usePages, key, fetchPage, { idOf });
  await asked[0].answer({ rows: ['a', 'b'], next: 'c2' });
  return { asked, list, fetchPage };
}

test('more rows follow those that are there, each once', async () => {
  const { asked, list } = await listOf();
  list.now().more();
  list.now().more();
  await settle();
  assert.deepEqual([asked.length, asked[1].cursor, list.now().busy], [2, 'c2', true]);
  await asked[1].answer({ rows: ['b', 'c'], next: null });
  assert.deepEqual([list.now().rows, list.now().hasMore, list.now().busy], [['a', 'b', 'c'], false, false]);
  list.now().more();
  assert.equal(asked.length, 2);
  await list.leave();
});

test('pages of a search that found nothing are passed over, as far as a limit', async () => {
  const { asked, ask } = questions();
  const list = await stage(web, usePages, freshKey(), (cursor, signal) => ask(signal, cursor), { idOf });
  await asked[0].answer({ rows: [], next: 'c2' });
  assert.deepEqual([asked[1].cursor, list.now().rows, list.now().busy], ['c2', undefined, true]);
  await asked[1].answer({ rows: ['a'], next: 'c3' });
  assert.deepEqual([asked.length, list.now().rows, list.now().busy, list.now().hasMore], [2, ['a'], false, true]);
  list.now().more();
  await settle();
  for (let page = 2; page < 22; page++) await asked[page].answer({ rows: [], next: `c${page + 2}` });
  assert.deepEqual([asked.length, list.now().rows, list.now().busy, list.now().hasMore], [22, ['a'], false, true]);
  list.now().more();
  await settle();
  assert.equal(asked[22].cursor, 'c23');
  await asked[22].refuse('No.');
  assert.deepEqual([list.now().rows, list.now().error.message, list.now().busy, list.now().hasMore], [['a'], 'No.', false, true]);
  list.now().more();
  await settle();
  await asked[23].answer({ rows: ['last'], next: null });
  assert.deepEqual([asked.length, list.now().rows, list.now().hasMore, list.now().busy], [24, ['a', 'last'], false, false]);
  await list.leave();
});

test('a row that was taken out while more were on their way stays out', async () => {
  const { asked, list } = await listOf();
  list.now().more();
  await settle();
  list.now().edit((rows) => rows.filter((row) => row !== 'a'));
  await asked[1].answer({ rows: ['c'], next: 'c3' });
  assert.deepEqual(list.now().rows, ['b', 'c']);
  await list.leave();
});

test('an edit that was begun before more rows came keeps them', async () => {
  const { asked, list } = await listOf();
  const before = list.now();
  before.more();
  await settle();
  await asked[1].answer({ rows: ['c'], next: null });
  before.edit((rows) => rows.filter((row) => row !== 'a'));
  await settle();
  assert.deepEqual(list.now().rows, ['b', 'c']);
  await list.leave();
});

test('more of a list that was read anew, or left, is dropped', async () => {
  const { asked, list, fetchPage } = await listOf();
  list.now().more();
  list.now().refresh();
  await settle();
  await asked[2].answer({ rows: ['x'], next: 'other' });
  await asked[1].answer({ rows: ['c'], next: null });
  assert.deepEqual([list.now().rows, list.now().hasMore, list.now().busy], [['x'], true, false]);
  list.now().more();
  await settle();
  await list.redraw(freshKey(), fetchPage, { idOf });
  assert.deepEqual([asked[3].cursor, asked[3].signal.aborted], ['other', true]);
  await asked[4].answer({ rows: ['new'], next: 'n2' });
  assert.equal(list.now().busy, false);
  list.now().more();
  await settle();
  assert.equal(asked[5].cursor, 'n2');
  await asked[5].refuse('No.');
  assert.equal(list.now().error.message, 'No.');
  await list.redraw(freshKey(), fetchPage, { idOf });
  await asked[6].answer({ rows: [], next: null });
  assert.equal(list.now().error, undefined);
  await list.leave();
});

test('new rows are counted, and shown when asked for', async (t) => {
  const pass = standingClock(t);
  page.dispatchEvent(new Event('keydown'));
  const { asked, ask } = questions();
  const list = await stage(web, usePages, freshKey(), (cursor, signal) => ask(signal, cursor), { idOf, pollMs: 1000 });
  await asked[0].answer({ rows: ['a'], next: null });
  await pass(1000);
  await asked[1].answer({ rows: ['c', 'b', 'a'], next: null });
  assert.deepEqual([list.now().rows, list.now().fresh], [['a'], 2]);
  await pass(1);
  list.now().refresh();
  await settle();
  await asked[2].answer({ rows: ['c', 'b', 'a'], next: null });
  assert.deepEqual([list.now().rows, list.now().fresh], [['c', 'b', 'a'], 0]);
  await list.leave();
});

test('what a button does runs once at a time, and says why it was refused', async () => {
  const { asked, ask } = questions();
  const button = await stage(web, useAction, ask);
  const runs = [button.now().run(), button.now().run()];
  await settle();
  assert.deepEqual([asked.length, button.now().busy, await runs[1]], [1, true, false]);
  await asked[0].refuse('No.');
  assert.deepEqual([await runs[0], button.now().error.message, button.now().busy], [false, 'No.', false]);
  const again = button.now().run();
  await asked[1].answer();
  assert.deepEqual([await again, button.now().error], [true, undefined]);
  await button.leave();
});

test('a value that changes before anybody listens is shown all the same', async () => {
  const store = web.createStore(1);
  const shown = await stage(web, () => {
    const value = web.useStore(store);
    if (value === 1) store.set(2);
    return value;
  });
  assert.equal(shown.now(), 2);
  store.set(3);
  await settle();
  assert.equal(shown.now(), 3);
  await shown.leave();
});
