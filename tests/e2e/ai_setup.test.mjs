// Goal: what an operator sets up outside the API holds: providers of the environment and of the
// file, static admin keys from three places, prices from a file that is read again, and LiteLLM's.
// Method: the real binary with its environment, files and signals.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { Daemon, root } from './daemon.mjs';

async function withStarted(options, run) {
  const daemon = new Daemon();
  try {
    await daemon.start(typeof options === 'function' ? options(daemon) : options);
    await run(daemon);
  } finally {
    if (daemon.process.exitCode === null && daemon.process.signalCode === null) await daemon.stop();
    daemon.remove();
  }
}

const names = async (daemon) =>
  (await daemon.admin('GET', '/admin/ai/providers')).body.providers.map((one) => [one.name, one.has_api_key]);

test('with nothing configured the keys that every SDK reads make providers', async () => {
  await withStarted({ env: { OPENAI_API_KEY: 'sk-from-env', ANTHROPIC_API_KEY: 'sk-ant-from-env' } }, async (daemon) => {
    assert.deepEqual(await names(daemon), [['openai', true], ['anthropic', true]]);
    const shown = await daemon.admin('GET', '/admin/ai/providers/openai');
    assert.equal(shown.body.base_url, 'https://api.openai.com/v1');
    assert.equal(JSON.stringify(shown.body).includes('from-env'), false);
  });
});

