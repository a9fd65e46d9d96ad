// Takes the pictures of the dashboard that README shows, and measures what opening each page costs:
// node tests/e2e/screens.mjs FOLDER. A daemon of its own gets artifacts, people, users and calls to show.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Provider } from './ai_provider.mjs';
import { Browser, executable, settled, setUp } from './browser.mjs';
import { Daemon } from './daemon.mjs';

const folder = process.argv[2];
if (!folder) throw new Error('usage: node tests/e2e/screens.mjs FOLDER');
if (!executable) throw new Error('Chromium is not installed: make deps-browser');

const pages = [
  { name: 'overview', hash: '#/' }, { name: 'artifacts', hash: '#/artifacts' },
  { name: 'usage', hash: '#/ai' }, { name: 'playground', hash: '#/ai/playground', act: chat },
  { name: 'accounts', hash: '#/gateway' }, { name: 'members', hash: '#/organization' },
];

const need = ({ status, body }) => {
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
  return body;
};

async function artifacts(daemon) {
  const names = [['contracts, German', 'qwen3-8b', 4096], ['support handbook', 'llama-3.3-70b', 8192],
    ['API reference', 'qwen3-8b', 2048, 'public'], ['physics lectures', 'gemma-3-27b', 16384], ['release notes', 'qwen3-8b', 1024]];
  for (const [name, model, tokens, visibility = 'private'] of names) {
    const file = `${name}.kv`;
    for (const args of [['sample', file, '--tokens', String(tokens)], ['upload', file, '--name', name, '--tag', model, '--visibility', visibility]]) {
      const done = await daemon.cli(...args);
      if (done.status !== 0) throw new Error(done.stderr);
    }
  }
}

async function calls(daemon, provider) {
  need(await daemon.admin('PUT', '/admin/ai/providers/openai', { kind: 'openai', base_url: `${provider.url}/v1`, api_key: 'sk-the-key-at-openai' }));
  const org = daemon.credentials.organization_id;
  provider.begin(() => ({ text: 'It keeps the keys and values that a model has computed of a text, so that nobody has to compute them again.' }));
  for (const [email, limit, count] of [['ada@example.com', 50, 24], ['grace@example.com', 25, 9], ['alan@example.com', 10, 4]]) {
    const user = need(await daemon.admin('POST', '/admin/users', { email, monthly_limit_usd: limit, org_id: org }));
    const key = need(await daemon.admin('POST', `/admin/users/${user.user_id}/api-keys`, { name: 'laptop' }));
    for (let call = 0; call < count; call++) {
      const answer = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST',
        headers: { authorization: `Bearer ${key.api_key}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: call % 3 === 0 ? 'gpt-5' : 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }) });
      if (!answer.ok) throw new Error(await answer.text());
    }
  }
}

async function accounts(daemon) {
  need(await daemon.admin('PUT', '/admin/tenants/default', { name: 'My Org' }));
  const put = async (provider, account, hours) => need(await daemon.admin('PUT',
    `/admin/tenants/default/providers/${provider}/accounts/${account}`, { access_token: 't', refresh_token: 'r', client_id: 'c',
      client_secret: 's', expires_at: new Date(Date.now() + hours * 3_600_000).toISOString() }));
  await put('github', 'default', 200);
  await put('airtable', 'research', 60);
  await put('hubspot', 'default', 5);
  await put('linear', 'default', 30);
}

async function people(page, daemon) {
  for (const [name, email, role] of [['Grace Hopper', 'grace@example.com', 'admin'], ['Alan Turing', 'alan@example.com', 'member']]) {
    const { token } = await page.evaluate(async (wanted) => {
      const { csrf_token } = await (await fetch('/api/v1/me')).json();
      const made = await fetch('/api/v1/invitations', { method: 'POST', headers: { 'x-csrf-token': csrf_token }, body: JSON.stringify(wanted) });
      return made.json();
    }, { role });
    await fetch(`${daemon.url}/auth/register`, { method: 'POST', headers: { 'content-type': 'application/json', origin: daemon.url },
      body: JSON.stringify({ token, name, email, password: 'correct horse battery staple' }) });
  }
}

async function chat(page) {
  await page.getByLabel('Model', { exact: true }).selectOption({ label: 'openai/gpt-4o-mini' });
  await page.getByLabel('Your message').fill('What is a KV cache?');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.locator('.turn-figures a').waitFor();
}

// Bytes and requests of a first visit, nothing kept from before, and the time until nothing more is asked.
async function measure(browser, cookies, url) {
  const page = await browser.open();
  await page.context().addCookies(cookies);
  const sizes = [];
  page.on('requestfinished', (request) => sizes.push(request.sizes()));
  const begun = performance.now();
  await page.goto(url);
  await settled(page);
  const quietMs = 500;  // Of playwright's "networkidle", which settled() waits for.
  const ms = Math.round(performance.now() - begun - quietMs);
  const all = await Promise.all(sizes);
  await page.context().close();
  return { requests: all.length, bytes: all.reduce((sum, one) => sum + one.responseBodySize + one.responseHeadersSize, 0), ms };
}

const daemon = await new Daemon().start();
const provider = await new Provider().start();
const browser = await new Browser().start();
try {
  mkdirSync(folder, { recursive: true });
  const page = await browser.open({ width: 1120, height: 700 });
  await setUp(page, daemon);
  await artifacts(daemon);
  await calls(daemon, provider);
  await accounts(daemon);
  await people(page, daemon);
  console.log('| page | requests | KiB | ms |\n|---|---|---|---|');
  for (const { name, hash, act } of pages) {
    await page.goto(`${daemon.url}/${hash}`);
    await page.reload();
    await settled(page);
    await act?.(page);
    await page.screenshot({ path: join(folder, `${name}.png`) });
    const cost = await measure(browser, await page.context().cookies(), `${daemon.url}/${hash}`);
    console.log(`| ${name} | ${cost.requests} | ${(cost.bytes / 1024).toFixed(1)} | ${cost.ms} |`);
  }
} finally {
  await browser.stop();
  provider.stop();
  await daemon.stop();
  daemon.remove();
}
