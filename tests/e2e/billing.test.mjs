// Goal: what Stripe's own library signs is believed, and nothing else; what was answered 200 is there
// after a kill -9, and what was not is there when Stripe sends it again.
// Method: the real binary, npm's `stripe` as the one who signs, and a double of Stripe's API that reads
// what we send as Stripe's library writes it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Stripe from 'stripe';
import { Daemon } from './daemon.mjs';

const secret = 'whsec_3f1d0a2b', key = 'sk_test_51kvcs';
const stripe = new Stripe(key);
let daemon, double, browser, customer;

// Customers, checkouts and subscriptions, and a gate before the answers to GET.
class Double {
  subscriptions = new Map();
  asked = [];
  gate = null;

  async start() {
    this.server = createServer((request, response) => this.serve(request, response));
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  get url() { return `http://127.0.0.1:${this.server.address().port}`; }

  async serve(request, response) {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method, url, headers } = request;
    const path = new URL(url, this.url).pathname;
    this.asked.push({ method, path, headers, form: Object.fromEntries(new URLSearchParams(body)) });
    this.onAsked?.(method, path);
    if (method === 'GET' && this.gate) await this.gate;
    const answer = this.answer(method, path);
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? { error: { type: 'invalid_request_error' } }));
  }

  answer(method, path) {
    if (path === '/v1/customers') return { id: 'cus_e2e', object: 'customer' };
    if (path === '/v1/checkout/sessions') return { id: 'cs_1', url: 'https://checkout.stripe.com/cs_1', status: 'open' };
    if (path === '/v1/subscriptions') return { object: 'list', data: [...this.subscriptions.values()] };
    return this.subscriptions.get(path.split('/').at(-1));
  }

  subscribe(id, status, price = 'price_pro') {
    this.subscriptions.set(id, { id, object: 'subscription', customer: 'cus_e2e', status, created: 1700000000,
      cancel_at_period_end: false,
      items: { data: [{ id: 'si_1', current_period_end: 1900000000, price: { id: price } }] } });
    return this.subscriptions.get(id);
  }
}

const plan = async () =>
  (await daemon.admin('GET', `/admin/organizations/${daemon.credentials.organization_id}/plan`)).body.plan;

const payload = (id, type, object) =>
  JSON.stringify({ id, object: 'event', type, data: { object } }, null, 2);
const send = (body, header) => fetch(`${daemon.url}/api/v1/billing/webhook`,
  { method: 'POST', body, headers: { 'stripe-signature': header, 'content-type': 'application/json' } });
const sign = (body, options = {}) =>
  stripe.webhooks.generateTestHeaderString({ payload: body, secret, ...options });

before(async () => {
  double = await new Double().start();
  daemon = new Daemon({ STRIPE_SECRET_KEY: key, STRIPE_WEBHOOK_SECRET: `whsec_next,${secret}`,
    KVCS_BILLING_STRIPE_URL: double.url });
  const plans = join(daemon.folder, 'plans.yaml');
  writeFileSync(plans, 'plans:\n  default: {artifacts: 2}\n  pro: {stripe_prices: [price_pro]}\n');
  daemon.env.KVCS_PLANS_FILE = plans;
  await daemon.start();
  browser = (await daemon.setUp()).headers;
  const checkout = await fetch(`${daemon.url}/api/v1/billing/checkout`, { method: 'POST',
    headers: browser, body: JSON.stringify({ plan: 'pro' }) });
  assert.equal(checkout.status, 200);
  assert.equal((await checkout.json()).url, 'https://checkout.stripe.com/cs_1');
  customer = 'cus_e2e';
});
after(async () => {
  await daemon?.stop();
  daemon?.remove();
  double?.server.close();
  double?.server.closeAllConnections();
});

test('what is sent is as Stripe\'s own library sends it', async () => {
  const ours = double.asked.find(({ path }) => path === '/v1/checkout/sessions');
  const theirs = new Stripe(key, { host: '127.0.0.1', port: new URL(double.url).port, protocol: 'http',
    maxNetworkRetries: 0, telemetry: false });
  const { form } = ours;
  await theirs.checkout.sessions.create({
    mode: 'subscription', customer, client_reference_id: form.client_reference_id,
    line_items: [{ price: 'price_pro', quantity: 1 }], allow_promotion_codes: true,
    tax_id_collection: { enabled: true }, customer_update: { name: 'auto', address: 'auto' },
    metadata: { organization_id: form.client_reference_id },
    subscription_data: { metadata: { organization_id: form.client_reference_id } },
    success_url: form.success_url, cancel_url: form.cancel_url });
  const their = double.asked.at(-1);
  assert.deepEqual(form, their.form);
  assert.equal(ours.headers.authorization, their.headers.authorization);
  assert.equal(ours.headers['content-type'], their.headers['content-type']);
  assert.equal(ours.headers['stripe-version'], '2025-03-31.basil');
  assert.ok(ours.headers['idempotency-key']);
  assert.ok(form.success_url.startsWith(`${daemon.url}/`));
});

test('an event that Stripe\'s library signs is believed, and one that it would refuse is not', async () => {
  const body = payload('evt_1', 'customer.subscription.created', double.subscribe('sub_1', 'active'));
  const old = Math.floor(Date.now() / 1000) - 301;
  for (const [header, sent] of [['', body], [sign(body, { secret: 'whsec_other' }), body],
    [sign(body, { timestamp: old }), body], [sign(body, { scheme: 'v0' }), body], [sign(body), `${body} `]]) {
    assert.equal((await send(sent, header)).status, 400);
    assert.throws(() => stripe.webhooks.constructEvent(sent, header, secret));
  }
  assert.equal(await plan(), 'default');
  assert.equal((await send(body, sign(body))).status, 200);
  assert.equal(await plan(), 'pro');
  // Of another type, which this server does not know.
  const other = payload('evt_2', 'customer.tax_id.created', { id: 'txi_1', customer });
  assert.equal((await send(other, sign(other))).status, 200);
});

test('what was answered 200 is there after a kill -9', async () => {
  double.subscribe('sub_1', 'unpaid');
  const body = payload('evt_3', 'customer.subscription.updated', { id: 'sub_1', customer });
  assert.equal((await send(body, sign(body))).status, 200);
  await daemon.stop('SIGKILL');
  await daemon.start();
  assert.equal(await plan(), 'default');
  // And the event's id: a repeat asks nobody.
  const asked = double.asked.length;
  assert.equal((await send(body, sign(body))).status, 200);
  assert.equal(double.asked.length, asked);
});

test('an event that a kill -9 cut off is taken when it is sent again', async () => {
  double.subscribe('sub_1', 'active');
  const body = payload('evt_4', 'customer.subscription.updated', { id: 'sub_1', customer });
  let open;
  double.gate = new Promise((resolve) => { open = resolve; });
  const asked = new Promise((resolve) => { double.onAsked = resolve; });
  const sent = send(body, sign(body)).catch(() => null);
  await asked;
  await daemon.stop('SIGKILL');
  assert.equal(await sent, null);
  double.onAsked = double.gate = null;
  open();
  await daemon.start();
  assert.equal(await plan(), 'default');
  assert.equal((await send(body, sign(body))).status, 200);
  assert.equal(await plan(), 'pro');
});
