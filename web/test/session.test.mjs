// Goal: what somebody began is carried out as them and where they began it, or not at all; nothing that
// they read is shown to another person, or in another place.
// Method: tabs are bundles of their own; a daemon in memory keeps the one session that they share.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';
import { settle } from './stage.mjs';

globalThis.document = Object.assign(new EventTarget(), { hidden: false, baseURI: 'http://h/' });
globalThis.location = { hash: '#/' };
const page = new EventTarget();
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.removeEventListener = page.removeEventListener.bind(page);

// Of the browser: what one tab says, the others hear.
const tabs = new Set();
globalThis.BroadcastChannel = class extends EventTarget {
  constructor() {
    super();
    tabs.add(this);
  }
  postMessage(data) {
    for (const one of tabs) if (one !== this) one.dispatchEvent(Object.assign(new Event('message'), { data }));
  }
  close() {
    tabs.delete(this);
  }
};

// The session of the cookie; `done`: what was changed, by whom and where. `late` holds answers back.
const daemon = { session: null, done: [], late: null };
const signIn = (person_id, organization_id = 'x', token = `${person_id}'s`) => {
  daemon.session = { person_id, organization_id, project_id: `${organization_id}1`, csrf_token: token };
};
const answer = (status, body) => new Response(status === 204 ? null : JSON.stringify(body), { status });
globalThis.fetch = async (url, { method = 'GET', headers, body } = {}) => {
  const path = new URL(url).pathname;
  const { session } = daemon;
  if (path === '/auth/session') {
    const found = session && { ...session };
    await daemon.late;
    return answer(200, { me: found });
  }
  if (!session) return answer(401, { error: 'Sign in.' });
  const me = { ...session };
  if (method === 'GET') {
    await daemon.late;
    return answer(200, me);
  }
  if (headers.get('x-csrf-token') !== session.csrf_token) {
    return answer(403, { error: 'X-CSRF-Token must be the csrf_token of GET /api/v1/me when …', code: 'csrf_token_missing' });
  }
  if (path === '/api/v1/me') {
    const { organization_id } = JSON.parse(body);
    Object.assign(session, { organization_id, project_id: `${organization_id}1` });
    return answer(200, { ...session });
  }
  if (path === '/auth/logout') daemon.session = null;
  else daemon.done.push(`${path} by ${me.person_id} in ${me.organization_id}`);
  return answer(204);
};

// A tab that Ada has read her list in.
async function openTab(onMoved, onMove) {
  const web = await loadBundle();
  const probe = (set) => {
    const { data, set: keep } = web.query.useQuery('/list', async () => undefined);
    if (set) keep(set);
    return data;
  };
  const list = (set) => web.render(web.h(() => probe(set)));
  const stop = web.session.watchSession(onMoved, onMove);
  await web.session.loadMe();
  list('of Ada in x');
  assert.equal(list(), 'of Ada in x');
  return { ...web.session, web, api: web.api, list, stop, who: () => web.session.identityOf(web.session.meStore.get()) };
}
async function withTabs(count, run) {
  signIn('ada');
  daemon.done = [];
  const all = [];
  for (let n = 0; n < count; n++) all.push(await openTab());
  try {
    await run(...all);
  } finally {
    for (const tab of all) tab.stop();
  }
}

test('a tab follows when another one goes to another organization', () => withTabs(2, async (one, two) => {
  await two.changeMe({ organization_id: 'y' });
  assert.equal(two.list(), '');
  await settle();
  assert.deepEqual([one.who(), one.list()], ['ada y y1', '']);
}));

test('a tab says that another one went elsewhere, and not where it went itself', async () => {
  signIn('ada');
  const moved = [];
  // What was typed is kept while the page of the place before is there.
  const one = await openTab((me) => moved.push(`one to ${me.organization_id}`), () => moved.push(`one leaves ${one.who()}`));
  const two = await openTab((me) => moved.push(`two to ${me.organization_id}`));
  await two.changeMe({ organization_id: 'y' });
  await settle();
  assert.deepEqual(moved, ['one leaves ada x x1', 'one to y']);
  page.dispatchEvent(new Event('focus'));
  await settle();
  assert.equal(moved.length, 2);
  one.stop();
  two.stop();
});

test('whoever comes back to a tab sees where the session is by now', () => withTabs(1, async (one) => {
  for (const come of [() => page.dispatchEvent(new Event('focus')), () => document.dispatchEvent(new Event('visibilitychange'))]) {
    one.list('read before');
    daemon.session.organization_id = daemon.session.organization_id === 'y' ? 'x' : 'y';
    come();
    await settle();
    assert.equal(one.list(), '');
  }
}));

test('a call with the token of a session before is made again for the same person in the same place alone', () => withTabs(1, async (one) => {
  signIn('ada', 'x', 'anew');
  await one.api.delete('/a');
  assert.deepEqual(daemon.done, ['/a by ada in x']);
  for (const [person, place] of [['bob', 'x'], ['ada', 'y']]) {
    signIn('ada', 'x');
    await one.loadMe();
    one.list('of Ada in x');
    signIn(person, place, 'another');
    await assert.rejects(one.api.delete('/b'), { status: 403 });
    assert.deepEqual([one.who(), one.list(), daemon.done.length], [`${person} ${place} ${place}1`, '', 1]);
  }
}));

