// Goal: what the dashboard is opened for works in a browser: a key is made and works, a first user chats
// and the spend is shown, an account is connected by consent and called, each role sees what it may; and
// every page is for everybody, at any width, in both themes.
// Method: Chromium before the real daemon with a scripted model provider and a real OAuth server on
// loopback; skipped without Chromium or in a binary without its pages.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Provider } from './ai_provider.mjs';
import { everyPage, faultsOfAxe, settled, Stage } from './browser.mjs';
import { OAuthServer } from './oauth_server.mjs';

const stage = new Stage(), { inBrowser } = stage;
let daemon, browser, page, models, oauth;
before(async () => {
  await stage.start({ signedIn: true });
  ({ daemon, browser, page } = stage);
  if (!daemon) return;
  models = await new Provider().start();
  oauth = await new OAuthServer().start({ lifetime_s: 3600, callback: `${daemon.url}/connect/callback` });
});
after(async () => {
  await stage.stop();
  models?.stop();
  oauth?.stop();
});

const go = async (hash, on = page) => {
  await on.goto(`${daemon.url}/${hash}`);
  await settled(on);
};
const dialog = (on = page) => on.getByRole('dialog');

inBrowser('an API key is shown once, and works', async () => {
  await go('#/organization/keys');
  await page.getByRole('button', { name: 'Create a key' }).first().click();
  await dialog().getByLabel('Name').fill('laptop');
  await page.keyboard.press('Enter');
  await dialog().getByRole('button', { name: 'Show' }).waitFor();
  // The form was where the focus stood; whoever hears the page is told what came in its place.
  await page.waitForFunction(() => document.activeElement?.textContent.includes('Copy it now'));
  // A plain address of another host has no clipboard.
  await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true }));
  await dialog().getByRole('button', { name: 'Copy: The key' }).click();
  await page.waitForFunction(() => getSelection().toString().startsWith('kv_'));
  const key = await dialog().locator('.secret code').first().textContent();
  assert.match(key, /^kv_/);
  assert.equal(await page.evaluate(() => getSelection().toString()), key);
  await page.keyboard.press('Escape');
  await page.getByRole('table').getByText('laptop', { exact: true }).waitFor();
  assert.ok(!(await page.content()).includes(key));
  const answer = await fetch(`${daemon.url}/api/v1/artifacts`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal(answer.status, 200);
});

inBrowser('a first provider, user and chat; what it cost is shown as it was charged', async () => {
  models.begin([{ text: 'Hello from the model.' }]);
  await go('#/ai/providers');
  await page.getByRole('button', { name: 'Add a model provider' }).first().click();
  await dialog().getByLabel('Address').fill(`${models.url}/v1`);
  await dialog().getByLabel('API key').fill('sk-the-key-at-openai');
  await dialog().getByRole('button', { name: 'Save' }).click();
  await page.getByRole('table').getByText('openai', { exact: true }).waitFor();
  await go('#/ai/playground');
  await page.getByRole('link', { name: 'Create a user' }).click();
  await dialog().getByLabel('E-mail address').fill('grace@example.com');
  await dialog().getByLabel('Budget a month, USD').fill('10');
  await dialog().getByRole('button', { name: 'Create user' }).click();
  await page.getByRole('heading', { name: 'grace@example.com', level: 1 }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'Chat as this user' }).click();
  await page.getByLabel('Model', { exact: true }).selectOption({ label: 'openai/gpt-4o-mini' });
  await page.getByLabel('Your message').fill('Hello');
  // As Safari tells that a word was composed; the one call below is the proof that nothing was sent.
  await page.getByLabel('Your message').dispatchEvent('keydown', { key: 'Enter', keyCode: 229 });
  assert.equal(await page.getByLabel('Your message').inputValue(), 'Hello');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByText('Hello from the model.').waitFor();
  const cost = page.locator('.turn-figures a');
  await cost.waitFor();
  const said = await cost.textContent();
  const { requests } = (await daemon.admin('GET', '/admin/usage/requests')).body;
  assert.equal(requests.length, 1);
  assert.equal(Number(said.replace('$', '')), Number(requests[0].cost_usd.toPrecision(4)));
  await cost.click();
  await page.getByRole('heading', { name: 'Requests', level: 1 }).waitFor();
  await page.getByRole('table').getByText(said).waitFor();
  await page.goBack();
  await page.getByText('Hello from the model.').waitFor();
  await page.getByText(`This chat has cost ${said}`).waitFor();
  const heidi = (await daemon.admin('POST', '/admin/users', { email: 'heidi@example.com', monthly_limit_usd: 5, org_id: daemon.credentials.organization_id })).body;
  await page.reload();
  await page.getByLabel('Paid by').selectOption(heidi.user_id);
  await settled(page);
  assert.equal(await page.getByLabel('Model', { exact: true }).inputValue(), 'openai/gpt-4o-mini');
  await go('#/ai');
  await page.getByRole('table').getByText(/gpt-4o-mini/).waitFor();
});