test('providers and aliases of kvcs.yaml: headers, an own header for the key, the next target', async () => {
  const seen = [];
  const provider = createServer((request, response) => {
    seen.push({ url: request.url, headers: request.headers });
    const broken = request.url.startsWith('/broken');
    response.writeHead(broken ? 503 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
    request.resume();
  });
  await new Promise((resolve) => provider.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${provider.address().port}`;
  const options = (daemon) => {
    const config = join(daemon.folder, 'kvcs.yaml');
    writeFileSync(join(daemon.folder, 'key'), 'key-of-the-file\n');
    writeFileSync(config, `ai:
  providers:
    first: {kind: openai_compatible, base_url: "${base}/broken", api_key_env: FIRST_KEY}
    second: {kind: openai_compatible, base_url: "${base}/v2", api_key_file: ${join(daemon.folder, 'key')},
             auth_header: X-Token, headers: {X-Team: blue}}
  aliases:
    fast: [first/gpt-4o-mini, second/gpt-4o-mini]
`);
    return { args: ['--config', config], env: { FIRST_KEY: 'sk-first', OPENAI_API_KEY: 'unused' } };
  };
  try {
    await withStarted(options, async (daemon) => {
      assert.deepEqual(await names(daemon), [['first', true], ['second', true]]);
      const { user_id } = (await daemon.admin('POST', '/admin/users', { email: 'a@x.org',
        org_id: daemon.credentials.organization_id, monthly_limit_usd: 5 })).body;
      const { api_key } = (await daemon.admin('POST', `/admin/users/${user_id}/api-keys`, { name: 'k' })).body;
      const reply = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST',
        headers: { 'api-key': api_key, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'fast', messages: [], max_tokens: 5 }) });
      assert.equal(reply.status, 200);
      assert.deepEqual(seen.map((one) => one.url), ['/broken/chat/completions', '/v2/chat/completions']);
      assert.equal(seen[0].headers.authorization, 'Bearer sk-first');
      assert.equal(seen[1].headers['x-token'], 'key-of-the-file');
      assert.equal(seen[1].headers['x-team'], 'blue');
      assert.equal(seen[1].headers.authorization, undefined);
    });
  } finally {
    provider.closeAllConnections();
    provider.close();
  }
});

test('static admin keys: several, with roles, from the environment, a file and a credential', async () => {
  const options = (daemon) => {
    const credentials = join(daemon.folder, 'credentials');
    mkdirSync(credentials);
    writeFileSync(join(credentials, 'kvcs-admin-keys'), 'billing:key-of-a-credential\n');
    writeFileSync(join(daemon.folder, 'keys'), '# Two lines.\nviewer:key-number-of-the-file\n');
    return { env: { CREDENTIALS_DIRECTORY: credentials, KVCS_ADMIN_KEYS_FILE: join(daemon.folder, 'keys'),
      KVCS_ADMIN_KEYS: 'admin_key_xxx_the_old,owner:admin_key_xxx_the_new' } };
  };
  await withStarted(options, async (daemon) => {
    const status = async (key, method, path) => (await fetch(daemon.url + path, { method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: method === 'POST' ? '{"name":"n"}' : undefined })).status;
    for (const key of ['admin_key_xxx_the_old', 'admin_key_xxx_the_new']) {
      assert.equal(await status(key, 'GET', '/admin/organizations'), 200, key);
    }
    assert.equal(await status('admin_key_xxx_the_new', 'POST', '/admin/admin-keys'), 400);  // No role; let in.
    assert.equal(await status('key-number-of-the-file', 'GET', '/admin/organizations'), 200);
    assert.equal(await status('key-number-of-the-file', 'POST', '/admin/organizations'), 403);
    assert.equal(await status('key-of-a-credential', 'GET', '/admin/usage'), 200);
    assert.equal(await status('key-of-a-credential', 'GET', '/admin/organizations'), 403);
    assert.equal(await status('admin_key_xxx_unknown', 'GET', '/admin/organizations'), 401);
  });
});

test('prices: read again on SIGHUP, and a table with a mistake leaves the good one', async () => {
  let prices;
  const write = (text) => writeFileSync(prices, text);
  const shipped = readFileSync(join(root, 'config/prices.yaml'), 'utf8');
  const options = (daemon) => {
    prices = join(daemon.folder, 'prices.yaml');
    const config = join(daemon.folder, 'kvcs.yaml');
    write(shipped);
    writeFileSync(config, `ai:\n  prices_path: ${prices}\n`);
    return { args: ['--config', config] };
  };
  await withStarted(options, async (daemon) => {
    const price = async () => (await daemon.admin('GET', '/admin/ai/prices/openai/gpt-4o-mini')).body;
    const before = await price();
    assert.equal(before.input_cost_per_token, 1.5e-07);
    const reload = (pattern) => daemon.logs(pattern, () => daemon.process.kill('SIGHUP'));
    write(shipped.replace(/(openai\/gpt-4o-mini:\n(?:.*\n)*?\s+input_cost_per_token: )1.5e-07/, '$12.5e-07'));
    await reload(/config\.reloaded/);
    const after = await price();
    assert.equal(after.input_cost_per_token, 2.5e-07);
    assert.notEqual(after.price_version, before.price_version);
    write('models:\n  openai/gpt-4o-mini:\n    input_cost_per_token: -1\n');
    const line = await reload(/"level":"error"/);
    assert.match(line, /input_cost_per_token/);
    assert.deepEqual(await price(), after);
  });
});

test('prices import takes LiteLLM\'s file, to the last digit', async () => {
  await withStarted({}, async (daemon) => {
    const file = join(daemon.folder, 'litellm.json');
    writeFileSync(file, `{
      "sample_spec": { "max_tokens": "LEGACY", "input_cost_per_token": 0.0 },
      "gpt-new": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 5.46875e-07,
        "output_cost_per_token": 2.1875e-06, "cache_read_input_token_cost": 1.7e-08, "max_output_tokens": 4096,
        "supports_vision": true, "input_cost_per_token_above_200k_tokens": 1e-06 },
      "openai/gpt-new": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1 },
      "dall-e": { "litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04 },
      "odd": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": -1 } }`);
    const ran = await daemon.cli('prices', 'import', file, '--json');
    assert.equal(ran.status, 3, ran.stderr); // One row was refused.
    const report = JSON.parse(ran.stdout);
    assert.deepEqual(report.models, ['openai/gpt-new']);
    assert.deepEqual(report.refused.map((one) => one.model), ['openai/odd']);
    assert.equal(report.written, 1);
    const shown = await daemon.cli('admin', 'prices', 'get', 'openai/gpt-new', '--json');
    const price = JSON.parse(shown.stdout);
    assert.equal(price.input_cost_per_token, 5.46875e-07);
    assert.equal(price.output_cost_per_token, 2.1875e-06);
    assert.equal(price.cache_read_input_token_cost, 1.7e-08);
    assert.equal(price.input_cost_per_token_above_200k_tokens, 1e-06);
    assert.equal(price.source, 'LiteLLM');
  });
});