test('after a sign-in on top of the page a call goes on where it was meant to, and as who began it', () => withTabs(1, async (one) => {
  await one.changeMe({ organization_id: 'y' });
  const begin = async () => {
    daemon.session = null;
    const asked = one.api.delete('/a');
    await settle();
    return { asked, ...one.signInStore.get() };
  };
  const first = await begin();
  signIn('ada', 'x', 'anew');
  await one.resume();
  first.done(true);
  await first.asked;
  assert.deepEqual(daemon.done, ['/a by ada in y']);
  const second = await begin();
  one.list('of Ada in y');
  signIn('bob', 'y');
  await one.resume();
  second.done(true);
  await assert.rejects(second.asked, { status: 401 });
  assert.deepEqual([daemon.done.length, one.who(), one.list()], [1, 'bob y y1', '']);
}));

test('who signs out has signed out of every tab, and leaves no question behind', () => withTabs(2, async (one, two) => {
  const { session } = daemon;
  daemon.session = null;
  const asked = one.api.get('/a');
  await settle();
  assert.ok(one.signInStore.get());
  daemon.session = session;
  await two.signOut();
  assert.deepEqual([two.meStore.get(), two.list()], [null, '']);
  await assert.rejects(asked, { status: 401 });
  assert.deepEqual([one.meStore.get(), one.list(), one.signInStore.get()], [null, '', null]);
}));

test('an end that nobody asked for leaves the page as it is', () => withTabs(1, async (one) => {
  daemon.session = null;
  assert.equal(await one.loadMe(), null);
  assert.deepEqual([one.who(), one.list()], ['ada x x1', 'of Ada in x']);
}));

test('an answer that was asked for before a change does not undo it', () => withTabs(1, async (one) => {
  let go;
  daemon.late = new Promise((resolve) => { go = resolve; });
  const old = one.loadMe();
  await settle();
  await one.changeMe({ organization_id: 'y' });
  go();
  await old;
  daemon.late = null;
  assert.equal(one.who(), 'ada y y1');
}));

test('what can be taken back is so in its place, and what was said is nobody else\'s', () => withTabs(1, async (one) => {
  const { toast, Toasts } = one.web.ui;
  const words = () => one.web.render(one.web.h(Toasts)).match(/[a-z ]+\./g) ?? [];
  toast('deleted.', { undo: async () => {} });
  toast('refused.', { tone: 'bad' });
  await one.changeMe({ organization_id: 'y' });
  assert.deepEqual(words(), ['refused.']);
  await one.signOut();
  assert.deepEqual(words(), []);
}));

test('who is signed in is not guessed from what is no answer', () => withTabs(1, async (one) => {
  const real = globalThis.fetch;
  const text = (type, body, status = 200) => async () => new Response(body, { status, headers: { 'content-type': type } });
  try {
    for (const [fetched, words] of [
      [text('text/html', '<h1>Welcome</h1>'), /^Something else than the daemon answered, with a page of HTML\.$/],
      [text('application/json', 'null'), /has nothing in it/],
      [text('application/json', '{"me":{"person'), /^The answer broke off\.$/],
      [text('text/html', '<h1>Sign in at the proxy</h1>', 401), /\/auth\/session answered 401/],
      [async () => { throw new TypeError('fetch failed'); }, /does not answer/],
    ]) {
      globalThis.fetch = fetched;
      await assert.rejects(one.loadMe(), (error) => error instanceof one.web.ApiError && words.test(error.message));
      assert.equal(one.who(), 'ada x x1');
    }
  } finally {
    globalThis.fetch = real;
  }
}));

test('a browser that blocks storage shows the page all the same', async () => {
  const denied = () => { throw new DOMException('denied', 'SecurityError'); };
  const real = globalThis.BroadcastChannel;
  Object.defineProperty(globalThis, 'localStorage', { configurable: true, get: denied });
  globalThis.BroadcastChannel = class { constructor() { denied(); } };
  try {
    const { session } = await loadBundle();
    const stop = session.watchSession();
    session.setMe({ person_id: 'ada' });
    stop();
  } finally {
    globalThis.BroadcastChannel = real;
    delete globalThis.localStorage;
  }
});

test('what is offered is what the daemon lets one do', async () => {
  const { mayAdminister, mayTend } = await loadBundle().then((web) => web.session);
  const me = (operator_role, role) => ({ operator_role, organization_id: 'x', organizations: [{ organization_id: 'x', slug: 'xs', role }] });
  for (const [who, own, others] of [
    [me(null, 'owner'), true, false], [me(null, 'admin'), true, false], [me(null, 'member'), false, false],
    [me('owner', 'viewer'), true, true], [me('admin', 'viewer'), true, true], [me('viewer', 'member'), false, false], [me('billing', 'owner'), true, false],
  ]) {
    const name = JSON.stringify(who);
    assert.deepEqual([mayAdminister(who, 'x'), mayAdminister(who, 'y'), mayAdminister(who, null)], [own, others, others], name);
    assert.equal(mayTend(who, 'xs'), own, name);
    if (who.operator_role) assert.equal(mayTend(who, 'ys'), others, name);
  }
});
