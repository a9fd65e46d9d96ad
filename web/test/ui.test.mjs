// Goal: the pieces say what they are to those who see, hear and tab; what people typed is no markup.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();
const { ui, h } = web;
const draw = (piece, props, ...children) => web.render(h(piece, props, ...children));
const evil = '<img src=x onerror=alert(1)>';

test('names with markup stay text, wherever they are shown', () => {
  const rows = [{ id: '1', name: evil }];
  const columns = [{ key: 'name', label: evil, cell: (row) => row.name }];
  for (const html of [
    draw(ui.Table, { label: evil, rows, columns, idOf: (row) => row.id, linkOf: () => '#/x' }),
    draw(ui.Page, { title: evil, state: evil, children: evil }),
    draw(ui.ErrorBox, { error: new web.ApiError(400, evil) }),
    draw(ui.State, { state: evil }),
    draw(ui.Code, { text: evil, chars: 100 }),
    draw(ui.Command, { label: evil, lines: [evil] }),
    draw(ui.Field, { name: 'x', label: evil, error: evil, defaultValue: evil }),
  ]) assert.ok(!html.includes('<img'), html);
});

test('a table is one to those who hear it; its rows are links and can be chosen', () => {
  const rows = [{ id: 'a' }, { id: 'b' }];
  const columns = [{ key: 'id', label: 'Name', sort: 'name', cell: (row) => row.id }, { key: 'n', label: 'Size', align: 'right', cell: () => 1 }];
  const html = draw(ui.Table, { label: 'Things', rows, columns, idOf: (row) => row.id, linkOf: (row) => `#/x/${row.id}`,
    sort: '-name', onSort() {}, selected: ['b'], onSelect() {}, bulk: () => 'Delete' });
  for (const part of ['role="table"', 'aria-label="Things"', 'aria-sort="descending"', 'href="#/x/a"', 'aria-rowcount="3"',
    'aria-label="Choose row 2"', '1 chosen', 'Delete', 'at-title', 'at-side']) assert.ok(html.includes(part), part);
  assert.ok(draw(ui.Table, { label: 'x', rows: [], columns, idOf: String, empty: 'Nothing yet.' }).includes('Nothing yet.'));
  assert.ok(draw(ui.Table, { label: 'x', rows: undefined, columns, idOf: String }).includes('role="status"'));
  const failed = draw(ui.Table, { label: 'x', rows: undefined, columns, idOf: String, error: new web.ApiError(0, 'No answer.') });
  assert.ok(failed.includes('role="alert"'));
});

test('a row that is not as it should be takes nothing along', () => {
  const columns = [{ key: 'a', label: 'A', cell: (row) => row.tags.join(' ') }, { key: 'b', label: 'B', cell: (row) => row.id }];
  const html = draw(ui.Table, { label: 'x', rows: [{ id: 'one' }, { id: 'two', tags: ['t'] }], columns, idOf: (row) => row.id });
  assert.ok(html.includes('one') && html.includes('something else than was expected') && html.includes('>t<'));
});

test('of a hundred thousand rows a few are drawn', () => {
  const rows = Array.from({ length: 100_000 }, (_, id) => ({ id }));
  const columns = [{ key: 'id', label: 'Id', cell: (row) => row.id }];
  const html = draw(ui.Table, { label: 'x', rows, columns, idOf: (row) => String(row.id) });
  assert.ok(html.match(/role="row"/g).length < 100);
  assert.ok(html.includes('aria-rowcount="100001"'));
});

test('a field is labelled, and what is wrong with it is tied to it', () => {
  const html = draw(ui.Field, { name: 'email', label: 'Address', hint: 'Yours.', error: 'Taken.' });
  const id = /<label for="([^"]+)"/.exec(html)[1];
  assert.ok(html.includes(`id="${id}"`));
  assert.ok(html.includes(`aria-describedby="${id}-hint ${id}-error"`));
  assert.ok(html.includes('aria-invalid'));
});

test('a secret is masked; a state is a word and a shape; a meter has its words', () => {
  const secret = draw(ui.Secret, { text: 'kv_secret', label: 'The key' });
  assert.ok(!secret.includes('kv_secret'));
  assert.ok(secret.includes('not shown again'));
  const state = draw(ui.State, { state: 'past_due' });
  assert.ok(state.includes('past due') && state.includes('▲'));
  const meter = draw(ui.Meter, { used: 90, allowed: 100, label: 'Storage', text: '90 of 100' });
  assert.ok(meter.includes('role="meter"') && meter.includes('warn') && meter.includes('90 %'));
  assert.ok(!draw(ui.Meter, { used: 90, allowed: null, label: 'Storage', text: '90' }).includes('role="meter"'));
});

test('a projection is compared with the budget, and told of nothing that is not known', () => {
  assert.ok(draw(ui.Projection, { usd: 12, allowed: 10 }).includes('over the budget'));
  assert.ok(!draw(ui.Projection, { usd: 9, allowed: 10 }).includes('over the budget'));
  assert.ok(draw(ui.Projection, { usd: 9, allowed: null }).includes('$9.00'));
  assert.equal(draw(ui.Projection, { usd: null, allowed: 10 }), '');
});

test('what is missing is a dash, and never a zero', () => {
  for (const piece of [ui.Money, ui.Bytes, ui.Count, ui.Percent, ui.Time]) {
    assert.ok(draw(piece, { usd: null, bytes: null, n: undefined, part: null, at: null }).includes('–'));
  }
  assert.ok(draw(ui.Time, { at: null, missing: 'never' }).includes('never'));
});
