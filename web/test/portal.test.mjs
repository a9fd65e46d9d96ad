// Goal: the pages of the organization say roles, sums and changes as they are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import jsQR from 'jsqr';
import { loadBundle } from './bundle.mjs';

const {
  auditVerb, auditVerbs, closedWords, counted, formatMinor, h, keyAsk, limitsAsk, planAsk, QrCode, render, rolesUpTo, Standing, stateOfJobs, stepWords, wordsOfActor, wordsOfChange,
} = await loadBundle();
const document = JSON.parse(readFileSync(new URL('../api/openapi.json', import.meta.url), 'utf8'));

test('sums of Stripe are in the smallest unit of their currency', () => {
  assert.equal(formatMinor(1500, 'usd'), '$15.00');
  assert.equal(formatMinor(1500, 'jpy'), '¥1,500');
  assert.equal(formatMinor(-5, 'eur'), '-€0.05');
  assert.equal(formatMinor(7, 'nothing'), '7 nothing');
  assert.match(formatMinor(1500, 'isk'), /^ISK\s15$/);
  assert.match(formatMinor(1500, 'ugx'), /^UGX\s15$/);
  assert.match(formatMinor(1500, 'mga'), /^MGA\s1,500/);
});

test('nobody gives more than their own role', () => {
  assert.deepEqual(rolesUpTo('owner'), ['owner', 'admin', 'member', 'viewer']);
  assert.deepEqual(rolesUpTo('admin'), ['admin', 'member', 'viewer']);
  assert.deepEqual(rolesUpTo('member'), []);
  assert.deepEqual(rolesUpTo('viewer'), []);
});

// What the daemon's document lists for a member of a type.
const listed = (type, member) => document.components.schemas[type].properties[member].enum;

test('every change that the history can tell has its words', () => {
  const entry = { subject: 'keys:01a2', thing: 'laptop' };
  for (const kind of listed('HistoryEntry', 'kind')) {
    for (const action of listed('HistoryEntry', 'action')) {
      const { verb, thing } = wordsOfChange({ ...entry, kind, action });
      assert.ok(verb && thing, `${action} ${kind}`);
      assert.notEqual(verb, action);
      assert.doesNotMatch(thing, /_/);
    }
  }
});

test('changes name the thing, and its id only where it has no name any more', () => {
  const key = { action: 'create', kind: 'key', subject: 'keys:01a2', thing: 'laptop' };
  assert.deepEqual(wordsOfChange(key), { verb: 'made', thing: 'API key', name: 'laptop', isId: false });
  assert.deepEqual(wordsOfChange({ ...key, thing: null }), { verb: 'made', thing: 'API key', name: '01a2', isId: true });
  assert.deepEqual(wordsOfChange({ action: 'update', kind: 'members', subject: 'members', thing: null }),
    { verb: 'changed', thing: 'the members', name: '', isId: false });
  assert.equal(wordsOfChange({ action: 'create', kind: 'members', subject: 'members', thing: null }).verb, 'was the first of');
  assert.equal(wordsOfChange({ action: 'update', kind: 'ai_credential', subject: 'credential:openai', thing: null }).isId, false);
});

test('who made a change is told by name, or by what they are', () => {
  assert.deepEqual(wordsOfActor({ name: 'Ada', actor: 'person:1' }), { text: 'Ada', id: '' });
  assert.deepEqual(wordsOfActor({ name: 'ci', actor: 'projectkey:1' }), { text: 'the key ci', id: '' });
  assert.deepEqual(wordsOfActor({ name: null, actor: 'adminkey:k1' }), { text: 'an operator’s key', id: 'k1' });
  assert.deepEqual(wordsOfActor({ name: null, actor: 'kvcs' }), { text: 'the daemon', id: '' });
  assert.deepEqual(wordsOfActor({ name: null, actor: 'new-kind:1' }), { text: 'new-kind:1', id: '' });
});

test('every verb of the audit has its word', () => {
  assert.deepEqual(Object.keys(auditVerbs).sort(), [...listed('AuditRow', 'action')].sort());
  assert.equal(auditVerb({ action: 'put', old_hash: '' }), 'made');
  assert.equal(auditVerb({ action: 'put', old_hash: 'ab' }), 'changed');
});

