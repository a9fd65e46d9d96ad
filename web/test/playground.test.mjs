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
web.api.configure({
  fetcher: async (url, { method, body, signal }) => {
    if (method === 'GET') {
      const id = url.split('/').pop();
      return Response.json(await new Promise((resolve) => { records[id] = resolve; }));
    }
    const call = { messages: JSON.parse(body).messages, ended: false };
    const stream = new ReadableStream({
      start(to) {
        call.say = (text) => to.enqueue(new TextEncoder().encode(`data: ${JSON.stringify({ choices: [{ delta: { content: text } }] })}\n\n`));
        call.close = () => to.close();
        call.breakOff = () => to.error(new TypeError('terminated'));
        signal.addEventListener('abort', () => {
          call.ended = true;
          to.error(new DOMException('stop', 'AbortError'));
        });
      },
    });
    sent.push(call);
    return new Response(stream, { headers: { 'x-request-id': `r${sent.length}` } });
  },
});
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
  const chat = await stage(web, web.usePlayground);
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
  const chat = await stage(web, web.usePlayground);
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
  const chat = await stage(web, web.usePlayground);
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
