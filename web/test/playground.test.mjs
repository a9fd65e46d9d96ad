// Goal: what a chat cost stands at its own turn, and what nobody waits for is not gone on with.
// Method: usePlayground with a daemon whose streams and records come when the test says so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';
import { settle, stage } from './stage.mjs';

const web = await loadBundle();
const ask = { model: 'm', system: '', messages: [], temperature: '', maxTokens: '' };
const sent = [];
const records = {};
let refusal = null;
web.api.configure({
  fetcher: async (url, { method, body, signal }) => {
    if (method === 'GET') {
      const id = url.split('/').pop();
      return Response.json(await new Promise((resolve) => { records[id] = resolve; }));
    }
    if (refusal) return Response.json({ error: { message: refusal.words } }, { status: refusal.status, headers: refusal.headers ?? {} });
    const call = { messages: JSON.parse(body).messages, ended: false };
    const stream = new ReadableStream({
      start(to) {
        call.say = (text) => to.enqueue(new TextEncoder().encode(`data: ${JSON.stringify({ choices: [{ delta: { content: text } }] })}\n\n`));
        call.event = (data) => to.enqueue(new TextEncoder().encode(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`));
        call.cut = () => to.close();
        call.close = () => {
          call.event('[DONE]');
          to.close();
        };
        call.breakOff = () => to.error(new TypeError('terminated'));
        signal.addEventListener('abort', () => {
          if (call.ended) return;
          call.ended = true;
          to.error(new DOMException('stop', 'AbortError'));
        });
      },
    });
    sent.push(call);
    return new Response(stream, { headers: { 'x-request-id': `r${sent.length}` } });
  },
});
async function open() {
  const chat = await stage(web, web.usePlayground);
  chat.now().clear();
  await settle();
  return chat;
}
const last = () => sent[sent.length - 1];
async function say(chat, text, { answer = '', end = 'close' } = {}) {
  void chat.now().send(ask, 'u', text);
  await settle();
  if (answer !== '') last().say(answer);
  await settle();
  if (end === 'stop') chat.now().stop();
  else if (end !== '') last()[end]();
  await settle();
}

test('the cost of a turn that comes late stands at that turn', async () => {
  sent.length = 0;
  const chat = await open();
  await say(chat, 'one', { answer: 'first' });
  await say(chat, 'two', { answer: 'second' });
  records.r1({ request_id: 'r1', cost_usd: 1 });
  await settle();
  assert.deepEqual(chat.now().turns.map((one) => one.usage?.request_id), [undefined, 'r1', undefined, undefined]);
  records.r2({ request_id: 'r2', cost_usd: 2 });
  await settle();
  assert.deepEqual(chat.now().turns.map((one) => one.usage?.request_id), [undefined, 'r1', undefined, 'r2']);
  await chat.leave();
});

test('a question without an answer is not said again', async () => {
  sent.length = 0;
  const chat = await open();
  await say(chat, 'one', { answer: 'first' });
  await say(chat, 'stopped', { end: 'stop' });
  await say(chat, 'broken', { end: 'breakOff' });
  await say(chat, 'two', { answer: 'half', end: 'stop' });
  await say(chat, 'three', { answer: 'third' });
  assert.deepEqual(last().messages.map((one) => `${one.role}: ${one.content}`),
    ['user: one', 'assistant: first', 'user: two', 'assistant: half', 'user: three']);
  const { turns } = chat.now();
  assert.deepEqual([turns.length, turns[3].stopped, turns[5].error !== undefined, turns[7].stopped], [10, true, true, true]);
  await chat.leave();
});

test('Stop, a new chat and leaving the page end the stream', async () => {
  sent.length = 0;
  const chat = await open();
  await say(chat, 'one', { answer: 'first', end: 'stop' });
  assert.deepEqual([last().ended, chat.now().busy], [true, false]);
  await say(chat, 'two', { answer: 'second', end: '' });
  chat.now().clear();
  await settle();
  assert.deepEqual([last().ended, chat.now().busy, chat.now().turns], [true, false, []]);
  await say(chat, 'three', { end: '' });
  assert.equal(chat.now().busy, true);
  await chat.leave();
  assert.ok(last().ended);
});

test('a chat is there again when its page is, for whom it was begun by', async () => {
  sent.length = 0;
  const chat = await open();
  await say(chat, 'one', { answer: 'first' });
  chat.now().setDraft({ text: 'half a', system: 'Be short.' });
  await settle();
  await chat.leave();
  records.r1({ request_id: 'r1', cost_usd: 1 });
  await settle();
  const back = await stage(web, web.usePlayground);
  assert.deepEqual(back.now().turns.map((one) => [one.content, one.usage?.cost_usd]), [['one', undefined], ['first', 1]]);
  assert.deepEqual([back.now().draft.text, back.now().draft.system], ['half a', 'Be short.']);
  web.session.meStore.set({ person_id: 'p', organization_id: 'o' });
  await settle();
  assert.deepEqual([back.now().turns, back.now().draft.text], [[], '']);
  web.session.meStore.set(undefined);
  await settle();
  await back.leave();
});

test('a cost is whole once each call has told its own', async () => {
  sent.length = 0;
  const chat = await open();
  const cost = () => web.costOf(chat.now().turns);
  await say(chat, 'one', { answer: 'first' });
  assert.deepEqual(cost(), { usd: 0, isWhole: false });
  records.r1({ request_id: 'r1', cost_usd: 1 });
  await settle();
  assert.deepEqual(cost(), { usd: 1, isWhole: true });
  refusal = { status: 403, words: 'No budget.' };
  await say(chat, 'two', { end: '' });
  refusal = null;
  assert.deepEqual([chat.now().turns[3].error.message, cost()], ['No budget.', { usd: 1, isWhole: true }]);
  await say(chat, 'three', { end: 'stop' });
  assert.deepEqual(cost(), { usd: 1, isWhole: false });
  await chat.leave();
});

test('the program says what was said last, or what is typed after it', () => {
  const turns = [
    { role: 'user', content: 'one' }, { role: 'assistant', content: 'first' },
    { role: 'user', content: 'two' }, { role: 'assistant', content: '' },
  ];
  const words = (all, text) => web.messagesToShow(all, text).map((one) => one.content);
  assert.deepEqual(words([], ''), ['Hello']);
  assert.deepEqual(words(turns, ''), ['one', 'first', 'two']);
  assert.deepEqual(words(turns, 'three'), ['one', 'first', 'three']);
});

test('a model that was chosen is not exchanged for another one', () => {
  const chats = [{ id: 'dear' }, { id: 'cheap' }];
  assert.equal(web.modelOf('', chats), 'dear');
  assert.equal(web.modelOf('cheap', chats), 'cheap');
  assert.equal(web.modelOf('cheap', undefined), 'cheap');
  assert.equal(web.modelOf('gone', chats), '');
});

test('users of one address are told apart by their organizations', () => {
  const users = [{ user_id: 'u', email: 'team@example.com', org_id: 'a' }, { user_id: 'v', email: 'team@example.com', org_id: 'b' }];
  assert.equal(web.userName(users[0], users, { a: 'Acme' }), 'team@example.com · Acme');
  assert.equal(web.userName(users[1], users, { a: 'Acme' }), 'team@example.com · b');
  assert.equal(web.userName(users[0], users.slice(0, 1), { a: 'Acme' }), 'team@example.com');
});

test('an answer that was cut off, held back or refused says so, and a whole one does not', async () => {
  for (const [events, end, note, error] of [
    [[{ choices: [{ delta: {}, finish_reason: 'stop' }] }], 'close', '', undefined],
    [[{ choices: [{ delta: {}, finish_reason: 'stop' }] }], 'cut', '', undefined],
    [[], 'close', '', undefined],
    [[{ choices: [{ delta: {}, finish_reason: 'length' }] }], 'close', /bound on its output/, undefined],
    [[{ choices: [{ delta: {}, finish_reason: 'content_filter' }] }], 'close', /filter/, undefined],
    [[{ choices: [{ delta: { refusal: 'I will not.' } }] }, { choices: [{ delta: {}, finish_reason: 'stop' }] }], 'close', /refused/, undefined],
    [[], 'cut', undefined, /broke off/],
    [[], 'breakOff', undefined, /broke off/],
    [[{ error: { message: 'Overloaded.' } }], 'close', undefined, /Overloaded/],
  ]) {
    sent.length = 0;
    const chat = await open();
    await say(chat, 'one', { answer: 'half', end: '' });
    for (const event of events) last().event(event);
    await settle();
    if (chat.now().busy) last()[end]();
    await settle();
    const turn = chat.now().turns[1];
    const what = JSON.stringify([events, end]);
    assert.ok(turn.content.startsWith('half'), what);
    if (note instanceof RegExp) assert.match(turn.note, note, what);
    else assert.equal(turn.note, note, what);
    if (error) assert.match(turn.error.message, error, what);
    else assert.equal(turn.error, undefined, what);
    await chat.leave();
  }
});

test('a refusal keeps its words, its wait and its id', async () => {
  sent.length = 0;
  const chat = await open();
  await say(chat, 'lost', { end: 'breakOff' });
  refusal = { status: 429, words: 'Wait.', headers: { 'retry-after': '7', 'x-request-id': 'q' } };
  void chat.now().send(ask, 'u', 'too soon');
  await settle();
  refusal = null;
  const { error } = chat.now().turns[3];
  assert.deepEqual([error.message, error.retryAfterS, error.requestId], ['Wait.', 7, 'q']);
  await chat.leave();
});