test('every step that the daemon names has its words and its page', () => {
  assert.deepEqual(Object.keys(stepWords).sort(), [...listed('FirstStep', 'name')].sort());
  for (const step of Object.values(stepWords)) assert.match(step.href, /^#\/[a-z]/);
});

test('an invitation that works no longer says why, and the way on', () => {
  const titles = listed('InvitationLook', 'state').filter((state) => state !== 'open')
    .map((state) => closedWords({ state, organization: 'Acme' }));
  assert.equal(new Set(titles.map((one) => one.title)).size, 3);
  for (const { text } of titles) assert.match(text, /ask/i);
  assert.match(closedWords({ state: 'used', organization: 'Acme' }).text, /joined to Acme|to Acme/);
});

test('one is one, and jobs that have not run are not told as gone well', () => {
  assert.equal(counted(1, 'day'), '1 day');
  assert.equal(counted(0, 'day'), '0 days');
  assert.equal(counted(1, 'person', 'people'), '1 person');
  assert.equal(counted(1200, 'person', 'people'), '1,200 people');
  const ok = { last_result: 'ok' }, never = { last_result: '' }, failed = { last_result: 'failed' };
  assert.equal(stateOfJobs([ok]), '1 job; no last run failed');
  assert.equal(stateOfJobs([ok, never, never]), '3 jobs; no last run failed, and 2 have not run yet');
  assert.equal(stateOfJobs([ok, never]), '2 jobs; no last run failed, and 1 has not run yet');
  assert.equal(stateOfJobs([ok, failed]), 'The last run of 1 of 2 jobs failed');
});

test('a camera reads from the QR code what it is made of', () => {
  const url = 'otpauth://totp/kvcs:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=kvcs&algorithm=SHA1&digits=6&period=30';
  for (const text of [url, 'a', '名前 ü €'.repeat(20)]) {
    const html = render(h(QrCode, { text, label: 'The code' }));
    assert.ok(html.includes('role="img"') && html.includes('aria-label="The code"') && !html.includes('style='));
    const size = Number(/viewBox="0 0 (\d+) /.exec(html)[1]);
    const scale = 4;  // Pixels of a module.
    const pixels = new Uint8ClampedArray((size * scale) ** 2 * 4).fill(255);
    for (const [, x, y] of html.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
      for (let at = 0; at < scale * scale; at++) {
        const pixel = (Number(y) * scale + Math.floor(at / scale)) * size * scale + Number(x) * scale + (at % scale);
        pixels.fill(0, pixel * 4, pixel * 4 + 3);
      }
    }
    assert.equal(jsQR(pixels, size * scale, size * scale)?.data, text);
  }
});

test('a subscription says what comes next, and what its payer has to do', () => {
  const words = (status, cancels = false) =>
    render(h(Standing, { data: { status, cancels, plan: null, price: null, current_period_end: '2026-12-31T00:00:00Z' } })).replace(/<[^>]*>/g, '');
  for (const status of ['active', 'trialing']) assert.match(words(status), /^The period ends .* and begins anew\.$/);
  for (const status of ['past_due', 'unpaid', 'incomplete']) {
    assert.match(words(status), /Pay it at Stripe/);
    assert.ok(!words(status).includes('begins anew'), status);
    assert.match(words(status, true), /Pay it at Stripe.*It ends /);
  }
  assert.match(words('paused'), /paused/);
  for (const status of ['canceled', 'incomplete_expired']) {
    for (const cancels of [false, true]) assert.equal(words(status, cancels), 'It has ended, and the default plan holds.');
  }
  assert.match(words('active', true), /^It ends .*; then the default plan holds/);
});

test('a key may what was chosen and no more, where it was chosen', () => {
  assert.deepEqual(keyAsk({ name: 'a', permissions: 'read', project_id: 'project', expires_at: '' }), { name: 'a', permissions: ['read'] });
  assert.deepEqual(keyAsk({ name: 'a', permissions: 'write', project_id: 'organization', expires_at: '2026-11-30' }),
    { name: 'a', permissions: ['read', 'write'], project_id: null, expires_at: '2026-11-30T23:59:59Z' });
  assert.deepEqual(keyAsk({ name: 'a' }).permissions, ['read']);
  assert.throws(() => keyAsk({ name: 'a', expires_at: '20301-01-31' }), (error) => 'expires_at' in error.fields);
});

test('a plan is charged as its preview said, and limits overwrite nobody', () => {
  assert.deepEqual(planAsk('team', { at: 7, amount_due: 1 }), { plan: 'team', at: 7 });
  const ask = limitsAsk('o', '"7"', { monthly_budget_usd: '5', requests_per_minute: '', tokens_per_minute: '10', failure_mode: 'fail_open', fallback_daily_limit: '1' });
  assert.deepEqual(ask, { path: { org_id: 'o' }, ifMatch: '"7"', body: {
    monthly_budget_usd: '5', requests_per_minute: null, tokens_per_minute: 10, failure_mode: 'fail_open', fallback_daily_limit: '1' } });
  assert.throws(() => limitsAsk('o', '', { requests_per_minute: '1,000' }), /no whole number/);
});
