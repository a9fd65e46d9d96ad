// Goal: whatever the network, the daemon, another tab or the names that people chose do to a page, it says
// what is wrong, is never blank, and loses nothing that was typed.
// Method: Chromium before the real daemon, whose answers are replaced on their way to the browser, page by
// page; skipped without Chromium or in a binary without its pages.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { everyPage, settled, signIn, Stage } from './browser.mjs';
import { FaultRelay } from './fault_relay.mjs';

const stage = new Stage(), { inBrowser } = stage;
let daemon, browser, page, pages;
before(async () => {
  await stage.start({ signedIn: true });
  ({ daemon, browser, page } = stage);
  if (!daemon || stage.isBare) return;
  const org = daemon.credentials.organization_id;
  const made = async (method, path, body) => {
    const answer = await daemon.admin(method, path, body);
    assert.ok(answer.status < 300, JSON.stringify(answer.body));
    return answer.body;
  };
  const user = await made('POST', '/admin/users', { email: 'grace@example.com', monthly_limit_usd: 5, org_id: org });
  await made('POST', `/admin/users/${user.user_id}/api-keys`, { name: 'laptop' });
  await made('PUT', '/admin/tenants/default', { name: 'My Org' });
  await made('PUT', '/admin/ai/prices/some-model', { input_cost_per_token: '0.000001', output_cost_per_token: '0.000002' });
  for (const args of [['sample', 'demo.kv'], ['upload', 'demo.kv', '--name', 'demo']]) {
    const done = await daemon.cli(...args);
    assert.equal(done.status, 0, done.stderr);
  }
  const { artifacts } = await (await fetch(`${daemon.url}/api/v1/artifacts`, { headers: { authorization: `Bearer ${daemon.credentials.api_key}` } })).json();
  pages = [...everyPage, `#/ai/users/${user.user_id}`, `#/ops/organizations/${org}`, `#/artifacts/${artifacts[0].artifact_id}`];
});
after(() => stage.stop());

const isCall = (url) => /^\/(api|admin|auth|health|v1)\b/.test(url.pathname);
// Without these nobody is signed in, or there is no page to look at.
const isFrame = (url) => ['/api/v1/me', '/health'].includes(url.pathname);

// A page of the signed-in browser whose calls go through `fault(route, url)`, none of them answered before.
// `asked`: how many calls met it.
async function faulty(fault) {
  const other = await browser.open({ context: page.context() });
  other.asked = 0;
  await other.goto(`${daemon.url}/#/nothing`);
  await settled(other);
  await other.route((to) => isCall(to) && !isFrame(to), async (route) => {
    other.asked++;
    await fault(route, new URL(route.request().url()));
  });
  return other;
}

// Goes to a page within the application, and waits until it stands there.
async function visit(on, hash, { isSettled = true } = {}) {
  on.asked = 0;
  await on.evaluate((to) => {
    for (const old of document.querySelectorAll('main h1')) old.dataset.old = 'yes';
    location.hash = to;
  }, hash);
  await on.waitForFunction((whole) => {
    const heading = document.querySelector('main h1');
    return heading?.textContent && !heading.dataset.old && (!whole || !document.querySelector('main .skeleton, main [aria-busy=true]'));
  }, isSettled, { polling: 50 }).catch(async (error) => {
    throw new Error(`${hash}: ${error.message.split('\n')[0]}: ${(await on.locator('main').innerText()).slice(0, 300)}`);
  });
}

const told = (on) => on.locator('main [role=alert], main .notice').count();

