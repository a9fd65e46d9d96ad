// Goal: whoever is new to a dashboard is told where they are and what to do: links say what they are for or
// that they are spent, first steps are done when they are done, a change is told by name, an organization's
// admin sees what models cost, and what has not happened is not told as nothing.
// Method: Chromium before the real daemon with a scripted model provider on loopback; skipped without
// Chromium or in a binary without its pages.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Provider } from './ai_provider.mjs';
import { faultsOfAxe, owner, setUp, settled, Stage } from './browser.mjs';
import { Daemon } from './daemon.mjs';
import { OidcIssuer } from './oidc_issuer.mjs';

const stage = new Stage(), { inBrowser } = stage;
let daemon, browser, page, models;
before(async () => {
  await stage.start();
  ({ daemon, browser, page } = stage);
  if (!daemon || stage.isBare) return;
  models = await new Provider().start();
});
after(async () => {
  await stage.stop();
  models?.stop();
});

const password = 'correct horse battery staple';
const heading = (on, name) => on.getByRole('heading', { name, level: 1 });
async function go(hash, on = page) {
  await on.goto(`${daemon.url}/${hash}`);
  await settled(on);
}
// What the page that is signed in asks the daemon, with its session.
const ask = (method, path, body, on = page) => on.evaluate(async ([method, path, body]) => {
  const { me } = await (await fetch('/auth/session')).json();
  const answer = await fetch(path, { method, headers: { 'content-type': 'application/json', 'x-csrf-token': me.csrf_token },
    ...(body && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: await answer.json().catch(() => null) };
}, [method, path, body]);
const invite = async (body) => (await ask('POST', '/api/v1/invitations', body)).body;
// A page of somebody else, with no fault when it is left.
async function visit(url, use) {
  const other = await browser.open();
  await other.goto(url);
  await use(other);
  assert.deepEqual(other.faults, []);
  await other.context().close();
}
async function register(on, { name, email }) {
  await on.getByLabel('Name').fill(name);
  if (email) await on.getByLabel('E-mail address').fill(email);
  await on.getByLabel('Password').fill(password);
  await on.getByRole('button', { name: 'Join', exact: true }).click();
  await heading(on, 'Overview').waitFor();
}

inBrowser('before anybody has signed in nothing is refused', async () => {
  await visit(`${daemon.url}/`, async (other) => {
    const refused = [];
    other.on('response', (answer) => { if (answer.status() >= 400) refused.push(answer.url()); });
    await other.reload();
    await heading(other, 'Sign in').waitFor();
    await settled(other);
    assert.deepEqual(refused, []);
    await other.getByText('Nobody has an account here yet.').waitFor();
    assert.deepEqual(await faultsOfAxe(other), []);
  });
});

inBrowser('a setup link that is spent says so at once, and how to get another', async () => {
  await setUp(page, daemon);
  const spent = daemon.credentials.setup_url;
  await visit(spent, async (other) => {
    await heading(other, 'This setup link works no longer').waitFor();
    assert.equal(await other.getByLabel('Password').count(), 0);
    await other.getByText('kvcs admin setup-link').waitFor();
    assert.deepEqual(await faultsOfAxe(other), []);
    await other.getByRole('link', { name: 'Sign in' }).click();
    await heading(other, 'Sign in').waitFor();
  });
  // Also for somebody who is signed in, whose session goes on.
  await page.goto(spent);
  await heading(page, 'This setup link works no longer').waitFor();
});

inBrowser('a link for a new password that never was says so at once', async () => {
  await visit(`${daemon.url}/#/reset?token=nobody.guess`, async (other) => {
    await heading(other, 'This link works no longer').waitFor();
    assert.equal(await other.getByLabel('Password').count(), 0);
    await other.getByRole('link', { name: 'Ask for another link' }).click();
    await heading(other, 'A new password').waitFor();
  });
});

inBrowser('first steps are those that the daemon names, and are done when they are', async () => {
  await go('#/');
  const steps = page.locator('.first-steps li');
  assert.equal(await steps.count(), 7);
  assert.equal(await page.locator('.first-steps li.done').count(), 0);
  await page.getByRole('link', { name: 'Set up a model provider' }).click();
  await heading(page, 'Model providers').waitFor();
  const put = await daemon.admin('PUT', '/admin/ai/providers/openai', { kind: 'openai', base_url: `${models.url}/v1`, api_key: 'sk-the-key-at-openai' });
  assert.equal(put.status, 200);
  // A tenant alone is no account, and no step.
  assert.equal((await daemon.admin('PUT', '/admin/tenants/default', { name: 'Ours' })).status, 200);
  await go('#/');
  await page.reload();
  await page.locator('.first-steps li.done', { hasText: 'Set up a model provider' }).waitFor();
  assert.equal(await page.locator('.first-steps li.done').count(), 1);
});

inBrowser('an invitation names the organization, the role and who invites', async () => {
  const { url, token } = await invite({ email: 'grace@example.com', role: 'admin' });
  await visit(url, async (other) => {
    await heading(other, 'Join default').waitFor();
    const text = await other.getByRole('main').innerText();
    for (const part of [owner.name, 'grace@example.com', 'default', 'admin – also manages people']) {
      assert.ok(text.includes(part), `${part}: ${text}`);
    }
    assert.equal(await other.getByLabel('E-mail address').inputValue(), 'grace@example.com');
    assert.deepEqual(await faultsOfAxe(other), []);
    await register(other, { name: 'Grace' });
  });
  await visit(url, (other) => heading(other, 'This invitation was used').waitFor());
  // The token came in bodies alone.
  await daemon.logs(/"path":"\/auth\/invitation"/, () => visit(url, (other) => settled(other)));
  assert.ok(!daemon.log.includes(token), 'the token of an invitation stands in the log');
});

inBrowser('an invitation that was withdrawn, or never was, says so and the way on', async () => {
  const { url, invitation_id: id } = await invite({ role: 'viewer' });
  assert.equal((await ask('DELETE', `/api/v1/invitations/${id}`)).status, 204);
  await visit(url, async (other) => {
    await heading(other, 'This invitation was withdrawn').waitFor();
    assert.equal(await other.getByLabel('Password').count(), 0);
    await other.getByText(/ask for one/).waitFor();
  });
  await visit(`${daemon.url}/#/invitation?token=guess`, async (other) => {
    await heading(other, 'This invitation is not known').waitFor();
    await other.getByRole('link', { name: 'Sign in' }).waitFor();
  });
});

inBrowser('whoever is signed in as somebody else is told so, signs out, and goes on', async () => {
  const { url } = await invite({ email: 'joan@example.com', role: 'viewer' });
  const other = await browser.open();
  await other.goto((await invite({ role: 'viewer' })).url);
  await register(other, { name: 'Eve', email: 'eve@example.com' });
  await other.goto(url);
  await other.getByRole('alert').getByText('You are signed in as Eve').waitFor();
  assert.equal(await other.getByRole('button', { name: /^Join as/ }).count(), 0);
  await other.getByRole('button', { name: 'Sign out and go on as joan@example.com' }).click();
  await register(other, { name: 'Joan' });
  assert.deepEqual(other.faults, []);
  await other.context().close();
});

inBrowser('who has an account signs in where the invitation is, and joins', async () => {
  const second = (await ask('POST', '/api/v1/organizations', { name: 'Second' })).body.organization_id;
  const invitations = `/api/v1/organizations/${second}/invitations`;
  // No provider of sign-ins has verified the address of an account with a password: no button that fails.
  const addressed = (await ask('POST', invitations, { role: 'member', email: 'eve@example.com' })).body;
  await visit(addressed.url, async (other) => {
    await other.getByRole('button', { name: 'I have an account: sign in' }).click();
    await other.getByLabel('Password').fill(password);
    await other.getByRole('button', { name: 'Sign in', exact: true }).click();
    await other.getByRole('alert').getByText('Your account cannot take it').waitFor();
    assert.equal(await other.getByRole('button', { name: /^Join as/ }).count(), 0);
  });
  const { url } = (await ask('POST', invitations, { role: 'member' })).body;
  await visit(url, async (other) => {
    await other.getByRole('button', { name: 'I have an account: sign in' }).click();
    await other.getByLabel('E-mail address').fill('eve@example.com');
    await other.getByLabel('Password').fill(password);
    await other.getByRole('button', { name: 'Sign in', exact: true }).click();
    await other.getByRole('button', { name: 'Join as Eve' }).click();
    await heading(other, 'Overview').waitFor();
    assert.equal((await ask('GET', '/api/v1/me', undefined, other)).body.organization_id, second);
  });
});

inBrowser('an invitation is taken through a provider of sign-ins, by somebody new and by one who is known', async () => {
  const issuer = await new OidcIssuer().start({ callback: 'http://127.0.0.1:1/' });
  const other = await new Daemon({ IDP_SECRET: OidcIssuer.client.client_secret,
    KVCS_AUTH_PROVIDERS: `{idp: {issuer: "${issuer.url}", client_id: kvcs, client_secret_env: IDP_SECRET}}` }).start();
  issuer.options.callback = `${other.url}/auth/callback`;
  issuer.oidc = issuer.provider();
  const through = async (on) => {
    await on.getByRole('link', { name: 'idp' }).click();
    await on.locator('input[name=login]').fill('grace');
    await on.locator('input[name=password]').fill('any');
    await on.getByRole('button').click();
    await on.getByRole('button', { name: 'Continue' }).click();
  };
  try {
    const host = await browser.open();
    await setUp(host, other);
    const first = (await ask('POST', '/api/v1/invitations', { role: 'viewer', email: 'grace@example.com' }, host)).body;
    await visit(first.url, async (grace) => {
      await through(grace);
      await heading(grace, 'Overview').waitFor();
      const { organizations } = (await ask('GET', '/api/v1/me', undefined, grace)).body;
      assert.deepEqual(organizations.map(({ slug, role }) => [slug, role]), [['default', 'viewer']]);
    });
    const second = (await ask('POST', '/api/v1/organizations', { name: 'Second' }, host)).body.organization_id;
    const again = (await ask('POST', `/api/v1/organizations/${second}/invitations`, { role: 'member' }, host)).body;
    await visit(again.url, async (grace) => {
      await grace.getByRole('button', { name: 'I have an account: sign in' }).click();
      await through(grace);
      await grace.getByRole('button', { name: 'Join as grace' }).click();
      await heading(grace, 'Overview').waitFor();
      assert.equal((await ask('GET', '/api/v1/me', undefined, grace)).body.organization_id, second);
    });
    for (const { token } of [first, again]) assert.ok(!other.log.includes(token), 'the token of an invitation stands in the log');
    await host.context().close();
  } finally {
    await other.stop();
    other.remove();
    issuer.stop();
  }
});

inBrowser('the history tells changes by name and in words', async () => {
  await ask('POST', '/api/v1/api-keys', { name: 'laptop' });
  await go('#/organization/audit');
  const rows = page.getByRole('table').getByRole('row');
  await rows.filter({ hasText: 'made API key laptop' }).filter({ hasText: owner.name }).waitFor();
  assert.doesNotMatch(await page.getByRole('table').innerText(), /\bput\b|keys:/);
});

inBrowser("an organization's admin sees its own use of models, and operators' pages stay theirs", async () => {
  const org = daemon.credentials.organization_id;
  const { user_id: user } = (await daemon.admin('POST', '/admin/users', { email: 'agent@example.com', org_id: org })).body;
  const { api_key: key } = (await daemon.admin('POST', `/admin/users/${user}/api-keys`, { name: 'k' })).body;
  models.begin([{ text: 'Hello.' }]);
  const chat = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'openai/gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }) });
  assert.equal(chat.status, 200, await chat.text());
  await visit(`${daemon.url}/#/login`, async (other) => {
    await other.getByLabel('E-mail address').fill('grace@example.com');
    await other.getByLabel('Password').fill(password);
    await other.getByRole('button', { name: 'Sign in' }).click();
    await heading(other, 'Overview').waitFor();
    await go('#/ai?group=user', other);
    await other.getByRole('table').getByText('agent@example.com').waitFor();
    assert.equal(await other.locator('option', { hasText: 'by organization' }).count(), 0);
    // Charts of a row stand on one line, whether they name their series or not.
    const tops = await other.locator('.chart-box').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
    assert.equal(tops.length, 2);
    assert.equal(tops[0], tops[1]);
    await go('#/ai/requests', other);
    await other.getByRole('table').getByText(/gpt-4o-mini/).click();
    await other.getByRole('dialog').getByText('Reserved before').waitFor();
    await other.keyboard.press('Escape');
    await go(`#/ai/users/${user}`, other);
    await other.getByText(/^Spent in/).waitFor();
  });
});

inBrowser('an organization without a budget says that none is set, and who sets it', async () => {
  await visit(`${daemon.url}/#/login`, async (other) => {
    await other.getByLabel('E-mail address').fill('eve@example.com');
    await other.getByLabel('Password').fill(password);
    await other.getByRole('button', { name: 'Sign in' }).click();
    await heading(other, 'Overview').waitFor();
    await other.getByText('no budget is set; an operator sets it').waitFor();
  });
});

inBrowser('a job that has never run has no time and no duration', async () => {
  await go('#/ops/jobs');
  const jobs = (await daemon.admin('GET', '/admin/jobs')).body.jobs;
  const never = jobs.find((one) => one.last_result === '' && !one.running);
  assert.ok(never, 'every job has run');
  const row = page.getByRole('row').filter({ has: page.getByText(never.job, { exact: true }) });
  assert.match(await row.innerText(), /has not run yet/);
  assert.doesNotMatch(await row.innerText(), /0 ms|0 of 0/);
});

inBrowser('the configuration shows all of its words', async () => {
  await go('#/ops/config');
  await page.locator('td.wraps').nth(50).waitFor();
  const clipped = await page.locator('td.wraps').evaluateAll((all) =>
    all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent));
  assert.deepEqual(clipped, []);
  assert.ok(await page.locator('td.wraps').count() > 50);
  await page.getByRole('link', { name: 'artifacts.engine_url' }).click();
  await page.getByRole('dialog').getByText(/Who answers/).waitFor();
});
