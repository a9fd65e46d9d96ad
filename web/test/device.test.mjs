// Goal: a person sees which device asks, and what is shown is what the daemon says. Method: the page's
// parts with answers of a daemon.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const web = await loadBundle();
const page = (state) => web.render(web.h(web.DeviceView, { state }));
const daemon = (answers) => async (path) => {
  const [status, body] = answers[path];
  return new Response(JSON.stringify(body), { status });
};
const me = [200, { csrf_token: 'c' }];

test('an address is a code, an empty form, or another page', () => {
  assert.equal(web.codeOf('#/device?user_code=WDJB-MJHT'), 'WDJB-MJHT');
  assert.equal(web.codeOf('#/device'), '');
  for (const other of ['', '#/', '#/login', '#/device?user_code=', '#/device?user_code=<b>', '#/devices']) {
    assert.equal(web.codeOf(other), null, other);
  }
});

test('the device is shown as the daemon knows it, and is no markup', async () => {
  const state = await web.readDevice(daemon({ '/api/v1/me': me, '/auth/device/WDJB-MJHT': [200,
    { device_name: '<b>laptop</b>', client_id: 'kvcs-cli', address: '192.0.2.1' }] }), 'WDJB-MJHT');
  assert.equal(state.csrf, 'c');
  const html = page(state);
  assert.ok(html.includes('&lt;b>laptop'));
  assert.ok(html.includes('192.0.2.1'));
  assert.ok(html.includes('Allow') && html.includes('Refuse'));
});

test('whoever is a stranger signs in first; a code that is over is said to be', async () => {
  const no = [401, { error: 'No.' }];
  const stranger = daemon({ '/api/v1/me': no, '/auth/providers': [200, { providers: [
    { name: 'idp', url: '/auth/login/idp' }] }] });
  const { step, ways } = await web.readDevice(stranger, 'WDJB-MJHT');
  assert.equal(step, 'sign-in');
  const links = web.render(web.h(web.SignInWays, { ways, code: 'WDJB-MJHT' }));
  assert.ok(links.includes('href="/auth/login/idp?next=%2F%23%2Fdevice%3Fuser_code%3DWDJB-MJHT"'), links);
  const alone = daemon({ '/api/v1/me': no, '/auth/providers': [500, {}] });
  assert.deepEqual(await web.readDevice(alone, 'X'), { step: 'sign-in', ways: [] });
  const over = daemon({ '/api/v1/me': me, '/auth/device/X': [404, { error: 'No device waits.' }] });
  const state = await web.readDevice(over, 'X');
  assert.equal(state.step, 'failed');
  assert.ok(page(state).includes('No device waits.'));
  assert.ok(page({ step: 'type' }).includes('user_code'));
});