const json = (status, body, headers = {}) => (route) => route.fulfill({ status, headers, contentType: 'application/json', body: JSON.stringify(body) });
const failures = {
  'a daemon that is gone': (route) => route.abort(),
  'a refusal': json(403, { error: 'Your role may not do this.' }),
  'a limit': json(429, { error: 'Too many requests.' }, { 'retry-after': '7' }),
  'an error that is no JSON': (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' }),
  'an answer that broke off': (route) => route.fulfill({ contentType: 'application/json', body: '{"keys":[{"id"' }),
  'an answer of nothing': json(200, null),
  'an answer of something else': json(200, { hello: 'world' }),
};
for (const [what, fault] of Object.entries(failures)) {
  inBrowser(`${what} is told on every page, which is never blank`, async () => {
    const other = await faulty(fault);
    const silent = [];
    for (const hash of pages) {
      await visit(other, hash);
      if (other.asked > 0 && await told(other) === 0) silent.push(`${hash}: ${(await other.locator('main').innerText()).slice(0, 200)}`);
    }
    assert.deepEqual(silent, []);
    assert.deepEqual(other.faults, []);
    await other.close();
  });
}

inBrowser('a page whose script does not come, or whose browser blocks storage, is not blank', async () => {
  const other = await browser.open();
  await other.route(/\/assets\/app-.*\.js/, (route) => route.fulfill({ status: 502, body: '' }));
  await other.goto(daemon.url);
  await other.getByText('load the page anew').waitFor();
  await other.unroute(/\/assets\/app-.*\.js/);
  await other.addInitScript(() => {
    const denied = () => { throw new DOMException('denied', 'SecurityError'); };
    Object.defineProperty(globalThis, 'localStorage', { get: denied });
    globalThis.BroadcastChannel = class { constructor() { denied(); } };
  });
  await other.reload();
  await signIn(other);
  await other.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  assert.equal(await other.getByText('load the page anew').count(), 0);
  assert.deepEqual(other.faults, []);
  await other.context().close();
});

inBrowser('a page that was opened while the daemon was away is there once it is back', async () => {
  const other = await browser.open({ context: page.context() });
  let isAway = true;
  const away = (route) => (isAway ? route.abort() : route.continue());
  await other.route((to) => isCall(to), away);
  await other.goto(`${daemon.url}/#/organization/keys`);
  await other.getByRole('heading', { name: 'Not reachable' }).waitFor();
  isAway = false;
  const table = other.getByRole('table', { name: 'API keys' });
  await table.getByRole('row').nth(1).waitFor();
  isAway = true;
  await visit(other, '#/organization/projects');
  await other.getByLabel('Health: not reachable').waitFor({ timeout: 5000 });
  isAway = false;
  await other.getByRole('table', { name: 'Projects' }).getByRole('row').nth(1).waitFor();
  await other.getByLabel('Health: healthy').waitFor();
  assert.equal(await told(other), 0);
  assert.deepEqual(other.faults, []);
  await other.close();
});

// A relay that loses answers of this POST: the daemon has done it, and the connection ends. Chromium sends
// the request again by itself, on a connection that it has used before.
async function clickThrough(t, times, use) {
  const relay = await new FaultRelay(daemon, [{ method: 'POST', path: /^\/api\/v1\/api-keys$/, way: 'swallow', times }]).start();
  t.after(() => relay.stop());
  const other = await browser.open({ context: page.context() });
  await other.goto(`${relay.url}/#/organization/keys`);
  await settled(other);
  await other.getByRole('button', { name: 'Create a key' }).first().click();
  const dialog = other.getByRole('dialog');
  await dialog.getByLabel('Name').fill(`lost ${times}`);
  await dialog.locator('button[type=submit]').click();
  await use(other, dialog, relay);
  await other.close();
}
const keysNamed = async (name) => (await page.evaluate(async () => (await (await fetch('api/v1/api-keys')).json()).keys)).filter((key) => key.name === name);

inBrowser('a click whose answer was lost has made one key, and the page shows its secret', (t) =>
  clickThrough(t, 1, async (other, dialog, relay) => {
    await dialog.getByText('kvcs whoami').waitFor();
    assert.ok(relay.seen.filter((line) => line === 'POST /api/v1/api-keys').length > 1, relay.seen.join('\n'));
    assert.equal((await keysNamed('lost 1')).length, 1);
  }));

inBrowser('a click none of whose answers came is told as unknown, and the list has what it made', (t) =>
  clickThrough(t, 1000, async (other, dialog) => {
    await dialog.getByText('Whether it was done is not known').waitFor();
    await other.locator('main').getByText('lost 1000').waitFor();
    assert.equal((await keysNamed('lost 1000')).length, 1);
  }));

inBrowser('a daemon that is slow is waited for: nothing is blank, and what comes at last is shown', async () => {
  let gate, open;
  const other = await faulty(async (route) => {
    await gate;
    await route.continue();
  });
  for (const hash of pages) {
    gate = new Promise((resolve) => {
      open = resolve;
    });
    await visit(other, hash, { isSettled: false });
    open();
    await other.waitForFunction(() => !document.querySelector('main .skeleton'), undefined, { polling: 50 });
    assert.equal(await other.locator('main [role=alert]').count(), 0, hash);
  }
  assert.deepEqual(other.faults, []);
  await other.close();
});

inBrowser('a session that ends is asked for on top of every page, and without one each says so', async () => {
  const other = await faulty(json(401, { error: 'Sign in first.' }));
  for (const hash of pages) {
    await visit(other, hash, { isSettled: false });
    if (other.asked === 0) continue;
    const dialog = other.getByRole('dialog', { name: 'Sign in again' });
    await dialog.waitFor();
    await other.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await other.getByText('Sign in first.').first().waitFor();
    assert.equal(await dialog.count(), 0, hash);
  }
  assert.deepEqual(other.faults, []);
  await other.close();
});

const evil = `<img src=x onerror="document.title='broken'"> \u202e\u05e2\u05d1\u05e8\u05d9\u05ea ${'long'.repeat(115)}`;
const chosen = ['name', 'email', 'title', 'display_name', 'description', 'message', 'last_error', 'suggestion', 'organization', 'key', 'help', 'address', 'user_agent'];
function withEvilNames(value, name = '') {
  if (Array.isArray(value)) return value.map((one) => withEvilNames(one, name));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withEvilNames(one, key)]));
  return typeof value === 'string' && chosen.includes(name) ? evil : value;
}

