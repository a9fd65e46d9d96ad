// Goal: the pieces say what they are to those who see, hear and tab; what people typed is no markup.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';
import { standingClock } from './stage.mjs';

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
  const named = draw(ui.Table, { label: 'x', rows, columns, idOf: (row) => row.id, nameOf: (row) => row.id, selected: [], onSelect() {} });
  assert.ok(named.includes('aria-label="Choose row 1: a"'));
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

test('a day has a year of four digits', () => {
  assert.ok(draw(ui.Field, { name: 'x', label: 'x', type: 'date' }).includes('max="9999-12-31"'));
  assert.ok(draw(ui.Field, { name: 'x', label: 'x', type: 'date', max: '2026-11-30' }).includes('max="2026-11-30"'));
  assert.equal(ui.endOfDay('x', '2027-01-31'), '2027-01-31T23:59:59Z');
  for (const typed of ['20301-01-31', '2027-13-01', '']) {
    assert.throws(() => ui.endOfDay('x', typed), (error) => error.fields.x.startsWith(`${typed} is no day`));
  }
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
  for (const usd of [0.000723, 0.00072291]) assert.match(draw(ui.Projection, { usd, allowed: 10 }), /\$0\.000723</);
});

test('what is missing is a dash, and never a zero', () => {
  for (const piece of [ui.Money, ui.Bytes, ui.Count, ui.Percent, ui.Time]) {
    assert.ok(draw(piece, { usd: null, bytes: null, n: undefined, part: null, at: null }).includes('–'));
  }
  assert.ok(draw(ui.Time, { at: null, missing: 'never' }).includes('never'));
});

test('a list that is filtered by a link can be seen to be, and be cleared', () => {
  const Probe = ({ rows }) => {
    const typed = ui.useTyped(rows, (row) => row, 'Filter by name');
    return [typed.bar, h('p', null, typed.rows?.join(' ')), typed.rows?.length === 0 && typed.empty('Nothing yet.')];
  };
  const at = (hash, props) => h(web.PlaceContext.Provider, { value: web.parseHash(hash) }, h(Probe, props));
  const show = (hash, rows) => web.render(at(hash, { rows }));
  assert.doesNotMatch(show('#/x', ['ada', 'bob']), /Filter by name/);
  assert.match(show('#/x?q=AD', ['ada', 'bob']), /Filter by name.*<p>ada<\/p>/);
  assert.match(show('#/x', Array(9).fill('ada')), /Filter by name/);
  assert.match(show('#/x?q=z', ['ada']), /No row fits\./);
  assert.match(show('#/x?q=z', []), /Nothing yet\./);
});

test('a list that the daemon searches says what is searched for, and whether that is all', () => {
  const Probe = ({ rows, hasMore }) => {
    const search = ui.useSearch('Filter by name');
    return [search.bar({ rows, hasMore }), h('p', null, `q=${search.q}`), search.empty({ hasMore }, 'Nothing yet.')];
  };
  const show = (hash, rows, hasMore = false) =>
    web.render(h(web.PlaceContext.Provider, { value: web.parseHash(hash) }, h(Probe, { rows, hasMore })));
  assert.doesNotMatch(show('#/x', ['ada']), /Filter by name/);
  assert.match(show('#/x', ['ada']), /q=undefined.*Nothing yet\./);
  assert.match(show('#/x', ['ada'], true), /Filter by name/);
  assert.match(show('#/x', Array(9).fill('ada')), /Filter by name/);
  assert.match(show('#/x?q=%20a%20b%20', []), /maxlength="100".*q=a b<.*No row fits\./);
  assert.match(show('#/x?q=z', [], true), /No row fits so far/);
  assert.match(show('#/x?q=%20', []), /q=undefined.*Nothing yet\./);
});

test('what is read is shown, what is refused is said, and before that it is on its way', () => {
  const show = (query) => draw(ui.Loaded, { query: { refresh() {}, ...query }, children: (data) => `read ${data}` });
  assert.equal(show({ data: 0 }), 'read 0');
  assert.equal(show({ data: 1, error: new Error('No.') }), 'read 1');
  assert.match(show({ error: new Error('No.') }), /role="alert".*No\..*Try again/);
  assert.match(show({}), /role="status"/);
});

test('of too many words those go first that cannot be taken back', () => {
  const undo = async () => {};
  for (const [n, more] of [[1, { undo }], [2, {}], [3, { undo }], [4, { undo }], [5, { undo }]]) ui.toast(`Word ${n}`, more);
  assert.deepEqual(draw(ui.Toasts).match(/Word \d/g), ['Word 1', 'Word 3', 'Word 4', 'Word 5']);
  ui.toast('Word 6');
  assert.deepEqual(draw(ui.Toasts).match(/Word \d/g), ['Word 3', 'Word 4', 'Word 5', 'Word 6']);
});

test('what one click does is done once, said, and read anew', async () => {
  let go, runs = 0;
  const act = () => { runs++; return new Promise((resolve, reject) => { go = { resolve, reject }; }); };
  const first = ui.told('Revoked.', act, '/x');
  assert.equal(await ui.told('Revoked.', act, '/x'), false);
  assert.equal(runs, 1);
  go.resolve();
  assert.equal(await first, true);
  assert.match(draw(ui.Toasts), /Revoked\./);
  const again = ui.told('Revoked.', act, '/x', async () => {});
  go.reject(new web.ApiError(409, 'Gone already.'));
  assert.equal(await again, false);
  assert.match(draw(ui.Toasts), /toast bad"><span>Gone already\./);
});

test('a failure goes when the same is done, and stays no longer than other words on another page', async (t) => {
  const pass = standingClock(t);
  const said = () => (draw(ui.Toasts).match(/<span>(.*?)<\/span>/g) ?? []).join(' ');
  web.session.meStore.set({ person_id: 'another' });  // What was said before is not hers.
  ui.toast('openai: no such name.', { about: 'openai', tone: 'bad' });
  ui.toast('groq: refused.', { about: 'groq', tone: 'bad' });
  ui.toast('openai takes the key.', { about: 'openai' });
  assert.doesNotMatch(said(), /no such name/);
  assert.match(said(), /groq: refused.*openai takes the key/);
  await pass(60_000);
  assert.match(said(), /groq: refused/);
  web.ageFailures();
  await pass(60_000);
  assert.doesNotMatch(said(), /groq/);
  web.session.meStore.set(undefined);
});

test('a secret of somebody else is hidden, and no password of the reader', () => {
  const masked = draw(ui.Field, { name: 'api_key', label: 'API key', masked: true });
  assert.match(masked, /type="text"/);
  assert.match(masked, /class="masked"/);
  assert.match(masked, /autocomplete="off"/);
  const account = draw(ui.AccountName, { address: 'ada@example.com' });
  assert.match(account, /autocomplete="username"/);
  assert.match(account, /value="ada@example.com"/);
  assert.doesNotMatch(account, / name=/);
});

test('a provider without a key is not said to answer', () => {
  const one = (kind, has_api_key) => ({ kind, has_api_key });
  assert.equal(web.stateWords([one('openai', false)]), '1 model provider; 1 has no key and answers no call');
  assert.equal(web.stateWords([one('openai', true), one('openai_compatible', false)]), '2 model providers');
});

test('a provider that is down is in the sentence of the overview', () => {
  const providers = [{ provider: 'anthropic', state: 'up' }, { provider: 'openai', state: 'down' }, { provider: 'notion', state: 'degraded' }];
  assert.equal(web.illWords(providers), 'openai is down, notion is degraded');
  assert.equal(web.illWords(providers.slice(0, 1)), '');
});
