// Goal: what the dashboard says of money and of how the gateways answer is what the daemon says, digit by
// digit; one request can be made again; a second factor is added by scanning.
// Method: Chromium before the real daemon with a scripted model provider; skipped without Chromium or in a
// binary without its pages.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Provider } from './ai_provider.mjs';
import { faultsOfAxe, owner, settled, Stage } from './browser.mjs';
import { totpCode } from './totp.mjs';

const stage = new Stage(), { inBrowser } = stage;
let daemon, page, models, org, key;
const admin = async (method, path, body) => {
  const answer = await daemon.admin(method, path, body);
  assert.ok(answer.status < 300, JSON.stringify(answer.body));
  return answer.body;
};
before(async () => {
  await stage.start({ signedIn: true });
  ({ daemon, page } = stage);
  if (!daemon || stage.isBare) return;
  models = await new Provider().start();
  models.begin(() => ({ text: 'Hello from the model.' }));
  org = daemon.credentials.organization_id;
  await admin('PUT', '/admin/ai/providers/openai', { kind: 'openai', base_url: `${models.url}/v1`, api_key: 'sk-the-key-at-openai' });
  await admin('PATCH', `/admin/organizations/${org}`, { monthly_budget_usd: 310, log_bodies: true });
  const user = await admin('POST', '/admin/users', { email: 'grace@example.com', monthly_limit_usd: 5, org_id: org });
  key = (await admin('POST', `/admin/users/${user.user_id}/api-keys`, { name: 'laptop' })).api_key;
  for (const model of ['gpt-4o-mini', 'gpt-5']) await chat(model, 'it\'s "what" I asked');
});
after(async () => {
  await stage.stop();
  models?.stop();
});

async function chat(model, content) {
  const answer = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content }] }) });
  assert.equal(answer.status, 200, await answer.text());
}
const go = async (hash) => {
  await page.goto(`${daemon.url}/${hash}`);
  await settled(page);
};
// Puts other members into the daemon's answer.
const change = (path, edit) => page.route((url) => url.pathname === path, async (route) => {
  const answer = await route.fetch();
  return route.fulfill({ response: answer, json: edit(await answer.json()) });
});

inBrowser('the overview tells how the gateways answered, and when the month goes over the budget', async () => {
  await change('/admin/metrics/summary', (body) => {
    const plane = { requests: 1204, refused: 3, errors: 7, p50_ms: 450, p95_ms: 3200, p99_ms: 9100 };
    return { ...body, planes: { ...body.planes, ai: plane }, providers: [
      { door: 'ai', provider: 'openai', requests: 1200, failures: 120, state: 'degraded' },
      { door: 'gateway', provider: 'github', requests: 4, failures: 4, state: 'down' }] };
  });
  await change('/api/v1/usage', (body) => ({ ...body, ai_usd: { used: 200, projected: 412.5, allowed: 310 } }));
  await go('#/');
  await page.reload();
  await settled(page);
  const doors = page.getByRole('table', { name: 'Times of answers' });
  const cells = await doors.getByRole('row', { name: /Models/ }).getByRole('cell').allInnerTexts();
  assert.deepEqual(cells, ['Models', '1,204', '10', '450 ms', '3.2 s', '9.1 s']);
  assert.match(await doors.getByRole('row', { name: /Tools/ }).innerText(), /–/);
  await page.getByText('in the last half hour openai is degraded, github is down').waitFor();
  const providers = page.getByRole('table', { name: 'Providers' });
  await providers.getByRole('row', { name: /openai/ }).getByText('degraded').waitFor();
  await providers.getByRole('link', { name: 'github' }).click();
  await page.getByRole('heading', { name: 'Errors', level: 1 }).waitFor();
  await page.getByRole('button', { name: /provider: github/ }).click();
  await page.waitForFunction(() => !location.hash.includes('github'));
  await go('#/');
  await page.getByText('$412.50 at the month’s end, over the budget').waitFor();
  assert.deepEqual(await faultsOfAxe(page), []);
  await page.unrouteAll();
  // As the daemon itself says it: there is nothing to complain of.
  await page.reload();
  await settled(page);
  await doors.waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  assert.deepEqual(page.faults, []);
});

