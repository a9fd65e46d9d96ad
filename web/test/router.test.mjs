// Goal: an address says which page is shown and how it is filtered, and nobody is led elsewhere.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();

test('an address is a path and a query, and is made of them', () => {
  const { path, query } = web.parseHash('#/artifacts/x/?q=a%20b&sort=-size');
  assert.equal(path, '/artifacts/x');
  assert.deepEqual(Object.fromEntries(query), { q: 'a b', sort: '-size' });
  assert.equal(web.parseHash('').path, '/');
  assert.equal(web.parseHash('#/').path, '/');
  assert.equal(web.href('/artifacts', { q: 'a b', model: '', sort: null, on: true, off: false }), '#/artifacts?q=a+b&on=true');
  assert.equal(web.href('/'), '#/');
});

test('the Enter that ends a word of an input method is no Enter of the page, in Safari too', () => {
  const enter = (more) => web.isComposing({ key: 'Enter', isComposing: false, keyCode: 13, ...more });
  assert.deepEqual([enter({}), enter({ isComposing: true }), enter({ keyCode: 229 })], [false, true, true]);
});

test('a pattern takes names, and nothing that is longer or shorter', () => {
  assert.deepEqual(web.matchPath('/artifacts/:id', '/artifacts/a%2Fb'), { id: 'a/b' });
  assert.deepEqual(web.matchPath('/ops/kv/:key*', '/ops/kv/a/b'), { key: 'a/b' });
  assert.deepEqual(web.matchPath('/', '/'), {});
  assert.equal(web.matchPath('/artifacts/:id', '/artifacts'), null);
  assert.equal(web.matchPath('/artifacts/:id', '/artifacts/a/b'), null);
  assert.deepEqual(web.matchPath('/x/:id', '/x/%'), { id: '%' });
});

test('every page that the navigation names is in its area, and is the current one there', () => {
  assert.equal(new Set(web.areas.map((area) => area.letter)).size, web.areas.length);
  for (const area of web.areas) {
    for (const page of area.pages) {
      assert.equal(web.areaOf(page.path), area.name, page.path);
      assert.equal(web.pageOf(area, page.path), page);
    }
  }
  const ai = web.areas.find((area) => area.name === 'ai');
  assert.equal(web.pageOf(ai, '/ai/users/7').path, '/ai/users');
  assert.equal(web.areaOf('/login'), 'portal');
  assert.equal(web.areaOf('/__proto__'), 'portal');
});

test('after signing in only pages of the dashboard are gone on to', () => {
  const next = (text) => web.nextOf(new URLSearchParams({ next: text }));
  assert.equal(next('#/artifacts?q=x'), '#/artifacts?q=x');
  for (const bad of ['', 'https://evil.example/', '//evil.example', 'javascript:alert(1)', '#/login', '#/login?next=%23%2F']) {
    assert.equal(next(bad), '#/', bad);
  }
  assert.equal(web.wayBack('/auth/login/idp', '#/device?user_code=WDJB-MJHT'),
    'http://localhost/auth/login/idp?next=%2F%23%2Fdevice%3Fuser_code%3DWDJB-MJHT');
  assert.equal(web.wayBack('/auth/login/idp', '#/', 'a-token'), 'http://localhost/auth/login/idp?next=%2F%23%2F&invitation=a-token');
  web.api.configure({ base: 'https://h/kv/' });
  assert.equal(web.wayBack('/auth/login/idp', '#/artifacts'), 'https://h/kv/auth/login/idp?next=%2Fkv%2F%23%2Fartifacts');
  web.api.configure({ base: undefined });
});

test('the palette finds words in any order', () => {
  assert.equal(web.rank('Users and keys AI', 'keys us'), 1);
  assert.equal(web.rank('Users and keys AI', 'USERS'), 0);
  assert.equal(web.rank('Users', 'x'), null);
  assert.equal(web.rank('Users', ''), 0);
});

test('a span of days is that of the address, in UTC', () => {
  const now = Date.parse('2026-03-15T23:59:00Z');
  const range = (text, fallback = 'month') => web.rangeOf(new URLSearchParams(text), fallback, now);
  assert.deepEqual(range(''), { from: '2026-03-01', to: '2026-03-15', name: 'month' });
  assert.deepEqual(range('range=7d'), { from: '2026-03-09', to: '2026-03-15', name: '7d' });
  assert.deepEqual(range('range=last'), { from: '2026-02-01', to: '2026-02-28', name: 'last' });
  assert.deepEqual(range('from=2026-01-01&to=2026-01-03'), { from: '2026-01-01', to: '2026-01-03', name: 'custom' });
  assert.equal(range('from=2026-01-03&to=2026-01-01').name, 'month');
  assert.equal(range('from=2026-99-01&to=x').name, 'month');
  assert.equal(range('range=__proto__', '30d').name, '30d');
  assert.deepEqual(web.daysOf(range('from=2026-02-27&to=2026-03-01')), ['2026-02-27', '2026-02-28', '2026-03-01']);
});

test('what a page still has to say does not land on the next one', () => {
  globalThis.location = { hash: '#/keys?q=a' };
  globalThis.history = { state: null, replaceState: (_state, _title, to) => { location.hash = to; } };
  web.setParams({ q: 'law' }, { replace: true, of: '/artifacts' });
  assert.equal(location.hash, '#/keys?q=a');
  web.setParams({ q: 'law' }, { replace: true, of: '/keys' });
  assert.equal(location.hash, '#/keys?q=law');
  // Typing does not fill the history: there is no pushState here.
  web.setParams({ q: 'laws' });
  assert.equal(location.hash, '#/keys?q=laws');
  delete globalThis.location;
  delete globalThis.history;
});