inBrowser('an API is added, its application stored, an account connected by consent, and called', async () => {
  const record = oauth.record(), { client_id, client_secret } = record.auth;
  await go('#/gateway');
  await page.getByRole('button', { name: /Set .* up for the gateway/ }).click();
  await page.getByRole('button', { name: 'Connect an account' }).first().waitFor();
  assert.equal((await daemon.admin('PUT', '/admin/tenants/default', { private_apis: true })).status, 200);
  await go('#/gateway/catalogue');
  await page.getByRole('button', { name: 'Add an API' }).click();
  await dialog().getByLabel('Name in calls').fill('local');
  await dialog().getByLabel('Address', { exact: true }).fill(record.base_url);
  await dialog().getByLabel('Lets callers in by').selectOption('oauth2_refresh_token');
  await dialog().getByLabel('Address of its page for consent').fill(record.auth.authorize_url);
  await dialog().getByLabel('Address of its tokens').fill(record.auth.token_url);
  await dialog().getByLabel('Scopes').fill('openid offline_access');
  await dialog().getByLabel('Paths that may be called begin with').fill('/v1/');
  await dialog().getByLabel('It is in a private network').check();
  await dialog().getByRole('button', { name: 'Add the API' }).click();
  // What no page asks for; it stays when the application is stored.
  await dialog().getByText('no application is stored').waitFor();
  const { body: added } = await daemon.admin('GET', '/admin/providers/local');
  const { client_secret_set, ...auth } = added.auth;
  assert.equal(client_secret_set, false);
  assert.equal((await daemon.admin('PUT', '/admin/providers/local', { base_url: added.base_url, auth_type: added.auth_type,
    allow_private_addresses: true, allowed_path_prefixes: added.allowed_path_prefixes, display_name: 'The local one',
    auth: { ...auth, authorize_params: 'prompt=consent', client_auth: 'client_secret_basic' } })).status, 200);
  await go('#/gateway/catalogue?provider=local');
  await dialog().getByText(`${daemon.url}/connect/callback`, { exact: true }).waitFor();
  assert.equal(await dialog().getByRole('link', { name: 'Connect' }).count(), 0);
  await dialog().getByLabel('Client id').fill(client_id);
  await dialog().getByLabel('Client secret').fill(client_secret);
  await dialog().getByRole('button', { name: 'Store the application' }).click();
  await dialog().getByRole('link', { name: 'Connect', exact: true }).click();
  assert.equal(await dialog().getByLabel('Service').inputValue(), 'local');
  const opened = page.context().waitForEvent('page');
  await dialog().getByRole('button', { name: /^Consent at/ }).click();
  const consent = await opened;
  await consent.getByRole('textbox').first().fill('ada');
  await consent.locator('[name=password]').fill('any');
  await consent.getByRole('button').click();
  await consent.getByRole('button', { name: /continue/i }).click();
  await consent.getByText(/can be used now/).waitFor();
  await consent.close();
  // The dialog has waited for it, and the account stands in the list.
  await dialog().waitFor({ state: 'detached' });
  await page.getByText('The local one is connected.').waitFor();
  await page.getByRole('table').getByText('local', { exact: true }).waitFor();
  await go('#/gateway/console?provider=local&path=/v1/me');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByLabel('Body of the answer').getByText('"ada"').waitFor();
});

