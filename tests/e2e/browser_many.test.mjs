// Goal: a list of a hundred thousand rows is scrolled, moved through and chosen from like a short one.
// Method: Chromium before the real daemon, whose answers to the lists are replaced by generated ones; skipped
// without Chromium or in a binary without its pages.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Stage } from './browser.mjs';

const many = 100_000;
const drawnMax = 200;  // Rows in the document at any time.
const stage = new Stage(), { inBrowser } = stage;
let daemon, page;
before(async () => {
  await stage.start({ signedIn: true });
  ({ daemon, page } = stage);
});
after(() => stage.stop());

const at = '2026-11-01T12:00:00Z';
const uuid = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const rowsOf = (make) => Array.from({ length: many }, (_, n) => make(n));
// Of each list: its page, what it asks, the answer, and what its rows are called.
const lists = {
  keys: { hash: '#/organization/keys', path: '/api/v1/api-keys', table: 'API keys', name: (n) => `key ${n}`, answer: (name) => ({
    keys: rowsOf((n) => ({ id: uuid(n), name: name(n), hint: 'kv_abc', permissions: ['read'], project_id: null, created_at: at, last_used_at: null, expires_at: null })), cursor: null }) },
  users: { hash: '#/ai/users', path: '/admin/users', table: 'Users', name: (n) => `user${n}@example.com`, answer: (name) => ({
    users: rowsOf((n) => ({ user_id: uuid(n), email: name(n), monthly_limit_usd: 5, current_usage_usd: 1, status: 'active', created_at: at, org_id: uuid(1),
      requests_per_minute: null, tokens_per_minute: null, allowed_models: [], operator_set: [], updated_at: null })), cursor: null }) },
  requests: { hash: '#/ai/requests', path: '/admin/usage/requests', table: 'Requests', name: (n) => `model-${n}`, answer: (name) => ({
    requests: rowsOf((n) => ({ request_id: `r${n}`, attempt: 0, ts: at, model: name(n), provider: 'p', user_id: 'u', key_id: 'k', status: 200, cost_usd: 0.01,
      reserved_usd: 0.02, input_tokens: 1, output_tokens: 1, first_byte_ms: 10, total_ms: 20, price_version: 'v', estimated: false })), cursor: null }) },
  artifacts: { hash: '#/artifacts', path: '/api/v1/artifacts', table: 'Artifacts', name: (n) => `artifact ${n}`, answer: (name) => ({
    artifacts: rowsOf((n) => ({ artifact_id: uuid(n), name: name(n), tags: [], model: `m${n}`, num_tokens: n, size_bytes: n, status: 'ready', visibility: 'private',
      project: 'default', created_at: at })), total: many, continuation_token: null }) },
  audit: { hash: '#/ops/audit', path: '/admin/audit', table: 'Audit', name: (n) => `made org:${n}`, answer: (name) => ({
    audit: rowsOf((n) => ({ id: `a${n}`, ts: at, action: 'put', old_hash: '', key: name(n).slice(5), family: 'config', actor: 'key', source: 'api' })), cursor: null }) },
};

const drawn = (label) => page.getByRole('table', { name: label, exact: true }).locator('tbody tr.row').count();

// Opens the list with its generated rows in place of the daemon's. What polls afterwards for new rows gets few:
// a hundred thousand every other second keep a small machine busy.
async function open({ hash, path, answer, name, table }) {
  const all = answer(name);
  const rows = Object.keys(all).find((member) => Array.isArray(all[member]));
  const bodies = [JSON.stringify(all), JSON.stringify({ ...all, [rows]: all[rows].slice(0, 100) })];
  await page.route((url) => url.pathname === path, (route) => (route.request().method() === 'GET'
    ? route.fulfill({ contentType: 'application/json', body: bodies.length > 1 ? bodies.shift() : bodies[0] }) : route.fallback()));
  await page.goto(`${daemon.url}/${hash}`);
  await page.getByRole('table', { name: table, exact: true }).locator('tr[data-at="20"]').waitFor();
}