for (const width of [360, 1280]) {
  inBrowser(`names of 500 characters, with markup and from right to left, stay text on every page of ${width} px`, async () => {
    const other = await faulty(async (route) => {
      const answer = await route.fetch();
      if (!/json/.test(answer.headers()['content-type'] ?? '')) return route.fulfill({ response: answer });
      return route.fulfill({ response: answer, json: withEvilNames(await answer.json()) });
    });
    await other.setViewportSize({ width, height: 800 });
    const wrong = [];
    for (const hash of pages) {
      await visit(other, hash);
      const { wide, images } = await other.evaluate(() => ({ wide: document.documentElement.scrollWidth - innerWidth, images: document.querySelectorAll('img[src="x"]').length }));
      if (wide > 0) wrong.push(`${hash} is ${wide} px wider than the screen`);
      if (images > 0) wrong.push(`${hash} has made an image of a name`);
      if (await other.locator('main h1').textContent() === 'This page broke') wrong.push(`${hash} broke`);
    }
    assert.deepEqual(wrong, []);
    assert.notEqual(await other.title(), 'broken');
    assert.deepEqual(other.faults, []);
    await other.close();
  });
}

inBrowser('what the daemon refuses of a form leaves what was typed, and says why', async () => {
  await page.goto(`${daemon.url}/#/organization/keys`);
  await settled(page);
  await page.getByRole('button', { name: 'Create a key' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Create a key' });
  const name = dialog.getByLabel('Name');
  await name.fill('laptop <b>');
  await dialog.getByLabel('Works until').fill('2030-01-31');
  const answers = { ...failures, 'a conflict': json(409, { error: 'The key was changed meanwhile.' }), 'a refusal of a field': json(400, { error: 'name: is taken.' }) };
  delete answers['an answer of something else'];
  delete answers['an answer of nothing'];
  for (const [what, fault] of Object.entries(answers)) {
    await page.route('**/api/v1/api-keys', (route) => (route.request().method() === 'POST' ? fault(route) : route.fallback()));
    await dialog.getByRole('button', { name: 'Create key' }).click();
    await dialog.getByRole('alert').first().waitFor();
    assert.equal(await name.inputValue(), 'laptop <b>', what);
    assert.equal(await dialog.getByLabel('Works until').inputValue(), '2030-01-31', what);
    if (what === 'a limit') await dialog.getByText('Try again in 7 s.').waitFor();
    if (what === 'a conflict') await dialog.getByText('Somebody has changed it since you read it.').waitFor();
    if (what === 'a refusal of a field') assert.equal(await name.getAttribute('aria-invalid'), 'true');
    await page.unroute('**/api/v1/api-keys');
  }
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await dialog.getByText('Copy it now').waitFor();
  await page.keyboard.press('Escape');
});

for (const [days, words] of [[1, 'ahead'], [-1, 'behind']]) {
  inBrowser(`a clock that is a day ${words} changes no time that is shown`, async () => {
    const other = await browser.open({ context: page.context() });
    await other.clock.setSystemTime(Date.now() + days * 86_400_000);
    await other.goto(`${daemon.url}/#/ai/users`);
    await settled(other);
    const made = other.getByRole('table', { name: 'Users' }).locator('time').first();
    assert.match(await made.textContent(), /^(now|\d+ min ago)$/);
    await visit(other, '#/organization/audit');
    const times = await other.locator('main time').allTextContents();
    assert.ok(times.length > 0);
    for (const text of times) assert.match(text, /^(now|\d+ min ago)$/);
    assert.deepEqual(other.faults, []);
    await other.close();
  });
}

// Opens the dialog for a key, and types into it.
async function typeIntoDialog() {
  await page.goto(`${daemon.url}/#/organization/keys`);
  await settled(page);
  await page.getByRole('button', { name: 'Create a key' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Create a key' });
  await dialog.getByLabel('Name').fill('a long name');
  await dialog.getByLabel('Works until').fill('2030-01-31');
  return dialog;
}
async function inOtherTab(act) {
  const other = await browser.open({ context: page.context() });
  await other.goto(`${daemon.url}/#/`);
  await settled(other);
  await act(other);
  await other.close();
}

inBrowser('what was typed into a dialog is there again after another tab went to another place', async () => {
  await page.goto(`${daemon.url}/#/`);
  await settled(page);
  await page.evaluate(async () => {
    const me = await (await fetch('api/v1/me')).json();
    const made = await fetch('api/v1/projects', { method: 'POST', headers: { 'x-csrf-token': me.csrf_token, 'content-type': 'application/json' }, body: '{"name":"Research"}' });
    if (!made.ok) throw new Error(await made.text());
  });
  const dialog = await typeIntoDialog();
  const goTo = (project) => inOtherTab(async (other) => {
    await other.getByRole('button', { name: /^Organization and project/ }).click();
    await other.getByRole('menuitemradio', { name: project, exact: true }).click();
    await other.getByRole('button', { name: new RegExp(`${project}$`) }).waitFor();
  });
  await goTo('Research');
  await page.getByText('Another tab went to').waitFor();
  await dialog.waitFor({ state: 'detached' });
  // It is put into a form of the other place by hand alone, and once.
  const again = async () => page.getByRole('button', { name: 'Create a key' }).first().click();
  await again();
  assert.equal(await dialog.getByLabel('Name').inputValue(), '');
  await dialog.getByRole('button', { name: 'Put it back' }).click();
  await dialog.getByRole('button', { name: 'Put it back' }).waitFor({ state: 'detached' });
  assert.equal(await dialog.getByLabel('Name').inputValue(), 'a long name');
  assert.equal(await dialog.getByLabel('Works until').inputValue(), '2030-01-31');
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await dialog.getByText('Copy it now').waitFor();
  await page.keyboard.press('Escape');
  await again();
  await dialog.getByLabel('Name').waitFor();
  assert.equal(await dialog.getByRole('button', { name: 'Put it back' }).count(), 0);
  await page.keyboard.press('Escape');
  assert.deepEqual(page.faults, []);
});

inBrowser('another tab that signs out leaves a dialog with what was typed, and it goes on from there', async () => {
  const dialog = await typeIntoDialog();
  await inOtherTab(async (other) => {
    await other.getByRole('button', { name: /Ada/ }).click();
    await other.getByRole('menuitem', { name: 'Sign out' }).click();
    await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  });
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await page.getByRole('dialog', { name: 'Sign in again' }).waitFor();
  await signIn(page);
  await dialog.getByText('Copy it now').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('table', { name: 'API keys' }).getByText('a long name').first().waitFor();
  assert.deepEqual(page.faults, []);
});

inBrowser('another tab that signs out takes nothing away that was typed here', async () => {
  await page.goto(`${daemon.url}/#/account`);
  await settled(page);
  const name = page.getByRole('textbox', { name: 'Name' });
  await name.fill('Ada King');
  const other = await browser.open({ context: page.context() });
  await other.goto(`${daemon.url}/#/`);
  await settled(other);
  await other.getByRole('button', { name: /Ada/ }).click();
  await other.getByRole('menuitem', { name: 'Sign out' }).click();
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  await other.close();
  await page.getByRole('button', { name: 'Save name' }).click();
  await page.getByRole('dialog', { name: 'Sign in again' }).waitFor();
  await signIn(page);
  await page.getByText('Name saved.').waitFor();
  assert.equal(await name.inputValue(), 'Ada King');
  assert.deepEqual(page.faults, []);
});
