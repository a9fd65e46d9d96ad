// Goal: the short way through the dashboard works in a browser as it stands in the binary: the setup link,
// the first page, keyboard, a session that ends, a prefix, and nobody is shut out by colour or role.
// Method: Chromium before the real daemon; skipped without Chromium or in a binary without its pages.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { after, before } from 'node:test';
import { faultsOfAxe, setUp, settled, signIn, Stage } from './browser.mjs';

const stage = new Stage(), { inBrowser } = stage;
let daemon, browser, page;
before(async () => {
  await stage.start();
  ({ daemon, browser, page } = stage);
});
after(() => stage.stop());

inBrowser('the setup link leads to the first page, and is spent', async () => {
  await setUp(page, daemon);
  assert.equal(await page.title(), 'Overview · kvcs');
  assert.ok(!page.url().includes('token'));
  await page.getByText('First steps').waitFor();
  assert.deepEqual(page.faults, []);
});

inBrowser('the pages have no serious fault for those who hear, tab or see little, in both themes', async () => {
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    for (const hash of ['#/', '#/account', '#/account/security', '#/account/sessions', '#/nothing', '#/device', '#/forgot']) {
      await page.goto(`${daemon.url}/${hash}`);
      await settled(page);
      assert.deepEqual(await faultsOfAxe(page), [], `${theme} ${hash}`);
    }
  }
  assert.deepEqual(page.faults, []);
});

inBrowser('the keyboard alone goes everywhere', async () => {
  await page.goto(`${daemon.url}/#/`);
  await page.reload();
  await settled(page);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the page');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Search or jump' }).waitFor();
  await page.keyboard.type('sessions');
  await page.getByRole('option', { name: /Sessions and sign-ins/ }).waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Sessions and sign-ins', level: 1 }).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === 'H1');
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).getByText('Go to Artifacts').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('o');
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: 'Sessions and sign-ins', level: 1 }).waitFor();
});

inBrowser('a session that ends in the middle loses nothing that was typed', async () => {
  await page.goto(`${daemon.url}/#/account`);
  const name = page.getByRole('textbox', { name: 'Name' });
  await name.fill('Ada King');
  await page.context().clearCookies();
  await page.getByRole('button', { name: 'Save name' }).click();
  const dialog = page.getByRole('dialog', { name: 'Sign in again' });
  await dialog.waitFor();
  await signIn(page, { password: 'wrong' });
  await dialog.getByText('The address or the password is wrong.').waitFor();
  await signIn(page);
  await page.getByText('Name saved.').waitFor();
  assert.equal(await name.inputValue(), 'Ada King');
});

inBrowser('the tabs of a browser are in one place, and are left together', async () => {
  const [one, two] = [page, await browser.open({ context: page.context() })];
  const placeOf = (tab) => tab.getByRole('button', { name: /^Organization and project:/ });
  await one.goto(`${daemon.url}/#/organization/keys`);
  await settled(one);
  await two.goto(`${daemon.url}/#/organization/settings`);
  await two.getByRole('button', { name: 'Create an organization' }).click();
  const dialog = two.getByRole('dialog', { name: 'Create an organization' });
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('Second');
  await dialog.getByRole('button', { name: 'Create organization' }).click();
  for (const tab of [two, one]) await placeOf(tab).filter({ hasText: 'Second' }).waitFor();
  await placeOf(one).click();
  await one.getByRole('menuitemradio', { name: 'default' }).or(one.getByRole('menuitem', { name: 'default' })).first().click();
  await placeOf(two).filter({ hasText: 'default' }).waitFor();
  await two.getByRole('button', { name: /account and looks/ }).click();
  await two.getByRole('menuitem', { name: 'Sign out' }).click();
  for (const tab of [two, one]) await tab.getByRole('heading', { name: 'Sign in', level: 1 }).waitFor();
  await two.close();
  await signIn(one);
  await one.getByRole('heading', { name: 'API keys', level: 1 }).waitFor();
  assert.deepEqual(one.faults, []);
});

inBrowser('whoever is not signed in is led to signing in, and from there to the page', async () => {
  const other = await browser.open({ width: 360, theme: 'dark' });
  await other.goto(`${daemon.url}/#/account/sessions`);
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.deepEqual(await faultsOfAxe(other), []);
  await signIn(other, { password: 'wrong' });
  await other.getByRole('alert').waitFor();
  assert.equal(await other.getByLabel('E-mail address').inputValue(), 'ada@example.com');
  await signIn(other);
  await other.getByRole('heading', { name: 'Sessions and sign-ins', level: 1 }).waitFor();
  await settled(other);
  const wide = await other.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${wide} px wider than a screen of 360`);
  assert.deepEqual(await faultsOfAxe(other), []);
  await other.context().close();
});

// A proxy that serves the daemon under /kv/ and nothing else. It stands in for one whose address
// http.public_url would say: the daemon hears its own origin.
async function prefixProxy() {
  const proxy = createServer((from, to) => {
    if (!from.url.startsWith('/kv/')) {
      to.writeHead(404).end();
      return;
    }
    const headers = { ...from.headers, ...(from.headers.origin && { origin: daemon.url }) };
    const onward = request(daemon.url + from.url.slice(3), { method: from.method, headers }, (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    onward.on('error', () => to.destroy());
    from.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return proxy;
}

inBrowser('it works under a prefix', async () => {
  const proxy = await prefixProxy();
  try {
    const other = await browser.open();
    const missing = [];
    other.on('response', (answer) => { if (answer.status() === 404) missing.push(answer.url()); });
    await other.goto(`http://127.0.0.1:${proxy.address().port}/kv/#/account`);
    await signIn(other);
    await other.getByRole('heading', { name: 'Account', level: 1 }).waitFor();
    await other.keyboard.press('g');
    await other.keyboard.press('o');
    await other.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    await settled(other);
    assert.deepEqual(missing, []);
    await other.context().close();
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});

inBrowser('a daemon that is gone is said to be, and what was there stays', async () => {
  await page.goto(`${daemon.url}/#/`);
  await settled(page);
  await page.route('**/*', (route) => route.abort());
  await page.evaluate(() => dispatchEvent(new Event('focus')));
  await page.getByText('not reachable').first().waitFor({ timeout: 25_000 });
  await page.getByText('Artifacts').first().waitFor();
  await page.unroute('**/*');
});
