// Chromium before the real daemon, for the tests of the dashboard: pages in a theme and a width, the
// first account by the setup link, and what axe finds. Without Chromium these tests are skipped, and say
// so; KVCS_CHROMIUM names one that is elsewhere.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { Daemon } from './daemon.mjs';

const places = [process.env.KVCS_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
export const executable = places.find((path) => path && existsSync(path));
export const skip = executable ? false : 'Chromium is not installed: make deps-browser';

// A daemon, a browser and its first page, once `before` has run them; without Chromium nothing is started.
// `inBrowser(name, run)` is a test that runs where there is a browser and the binary has its pages.
export class Stage {
  async start({ signedIn = false } = {}) {
    if (skip) return;
    this.daemon = await new Daemon().start();
    this.isBare = /WEB=0/.test(await (await fetch(this.daemon.url)).text());
    this.browser = await new Browser().start();
    this.page = await this.browser.open();
    if (signedIn && !this.isBare) await setUp(this.page, this.daemon);
  }

  async stop() {
    await this.browser?.stop();
    await this.daemon?.stop();
    this.daemon?.remove();
  }

  inBrowser = (name, run) => test(name, { skip }, async (t) => {
    if (this.isBare) return t.skip('the binary was built with WEB=0');
    await run(t);
  });
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const waitMs = 15_000;

// Whoever set the appliance up.
export const owner = { name: 'Ada Lovelace', email: 'ada@example.com', password: 'correct horse battery staple' };

export class Browser {
  async start() {
    this.browser = await chromium.launch({ executablePath: executable, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
    return this;
  }

  async stop() {
    await this.browser?.close();
  }

  // A page in a profile of its own. What the page reports as broken is in `page.faults`: exceptions, and what
  // the content security policy refused.
  async open({ theme = 'light', width = 1280, height = 800, context } = {}) {
    const profile = context ?? await this.browser.newContext({ viewport: { width, height }, colorScheme: theme,
      reducedMotion: 'reduce' });
    const page = await profile.newPage();
    page.setDefaultTimeout(waitMs);
    page.faults = [];
    page.on('pageerror', (error) => page.faults.push(String(error)));
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) page.faults.push(message.text());
    });
    return page;
  }
}

// Makes the first account through the setup link, and waits for the first page.
export async function setUp(page, daemon) {
  await page.goto(daemon.credentials.setup_url);
  await page.getByLabel('Name').fill(owner.name);
  await page.getByLabel('E-mail address').fill(owner.email);
  await page.getByLabel('Password').fill(owner.password);
  await page.getByRole('button', { name: 'Create my account' }).click();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
}

// Fills the form of signing in, wherever it stands.
export async function signIn(page, { email = owner.email, password = owner.password } = {}) {
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

// Waits until the page has what it asked for, and asks nothing more.
export async function settled(page) {
  await page.waitForLoadState('networkidle');
  await page.waitForFunction(() => document.querySelector('.skeleton') === null);
}

// What axe finds that is serious or critical, a line each.
export async function faultsOfAxe(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => globalThis.axe.run());
  return found.violations.filter((one) => ['serious', 'critical'].includes(one.impact))
    .flatMap((one) => one.nodes.map((node) => `${one.impact} ${one.id}: ${node.html.slice(0, 160)}`));
}

// Every page that is not about one thing.
export const everyPage = ['#/', '#/artifacts', '#/artifacts/deleted', '#/artifacts/compare', '#/catalogue', '#/account',
  '#/account/security', '#/account/sessions', '#/ai', '#/ai/requests', '#/ai/users', '#/ai/playground', '#/ai/prices', '#/ai/providers',
  '#/gateway', '#/gateway/catalogue', '#/gateway/console?provider=local', '#/gateway/tenants', '#/gateway/schedules',
  '#/gateway/briefings', '#/organization', '#/organization/projects', '#/organization/keys', '#/billing',
  '#/organization/audit', '#/organization/settings', '#/ops', '#/ops/jobs', '#/ops/runs', '#/ops/errors', '#/ops/alerts',
  '#/ops/audit', '#/ops/kv', '#/ops/backups', '#/ops/people', '#/ops/organizations', '#/ops/metrics', '#/ops/config'];