inBrowser('usage is stacked by model, beside the budget of a day, and goes along as CSV', async () => {
  await go('#/ai');
  const chart = page.locator('figure').filter({ hasText: 'Spent by day and model' });
  await chart.waitFor();
  const legend = await chart.locator('.chart-legend li').allInnerTexts();
  assert.equal(legend.length, 3);
  assert.ok(legend.some((one) => one.includes('gpt-5')) && legend.some((one) => one.includes('gpt-4o-mini')));
  const { budget } = await admin('GET', '/admin/usage?group_by=day');
  assert.equal(budget.limit_usd, 310);
  assert.equal(legend[2], `Budget over the days of the month: $${budget.daily_usd.toFixed(2)}`);
  await page.getByText('Budget of ').waitFor();
  await chart.getByRole('button', { name: 'Table' }).click();
  assert.equal(await chart.getByRole('columnheader').count(), 3);
  const sums = await admin('GET', '/admin/usage?group_by=model');
  const spent = sums.usage.find((one) => one.model === 'gpt-5').cost_usd;
  assert.ok((await chart.getByRole('table').innerText()).includes(`$${Number(spent.toPrecision(4))}`));
  const csv = await page.evaluate(async (url) => (await fetch(url)).text(), await page.getByRole('link', { name: 'CSV' }).getAttribute('href'));
  assert.match(csv, /^model,requests,/);
  await page.locator('label.filter select').last().selectOption('user');
  await page.locator('figure').filter({ hasText: 'Spent by day and user' }).waitFor();
  assert.deepEqual(page.faults, []);
});

inBrowser('one request shows the same call for a shell, Python and JavaScript, without a secret', async () => {
  await go('#/ai/requests');
  await page.getByRole('table', { name: 'Requests' }).getByRole('link', { name: 'gpt-5' }).first().click();
  const detail = page.getByRole('dialog', { name: 'gpt-5' });
  const call = detail.getByRole('region', { name: 'The same call' });
  const curl = await call.locator('pre').innerText();
  assert.ok(curl.includes(`${daemon.url}/v1/chat/completions`) && curl.includes('Bearer $KVCS_KEY') && curl.includes('"what\\"'), curl);
  for (const [name, sign] of [['Python', 'requests.post'], ['JS', 'await fetch(']]) {
    await call.getByRole('button', { name, exact: true }).click();
    const text = await call.locator('pre').innerText();
    assert.ok(text.includes(sign) && text.includes('KVCS_KEY'), text);
  }
  assert.ok(!(await detail.innerText()).includes(key));
  assert.deepEqual(await faultsOfAxe(page), []);
  await page.keyboard.press('Escape');
});