for (const [what, list] of Object.entries(lists)) {
  inBrowser(`a hundred thousand ${what}: scrolling and the keyboard reach every row, few are drawn`, async () => {
    await open(list);
    const { table, name } = list;
    const of = (n) => page.getByRole('table', { name: table, exact: true }).locator(`tr[data-at="${n}"]`);
    await of(0).getByText(name(0), { exact: true }).first().waitFor();
    assert.ok(await drawn(table) <= drawnMax);
    assert.equal(await page.getByRole('table', { name: table, exact: true }).getAttribute('aria-rowcount'), String(many + 1));
    for (const part of [0.5, 0.25, 1]) {
      await page.evaluate((where) => scrollTo(0, document.documentElement.scrollHeight * where), part);
      const there = part === 1 ? many - 1 : Math.round(many * part);
      await page.waitForFunction(([label, row]) => {
        const rows = [...document.querySelectorAll(`table[aria-label="${label}"] tr.row`)].map((one) => Number(one.dataset.at));
        return Math.min(...rows) <= row + 50 && Math.max(...rows) >= row - 50;
      }, [table, there]);
      assert.ok(await drawn(table) <= drawnMax);
    }
    await of(many - 1).getByText(name(many - 1), { exact: true }).first().waitFor();
    // From the end, k goes up row by row and the focus goes along, beyond what is drawn at once.
    await of(many - 1).evaluate((row) => (row.querySelector('a.row-link') ?? row).focus());
    for (let step = 1; step <= 60; step++) {
      await page.keyboard.press('k');
      await page.waitForFunction((row) => document.activeElement.closest('tr')?.dataset.at === row, String(many - 1 - step));
    }
    // Far from where the cursor is, the row comes back to be seen and has the focus.
    await page.evaluate(() => scrollTo(0, 0));
    await of(0).waitFor();
    await page.keyboard.press('k');
    await page.waitForFunction((row) => document.activeElement.closest('tr')?.dataset.at === row, String(many - 1 - 61));
    assert.ok(await drawn(table) <= drawnMax);
    assert.deepEqual(page.faults, []);
    await page.unrouteAll();
  });
}

inBrowser('of a hundred thousand rows a span is chosen with the shift key, and all at once', async () => {
  for (const list of [lists.users, lists.artifacts]) {
    await open(list);
    const bulk = page.getByRole('region', { name: 'Chosen rows' });
    await page.getByRole('checkbox', { name: /^Choose row 3(:|$)/ }).click();
    await bulk.getByText('1 chosen', { exact: true }).waitFor();
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.getByRole('checkbox', { name: new RegExp(`^Choose row ${many}(:|$)`) }).click({ modifiers: ['Shift'] });
    await bulk.getByText('99,998 chosen', { exact: true }).waitFor();
    assert.ok(await drawn(list.table) <= drawnMax);
    await bulk.getByRole('button', { name: 'Clear' }).click();
    await page.evaluate(() => scrollTo(0, 0));
    await page.getByRole('checkbox', { name: 'Choose all rows' }).click();
    await bulk.getByText('100,000 chosen', { exact: true }).waitFor();
    await page.getByRole('checkbox', { name: 'Choose all rows' }).click();
    await bulk.waitFor({ state: 'detached' });
    assert.ok(!page.url().includes('selected'));
    await page.unrouteAll();
  }
});

inBrowser('a filter asks the daemon, which looks beyond what is loaded, and says where nothing fits', async () => {
  for (let n = 0; n < 130; n++) {
    const made = await daemon.admin('POST', '/admin/users', { email: `user${String(n).padStart(3, '0')}@example.com`, org_id: daemon.credentials.organization_id });
    assert.equal(made.status, 201, JSON.stringify(made.body));
  }
  const asked = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.pathname === '/admin/users' && url.searchParams.get('q')) asked.push(url.searchParams.get('q'));
  });
  await page.goto(`${daemon.url}/#/ai/users`);
  const table = page.getByRole('table', { name: 'Users' });
  await table.getByText('user000@example.com', { exact: true }).waitFor();
  assert.equal(await table.getByText('user129@example.com', { exact: true }).count(), 0);
  const field = page.getByRole('searchbox', { name: 'Filter by address' });
  await field.pressSequentially('USER12', { delay: 10 });
  await table.getByText('user129@example.com', { exact: true }).waitFor();
  assert.equal(await table.locator('tbody tr.row').count(), 10);
  // What is typed in one go is asked for once, and stands in the address.
  assert.deepEqual(asked, ['USER12']);
  assert.ok(page.url().endsWith('#/ai/users?q=USER12'));
  await field.fill('nobody');
  await page.getByText('No row fits.').waitFor();
  await page.reload();
  await page.getByText('No row fits.').waitFor();
  assert.equal(await field.inputValue(), 'nobody');
  await page.getByRole('button', { name: 'Clear' }).click();
  await table.getByText('user000@example.com', { exact: true }).waitFor();
  assert.deepEqual(page.faults, []);
});
