// Goal: the pages of the organization say roles, sums and changes as they are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const { formatMinor, rolesUpTo, wordsOfChange } = await loadBundle();

test('sums of Stripe are in the smallest unit of their currency', () => {
  assert.equal(formatMinor(1500, 'usd'), '$15.00');
  assert.equal(formatMinor(1500, 'jpy'), '¥1,500');
  assert.equal(formatMinor(-5, 'eur'), '-€0.05');
  assert.equal(formatMinor(7, 'nothing'), '7 nothing');
});

test('nobody gives more than their own role', () => {
  assert.deepEqual(rolesUpTo('owner'), ['owner', 'admin', 'member', 'viewer']);
  assert.deepEqual(rolesUpTo('admin'), ['admin', 'member', 'viewer']);
  assert.deepEqual(rolesUpTo('member'), []);
  assert.deepEqual(rolesUpTo('viewer'), []);
});

test('changes are told in words, and as they are where there is none', () => {
  assert.deepEqual(wordsOfChange({ action: 'put', subject: 'keys:01a2:x' }), { verb: 'changed', thing: 'key', id: '01a2:x' });
  assert.deepEqual(wordsOfChange({ action: 'rotate', subject: 'plan' }), { verb: 'rotate', thing: 'plan', id: '' });
});
