// Goal: of something done to many things it is said how many are done, and trying again goes on with the rest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();
const { ApiError, changeVisibility, deleteAll, oneByOne, restoreAll } = web;

test('what is gone already is passed over, and a refusal stops the rest', async () => {
  const gone = async (id) => { if (id === 'b') throw new ApiError(404, 'None.'); };
  assert.deepEqual(await oneByOne(['a', 'b', 'c'], gone, true), { done: ['a', 'c'], refused: undefined });
  const tried = [];
  const refused = new ApiError(409, 'No.');
  assert.deepEqual(await oneByOne(['a', 'b', 'c'], async (id) => { tried.push(id); if (id === 'b') throw refused; }), { done: ['a'], refused });
  assert.deepEqual(tried, ['a', 'b']);
});

// A daemon that refuses the third call, and knows nothing of what it deleted.
function daemon() {
  let calls = 0;
  const deleted = new Set();
  web.api.configure({ fetcher: async (url, { method }) => {
    const id = url.split('/')[6];
    if (deleted.has(id)) return Response.json({ error: 'None.' }, { status: 404 });
    if (++calls === 3) return Response.json({ error: 'Wait.' }, { status: 429 });
    if (method === 'DELETE') deleted.add(id);
    return new Response(null, { status: 204 });
  } });
  return deleted;
}
const toasts = () => web.render(web.h(web.ui.Toasts)).split('<div').slice(-1)[0];

test('artifacts that could not all be made public say how many are, and go back', async () => {
  daemon();
  const all = ['a', 'b', 'c', 'd'].map((id) => ({ artifact_id: id, name: id, visibility: 'private' }));
  assert.equal(await changeVisibility(all, 'public'), false);
  assert.match(toasts(), /2 of 4 are public\. Wait\..*Undo/);
  assert.equal(await changeVisibility(all, 'public'), true);
  assert.match(toasts(), /4 artifacts are public\..*Undo/);
  daemon();
  await changeVisibility(all.slice(0, 2), 'public');
  assert.equal(await changeVisibility(all.slice(0, 1), 'public'), false);
  assert.match(toasts(), />Wait\.</);
  assert.doesNotMatch(toasts(), /Undo/);
});

test('a deletion that was refused in the middle goes on where it was', async () => {
  const deleted = daemon();
  const all = ['a', 'b', 'c', 'd'].map((id) => ({ artifact_id: id, name: id }));
  await assert.rejects(deleteAll(all), { message: '2 of 4 are deleted. Wait.' });
  await deleteAll(all);
  assert.deepEqual([...deleted], ['a', 'b', 'c', 'd']);
});

test('what has ended is not said to be back, nor public', async () => {
  web.api.configure({ fetcher: async () => Response.json({ error: 'None.' }, { status: 404 }) });
  await assert.rejects(restoreAll(['a']), { status: 404 });
  assert.equal(await changeVisibility([{ artifact_id: 'a', name: 'a', visibility: 'private' }], 'public'), false);
});

test('what is typed to delete is never cut behind a space', () => {
  const typed = (name) => /Type <code[^>]*>(.*?)<\/code>/.exec(web.render(web.h(web.DeleteForGoodDialog, { all: [{ name, size_bytes: 1, artifact_id: 'a' }], onClose() {}, onDone() {} })))[1];
  assert.deepEqual([typed(` ${'x'.repeat(39)} and more`), typed('short'), typed('   ')], ['x'.repeat(39), 'short', 'delete']);
});