inBrowser('what has to be known before an account is made is said where it is made', async () => {
  const noted = page.getByText('Zendesk gives no new API tokens since 27 October 2026');
  await go('#/gateway/catalogue?provider=zendesk');
  await dialog().locator(noted).waitFor();
  await go('#/gateway');
  await page.getByRole('button', { name: 'Connect an account' }).first().click();
  assert.equal(await noted.count(), 0);
  await dialog().getByLabel('Service').selectOption('zendesk');
  await dialog().locator(noted).waitFor();
  await page.keyboard.press('Escape');
});

inBrowser('each role sees what it may', async () => {
  await go('#/organization');
  await page.getByRole('button', { name: 'Invite somebody' }).click();
  await dialog().getByLabel('Role').selectOption('viewer');
  await dialog().getByRole('button', { name: 'Make the link' }).click();
  await dialog().getByRole('button', { name: 'Show' }).click();
  const link = await dialog().locator('.secret code').first().textContent();
  await page.keyboard.press('Escape');
  const viewer = await browser.open();
  await viewer.goto(link);
  await viewer.getByLabel('Name').fill('Alan');
  await viewer.getByLabel('E-mail address').fill('alan@example.com');
  await viewer.getByLabel('Password').fill('correct horse battery staple');
  await viewer.getByRole('button', { name: 'Join' }).click();
  await viewer.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  const areas = viewer.getByRole('navigation').first();
  assert.equal(await areas.getByRole('link', { name: 'Operations' }).count(), 0);
  await go('#/organization/keys', viewer);
  assert.equal(await viewer.getByRole('button', { name: 'Create a key' }).count(), 0);
  await go('#/ops', viewer);
  await viewer.getByText(/not|403/i).first().waitFor();
  assert.deepEqual(viewer.faults, []);
  await viewer.context().close();
});

for (const [width, theme] of [[360, 'dark'], [1280, 'light']]) {
  inBrowser(`every page fits ${width} px and is for everybody (${theme})`, async () => {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme: theme });
    for (const hash of everyPage) {
      await go(hash);
      assert.deepEqual(await faultsOfAxe(page), [], hash);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${hash} is ${wide} px wider than the screen`);
      // Of the bar with an area's pages, which scrolls, this page's name is seen.
      const isSeen = await page.evaluate(() => {
        const link = document.querySelector('.sub-bar [aria-current]')?.getBoundingClientRect();
        return !link || link.width === 0 || (link.left >= 0 && link.right <= innerWidth);
      });
      assert.ok(isSeen, `${hash}: its name in the bar is out of sight`);
    }
    assert.deepEqual(page.faults, []);
  });
}

inBrowser('on a small screen each area of the bar can be met, and on paper there is the page alone', async () => {
  const small = await browser.open({ width: 320, context: page.context() });
  await small.setViewportSize({ width: 320, height: 640 });
  await go('#/', small);
  const bar = await small.locator('.bottom a').evaluateAll((all) => all.map((one) => {
    const words = document.createRange();
    words.selectNodeContents(one);
    const { left, right } = words.getBoundingClientRect();
    return { width: one.getBoundingClientRect().width, left, right };
  }));
  assert.ok(bar.length >= 6);
  for (const [at, { width, left, right }] of bar.entries()) {
    assert.ok(width >= 24, `${width} px`);
    assert.ok(left - (bar[at - 1]?.right ?? -3) >= 3 && right <= 320, `${at}: ${left} to ${right}`);
  }
  await small.emulateMedia({ media: 'print' });
  await small.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  for (const part of ['.top', '.bottom', '.page-actions']) assert.equal(await small.locator(part).first().isVisible(), false, part);
  await small.close();
});