inBrowser('a price is kept as it was typed, with all that the form does not show', async () => {
  const text = async (path) => (await fetch(daemon.url + path, { headers: { authorization: `Bearer ${daemon.credentials.admin_key}` } })).text();
  const rowOf = (model) => page.getByRole('table', { name: 'Prices' }).getByRole('row').filter({ hasText: model });
  await go('#/ai/prices');
  await page.getByRole('button', { name: 'Set a price' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Model').fill('our-model');
  await dialog.getByLabel('A million tokens read, USD').fill('1,250');
  await dialog.getByLabel('A million tokens written, USD').fill('123456.012345');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText('"1,250" is not a decimal number').waitFor();
  await dialog.getByLabel('A million tokens read, USD').fill('0.3');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('our-model is charged so from now on.').waitFor();
  const kept = await text('/admin/ai/prices/our-model');
  assert.ok(kept.includes('"input_cost_per_token":0.0000003,') && kept.includes('"output_cost_per_token":0.123456012345,'), kept);
  await page.getByPlaceholder('Filter by model').fill('our-model');
  const cells = await rowOf('our-model').getByRole('cell').allInnerTexts();
  assert.ok(cells.includes('$0.30') && cells.includes('$123456.012345'), cells.join());
  // What the daemon refuses stands beside its field.
  await rowOf('our-model').getByRole('button', { name: 'Change our-model' }).click();
  await page.getByRole('menuitem', { name: 'Set a price' }).click();
  assert.equal(await dialog.getByLabel('A million tokens written, USD').inputValue(), '123456.012345');
  await dialog.getByLabel('A million tokens written, USD').fill('99999999999');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText(/is over the limit/).waitFor();
  assert.equal(await dialog.getByLabel('A million tokens written, USD').getAttribute('aria-invalid'), 'true');
  await page.keyboard.press('Escape');

  // A shipped price with much beside: only what was typed changes.
  const { prices } = await admin('GET', '/admin/ai/prices');
  const many = prices.filter((one) => !one.later && one.model.split('/').length === 2).sort((a, b) => Object.keys(b).length - Object.keys(a).length)[0];
  await page.getByPlaceholder('Filter by model').fill(many.model);
  await rowOf(many.model).first().getByRole('button', { name: `Change ${many.model}`, exact: true }).click();
  await page.getByRole('menuitem', { name: 'Set a price' }).click();
  await dialog.getByLabel('A million tokens read, USD').fill('4.35');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText(`${many.model} is charged so from now on.`).waitFor();
  const own = (set) => Object.fromEntries(Object.entries(set).filter(([name]) => !['source', 'date', 'price_version', 'has_ended', 'from', 'later'].includes(name)));
  const after = (await admin('GET', '/admin/ai/prices')).overrides.find((one) => one.model === many.model);
  assert.deepEqual(own(after), { ...own(many), input_cost_per_token: 0.00000435 });
  await page.getByRole('button', { name: `Change ${many.model}`, exact: true }).first().click();
  await page.getByRole('menuitem', { name: 'Back to the shipped one' }).click();
  await page.getByText(/the shipped one holds/).waitFor();

  // What holds for one organization is changed and removed for it alone.
  await admin('PUT', `/admin/ai/prices/our-model?org_id=${org}`, { input_cost_per_token: '0.000009', output_cost_per_token: '0' });
  await go('#/ai/prices?q=our-model');
  await page.reload();
  await settled(page);
  const ofOrg = rowOf('set for');
  await ofOrg.getByRole('button', { name: 'Change our-model' }).click();
  await page.getByRole('menuitem', { name: 'Back to everybody’s' }).click();
  await ofOrg.waitFor({ state: 'detached' });
  assert.equal((await admin('GET', '/admin/ai/prices/our-model')).input_cost_per_token, 0.0000003);
  assert.deepEqual(page.faults, []);
});

inBrowser('a second factor is scanned, or typed, and asked for from then on', async () => {
  await go('#/account/security');
  await page.getByRole('button', { name: 'Turn on …' }).click();
  const sure = page.getByRole('dialog', { name: 'It is you?' });
  await sure.getByLabel('Your password').fill(owner.password);
  await sure.getByRole('button', { name: 'Go on' }).click();
  const dialog = page.getByRole('dialog', { name: 'Turn on a second factor' });
  const code = dialog.getByRole('img', { name: 'QR code of the secret' });
  await code.waitFor();
  const box = await code.boundingBox();
  assert.ok(box.width >= 160 && Math.abs(box.width - box.height) < 1);
  assert.ok((await code.locator('path').getAttribute('d')).length > 2000);
  assert.deepEqual(await faultsOfAxe(page), []);
  const secret = (await dialog.locator('.secret-row code').innerText()).replace(/\s/g, '');
  await dialog.getByRole('textbox', { name: 'Code' }).fill(totpCode(secret));
  await dialog.getByRole('button', { name: 'Turn on' }).click();
  await page.getByRole('dialog', { name: 'Recovery codes' }).waitFor();
  assert.deepEqual(page.faults, []);
});
