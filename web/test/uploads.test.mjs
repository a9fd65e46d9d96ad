// Goal: a file goes to the person and the project that it was dropped for, whatever is active when its turn
// comes; what a browser keeps of an upload is forgotten only when the daemon has ended it.
// Method: the daemon is a fetch that notes what it is asked, and the digest's worker a turn that the test takes.
import assert from 'node:assert/strict';
import { File } from 'node:buffer';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';
import { settle } from './stage.mjs';

const page = new EventTarget();
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.location = { hash: '#/artifacts', href: 'http://localhost/' };
const stored = new Map();
globalThis.localStorage = {
  getItem: (name) => stored.get(name) ?? null, setItem: (name, text) => stored.set(name, text), removeItem: (name) => stored.delete(name),
};
globalThis.digestWorker = 'digest.js';
const reading = [];
let isGone = false;
globalThis.Worker = class {
  postMessage() {
    if (isGone) return reading.push(() => this.onerror(new Event('error')));
    reading.push(() => this.onmessage({ data: { sha256: 'f'.repeat(64) } }));
  }
  terminate() {}
};

const { uploading, session, api } = await loadBundle();
// The daemon has the bytes already: one call stores a file.
let announced = [];
let answers = {};
api.configure({
  fetcher: async (url, { method, body }) => {
    if (answers[method]) return answers[method]();
    announced.push({ ...JSON.parse(body), by: session.meStore.get().person_id, active: session.meStore.get().organization_id });
    return new Response(null, { status: 201, headers: { 'x-artifact-id': `id${announced.length}`, 'upload-offset': '1000000' } });
  },
});
const be = (person_id, organization_id = 'x') =>
  session.setMe({ person_id, organization_id, project_id: `${organization_id}1`, csrf_token: person_id });
const tensor = (from) => ({ dtype: 'F16', shape: [1, 1, 1, 1], data_offsets: [from, from + 2] });
const header = JSON.stringify({ k_0: tensor(0), v_0: tensor(2) });
const file = (name) => new File([new BigUint64Array([BigInt(header.length)]), header, 'abcd'], name, { lastModified: 1 });
// Every digest that has begun ends.
const readAll = async () => {
  for (let turn = 0; turn < 10; turn++) {
    await settle();
    for (const end of reading.splice(0)) end();
  }
};
const phases = () => uploading.uploads.get().map((one) => one.phase);
async function begin(...names) {
  be('ada');
  announced = [];
  await uploading.addFiles(names.map(file));
  await settle();
}

test('files that wait go where they were dropped, once that is active again', async () => {
  await begin('a.kv', 'b.kv', 'c.kv');
  assert.deepEqual(phases(), ['reading', 'reading', 'waiting']);
  be('ada', 'y');
  await readAll();
  assert.deepEqual([announced, phases()], [[], ['stopped', 'stopped', 'stopped']]);
  be('ada', 'x');
  await readAll();
  assert.deepEqual(phases(), ['done', 'done', 'done']);
  assert.deepEqual(announced.map((one) => [one.name, one.by, one.active, one.project_id]),
    ['a', 'b', 'c'].map((name) => [name, 'ada', 'x', 'x1']));
});

test('another project of the same organization changes nothing', async () => {
  await begin('p.kv');
  session.setMe({ person_id: 'ada', organization_id: 'x', project_id: 'x2', csrf_token: 'ada' });
  await readAll();
  assert.deepEqual(announced.map((one) => one.project_id), ['x1']);
});

test('nobody goes on with the files of another person', async () => {
  await begin('d.kv', 'e.kv', 'f.kv');
  be('bob');
  assert.deepEqual(phases(), []);
  await readAll();
  be('ada');
  await readAll();
  assert.deepEqual(announced, []);
});

test('a new token of the same person leaves the lines where they are', async () => {
  await begin('g.kv');
  session.setMe({ ...session.meStore.get(), csrf_token: 'anew' });
  await readAll();
  assert.deepEqual(phases(), ['done']);
});

test('what may go well at another try stops and goes on; what is refused is over', async () => {
  const line = (name) => uploading.uploads.get().find((one) => one.name === name);
  const goOn = async (name) => {
    uploading.goOn(line(name).key);
    await readAll();
    return line(name).phase;
  };
  isGone = true;
  await begin('i.kv');
  await readAll();
  assert.equal(line('i.kv').phase, 'stopped');
  assert.match(line('i.kv').error.message, /load the page anew/);
  isGone = false;
  assert.equal(await goOn('i.kv'), 'done');
  for (const status of [0, 429, 503, 507]) {
    answers = { POST: () => (status === 0 ? Promise.reject(new TypeError('fetch failed')) : new Response('{}', { status })) };
    const name = `${status}.kv`;
    await begin(name);
    await readAll();
    assert.equal(line(name).phase, 'stopped');
    answers = {};
    assert.equal(await goOn(name), 'done');
  }
  answers = { POST: () => new Response('{}', { status: 409 }) };
  await begin('j.kv');
  await readAll();
  assert.equal(line('j.kv').phase, 'failed');
  answers = {};
});

test('what was begun before a reload is forgotten when the daemon has ended it, and not before', async () => {
  be('bob');
  be('ada');
  const one = { id: 'kept', name: 'k.kv', bytes: 9, modified: 1, person: 'ada', place: 'x/x1', at: Date.now() };
  const keptAfter = async (head) => {
    stored.set('kvcs.uploads', JSON.stringify([one]));
    answers = { HEAD: head };
    await uploading.showKept();
    return [stored.has('kvcs.uploads'), phases()];
  };
  const status = (code, headers) => () => new Response(null, { status: code, headers });
  assert.deepEqual(await keptAfter(() => { throw new TypeError('fetch failed'); }), [true, []]);
  assert.deepEqual(await keptAfter(status(503)), [true, []]);
  assert.deepEqual(await keptAfter(status(404)), [false, []]);
  assert.deepEqual(await keptAfter(status(410)), [false, []]);
  assert.deepEqual(await keptAfter(status(200, { 'upload-offset': '9' })), [false, []]);
  assert.deepEqual(await keptAfter(status(200, { 'upload-offset': '5' })), [true, ['kept']]);
});
