// Goal: what `--help` shows as an example works when it is typed. Method: the commands are found by
// walking `kvcs --help`; each example runs in a shell, in a folder of its own that holds the files
// it names, against a real daemon, and must end with 0. Ids in examples become real ones; fixed
// ports and system paths become the test's. An example that needs what is not here fails.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { binary, Daemon, root } from './daemon.mjs';
import { fileOf } from './kv_file.mjs';
import { totpCode } from './totp.mjs';
import { writeTinyModel } from './engine/tiny_model.mjs';

const kId = '3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f';
const kKeyId = '9b1c8e52-2f43-4d0e-8f0a-5f2b6f6f0c11';
const kRequestId = '61204f5ad635151c';
const kDecisionId = '6a2f41a3c54c2a3b7d1e9f0011223344';
const tokens = 1100;
const text = 'Once upon a time there was a cache.\n';
const daemon = new Daemon();
let files;  // What examples name, made once.
let bin;    // A folder with `kvcs` for PATH.
let vendor;  // The API behind the gateway's examples, and its token endpoint.
let agent;   // { token_id, token } of tenant kahuna.
let token;   // Of the session of whoever owns the daemon.

// --- the commands ---------------------------------------------------------------------------

const helpOf = (words) => execFileSync(binary, [...words, '--help'], { encoding: 'utf8' });

// Under every heading but those of options and examples, and of `kvcs --help` the doors.
function namesBelow(help) {
  const sections = help.split(/\n(?=\S[^\n]*:\n)/).filter((one) => !/^(Options|Examples|Positionals):/.test(one));
  return sections.slice(1).flatMap((one) => one.split('\n').slice(1))
    .map((line) => line.match(/^ {2}(\S+)(?: {2,}|$)/)?.[1]).filter(Boolean);
}

function linesUnder(help, heading) {
  const lines = help.split('\n');
  const at = lines.indexOf(heading);
  return at < 0 ? [] : lines.slice(at + 1);
}

// [{ words, examples }] for every command that is not a group.
function walk(words) {
  // What stands behind `help` are the other commands.
  if (words[0] === 'help' && words.length === 1) return [];
  const help = helpOf(words);
  const below = namesBelow(help);
  if (below.length) return below.flatMap((name) => walk([...words, name]));
  const examples = linesUnder(help, 'Examples:').filter((line) => /^ {2}\S/.test(line)).map((line) => line.trim());
  return [{ words, examples }];
}

const commands = walk([]);

// --- the files ------------------------------------------------------------------------------

// Keys with a mean, values without: what int4 holds well.
function writeArtifact(path) {
  const shape = [1, 1, tokens, 64];
  const size = tokens * 64 * 4;
  const header = {};
  const parts = [];
  let state = 1;
  for (const kind of ['k', 'v']) {
    for (let layer = 0; layer < 4; layer++) {
      const begin = parts.length * size;
      header[`${kind}_${layer}`] = { dtype: 'F32', shape, data_offsets: [begin, begin + size] };
      const values = Float32Array.from({ length: tokens * 64 }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return (kind === 'k' ? 3 : 0) + state / 2 ** 31 - 1;
      });
      parts.push(Buffer.from(values.buffer));
    }
  }
  const bytes = fileOf(header, ...parts);
  writeFileSync(path, bytes);
  const ids = Array.from({ length: tokens }, (_, i) => i % 97);
  writeFileSync(`${path}.json`, JSON.stringify({ model_name: 'llama-3', num_layers: 4, num_tokens: tokens,
    dtype: 'F32', storage_dtype: 'F32', nbytes: bytes.length, quantized: false, prompt: text, tokens: ids }));
  return ids;
}

function makeFiles() {
  files = join(daemon.folder, 'files');
  mkdirSync(files);
  const at = (name) => join(files, name);
  const data = (name) => join(root, 'tests/data', name);
  const run = (...args) => execFileSync(binary, args, { cwd: files, encoding: 'utf8', stdio: 'pipe' });
  const ids = writeArtifact(at('context.kv'));
  writeFileSync(at('ids.json'), JSON.stringify(ids));
  for (const name of ['text.txt', 'prompt.txt']) writeFileSync(at(name), text);
  run('quant', 'context.kv', '--output', 'small.kv');
  run('pack', 'context.kv', '--output', 'context.kvz');
  mkdirSync(at('caches'));
  for (const name of ['context.kv', 'context.kv.json']) cpSync(at(name), join(at('caches'), name));
  cpSync(data('llamacpp/v10-f16-fa-512.session.bin'), at('state.bin'));
  writeTinyModel(at('model.gguf'), 'llama', { layers: 4 });
  run('import', 'state.bin', '--from', 'llama', '--output', 'a.kv');
  cpSync(data('import/hf/dynamic_cache.safetensors'), at('cache.safetensors'));
  cpSync(data('import/mlx/prompt_cache.safetensors'), at('prompt.safetensors'));
  cpSync(data('import/vllm'), at('folder'), { recursive: true });
  writeFileSync(at('prefill.csv'), 'tokens,prefill_s\n255,0.42\n1100,1.9\n');
  const brief = ['--scheme', 'int8c', '--reps', '1', '--no-server', '--prefill-csv', 'prefill.csv'];
  run('benchmark', 'context.kv', '--output', 'bench.csv', ...brief);
  cpSync(at('bench.csv'), at('reuse.csv'));
  writeFileSync(at('key.txt'), `${daemon.credentials.api_key}\n`);
  writeFileSync(at('key'), 'sk-test-1234567890\n');
  writeFileSync(at('token'), 'secret-of-the-vendor\n');
  writeFileSync(at('keys'), 'AKIDEXAMPLE:secret-of-the-vendor\n');
  writeFileSync(at('client.json'), JSON.stringify({ auth: { client_id: 'c', client_secret: 's' } }));
  writeFileSync(at('tokens.json'), JSON.stringify({ refresh_token: 'r' }));
  writeFileSync(at('note.txt'), 'a note');
  writeFileSync(at('company-ca.pem'), 'a certificate');
  writeFileSync(at('kvcs.yaml'), readFileSync(join(root, 'kvcs.yaml.example')));
  mkdirSync(at('etc/kvcs'), { recursive: true });
  mkdirSync(at('var/lib'), { recursive: true });
  cpSync(at('kvcs.yaml'), at('etc/kvcs/kvcs.yaml'));
  writeFileSync(at('model_prices_and_context_window.json'), JSON.stringify({ 'gpt-9-mini': {
    litellm_provider: 'openai', mode: 'chat', input_cost_per_token: 1.5e-7, output_cost_per_token: 6e-7 } }));
}

// --- ids ------------------------------------------------------------------------------------

let made = 0;
async function create(path, body) {
  const answer = await daemon.admin('POST', path, body);
  assert.ok(answer.status < 300, `${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}
const newOrg = async () => (await create('/admin/organizations',
  { name: `Example ${++made}`, monthly_budget_usd: 1000 })).org_id;
const newUser = async () => (await create('/admin/users',
  { email: `person${++made}@example.com`, monthly_limit_usd: 10, org_id: await newOrg() })).user_id;
const newKey = async (user) => (await create(`/admin/users/${user}/api-keys`, { name: `key ${++made}` })).key_id;
async function newArtifact() {
  const done = await daemon.cli('upload', join(files, 'context.kv'), '--name', 'example', '--json');
  assert.equal(done.status, 0, done.stderr);
  return JSON.parse(done.stdout).artifact_id;
}

// A request whose bodies are kept: a call to a provider that answers once.
async function newRequest() {
  const provider = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o-mini',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop', logprobs: null }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
  });
  await new Promise((resolve) => provider.listen(0, '127.0.0.1', resolve));
  try {
    await daemon.admin('PUT', '/admin/ai/providers/openai', { kind: 'openai', api_key: 'sk-test-1',
      base_url: `http://127.0.0.1:${provider.address().port}` });
    const org = await newOrg();
    const logged = await daemon.cli('admin', 'org', 'update', org, '--log-bodies', 'true');
    assert.equal(logged.status, 0, logged.stderr);
    const user = await create('/admin/users', { email: 'asks@example.com', monthly_limit_usd: 10, org_id: org });
    const { api_key } = await create(`/admin/users/${user.user_id}/api-keys`, { name: 'asks' });
    const answer = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST',
      headers: { authorization: `Bearer ${api_key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }) });
    assert.equal(answer.status, 200, await answer.text());
    return answer.headers.get('x-request-id');
  } finally {
    provider.closeAllConnections();
    provider.close();
  }
}

// Tenant kahuna with an account at HubSpot, whose API and token endpoint are the vendor here.
async function setUpGateway() {
  const at = `http://127.0.0.1:${vendor.address().port}`;
  const put = async (path, body) => {
    const done = await daemon.admin('PUT', path, body);
    assert.ok(done.status < 300, `${path}: ${done.status} ${JSON.stringify(done.body)}`);
  };
  await put('/admin/providers/hubspot', { base_url: at, allow_private_addresses: true, auth: { client_id: 'c',
    client_secret: 's', token_url: `${at}/token`, authorize_url: `${at}/authorize`, revoke_url: `${at}/revoke` } });
  await put('/admin/tenants/kahuna', { name: 'Kahuna' });
  await put('/admin/tenants/kahuna/providers/hubspot/accounts/default', { access_token: 'a', refresh_token: 'r',
    expires_at: Math.floor(Date.now() / 1000) + 7200 });
  agent = await create('/admin/tenants/kahuna/tokens', { name: `agent ${++made}` });
}

// What the daily briefing proposes: here that a key which runs out is replaced.
async function newDecision() {
  await daemon.admin('PUT', '/admin/tenants/kahuna/providers/notion/accounts/old', { access_token: 'a',
    expires_at: Math.floor(Date.now() / 1000) - 60 });
  assert.equal((await daemon.cli('admin', 'jobs', '--run', 'autoresearch')).status, 0);
  for (;;) {
    const list = JSON.parse((await daemon.cli('gateway', 'decision', 'list', '--json')).stdout);
    if (list.length) return list[0].id;
  }
}

// A person on the command line, and what the examples of people name.
const own = ['org', 'project', 'member', 'key', 'edit', 'totp', 'session', 'password'];
async function person(method, path, body) {
  const answer = await fetch(daemon.url + path, { method, body: body && JSON.stringify(body),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer;
}

const ada = { email: 'ada@example.com', password: 'correct horse battery staple' };
const tokenOf = (answer) => answer.headers.get('set-cookie').match(/=(ks_[0-9a-f]+)/)[1];
const post = (path, body) => fetch(daemon.url + path, { method: 'POST', body: JSON.stringify(body),
  headers: { 'content-type': 'application/json', origin: daemon.url } });

// A second factor that is begun, or on; resolves with a code that is good next.
async function secondFactor(isOn) {
  const { secret } = await (await person('POST', '/auth/totp', { current_password: ada.password })).json();
  if (!isOn) return totpCode(secret);
  const { recovery_codes: codes } = await (await person('POST', '/auth/totp/confirm', { code: totpCode(secret) })).json();
  return codes[0];
}

// Organization acme anew, with Grace in the active one; for `restore` on its way out.
async function setUpOwn(words) {
  for (const slug of ['acme', 'acme-research', 'new-lab']) {
    const { organizations } = await (await person('GET', '/api/v1/organizations')).json();
    const there = organizations.find((one) => one.slug === slug);
    if (there) await person('DELETE', `/api/v1/organizations/${there.organization_id}?force=true`);
  }
  const acme = await (await person('POST', '/api/v1/organizations', { name: 'Acme', slug: 'acme' })).json();
  await person('PATCH', '/api/v1/me', { organization_id: daemon.credentials.organization_id,
    project_id: daemon.credentials.project_id });
  if (words[1] === 'restore') await person('DELETE', `/api/v1/organizations/${acme.organization_id}`);
  if (words[1] === 'resend' || words[1] === 'withdraw') {
    // One alone has the name.
    const { invitations } = await (await person('GET', '/api/v1/invitations')).json();
    for (const one of invitations) {
      if (one.email === 'new@example.com') await person('DELETE', `/api/v1/invitations/${one.invitation_id}`);
    }
    await person('POST', '/api/v1/invitations', { role: 'member', email: 'new@example.com' });
  }
  if (words[0] !== 'member') return;
  const invited = await (await person('POST', '/api/v1/invitations', { role: 'member' })).json();
  const grace = { email: 'grace@example.com', password: 'correct horse battery staple' };
  const send = (path, body, more) => fetch(daemon.url + path, { method: 'POST', body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', origin: daemon.url, ...more } });
  if ((await send('/auth/register', { ...grace, token: invited.token })).ok) return;
  const cookie = (await send('/auth/login', grace)).headers.get('set-cookie');
  await send('/api/v1/invitations/accept', { token: invited.token },
    { authorization: `Bearer ${cookie.match(/=(ks_[0-9a-f]+)/)[1]}` });
}

// The ids of examples stand for a thing of the command's kind; each example gets its own.
async function realIds(words, line) {
  if (line.includes(kRequestId)) return line.replaceAll(kRequestId, await newRequest());
  if (line.includes(kDecisionId)) return line.replaceAll(kDecisionId, await newDecision());
  if (words[0] === 'gateway') return line.replaceAll(kKeyId, agent.token_id);
  if (words[0] === 'key' && line.includes(kKeyId)) {
    return line.replaceAll(kKeyId, (await (await person('POST', '/api/v1/api-keys', { name: 'k' })).json()).id);
  }
  if (words[0] === 'totp' && line.includes('--code')) return line.replace('123456', await secondFactor(words[1] === 'off'));
  if (words.join(' ') === 'session end') return line.replace(kId, (await (await post('/auth/login', ada)).json()).session_id);
  if (line.includes('/share/TOKEN')) {
    const shared = await daemon.cli('share', 'create', await newArtifact(), '-q');
    return line.replace('https://kvcs.example.com/share/TOKEN', shared.stdout.trim());
  }
  if (words.join(' ') === 'share delete') {
    const artifact = await newArtifact();
    const made = await daemon.cli('share', 'create', artifact, '--json');
    return line.replaceAll(kId, artifact).replace(/[0-9a-f-]{36}$/, JSON.parse(made.stdout).share_id);
  }
  if (!line.includes(kId) && !line.includes(kKeyId)) return line;
  const command = words.join(' ');
  if (!command.startsWith('admin ')) return line.replaceAll(kId, await newArtifact());
  if (/^admin (org|provider) /.test(command) || line.includes(`--org ${kId}`)) return line.replaceAll(kId, await newOrg());
  const user = await newUser();
  return line.replaceAll(kId, user).replaceAll(kKeyId, await newKey(user));
}

// --- running --------------------------------------------------------------------------------

function environment(folder) {
  return { PATH: `${bin}:${process.env.PATH}`, HOME: folder, XDG_CONFIG_HOME: join(folder, '.config'),
    KVCS_API_URL: daemon.url, KVCS_API_KEY: daemon.credentials.api_key, KVCS_ADMIN_KEY: daemon.credentials.admin_key,
    KVCS_GATEWAY_TOKEN: agent?.token ?? '', OPENAI_API_KEY: 'sk-test-1234567890', ANTHROPIC_API_KEY: 'sk-test-1234567890', KVCS_DATA_DIR: join(folder, 'data') };
}

// Files, told by their ending; prices have an --output too.
const outputsOf = (line) => [...line.matchAll(/(?:-o|--output|--out|>) (\S+\.[a-z]\S*)/g)].map((found) => found[1]);

// What an example writes must not lie there before; what it reads must.
function prepare(words, line) {
  const folder = mkdtempSync(join(daemon.folder, 'example-'));
  cpSync(files, folder, { recursive: true });
  if (words[0] === 'import') cpSync(join(root, 'tests/data/import/tokens.json'), join(folder, 'ids.json'));
  for (const name of outputsOf(line)) {
    rmSync(join(folder, name), { force: true });
    rmSync(join(folder, `${name}.json`), { force: true });
  }
  return folder;
}

const allowed = new Set();

function shell(line, folder, more = {}) {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', line], { cwd: folder, env: { ...environment(folder), ...more }, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let error = '';
    child.stdout.on('data', (chunk) => { out += chunk; });
    child.stderr.on('data', (chunk) => {
      error += chunk;
      // A daemon that is ready has shown what it can; it is asked to end.
      if (/"event":"server.ready"/.test(error)) child.kill('SIGTERM');
      // A device that shows its code is let in.
      const code = error.match(/code ([A-Z]{4}-[A-Z]{4})\n/)?.[1];
      if (code && !allowed.has(code)) {
        allowed.add(code);
        person('POST', `/auth/device/${code}`, { allow: true });
      }
    });
    child.stdin.on('error', () => {});
    child.stdin.end();
    child.on('exit', (status) => resolve({ status, out, error }));
  });
}

async function runExample(words, example) {
  if (words[0] === 'gateway') await setUpGateway();
  if (own.includes(words[0])) await setUpOwn(words);
  const real = await realIds(words, example);
  await needs[words.join(' ')]?.(real);
  const line = real
    .replace('http://127.0.0.1:8080', daemon.url).replace('https://kvcs.example.com', daemon.url).replace('/etc/kvcs/', 'etc/kvcs/').replace('/var/lib/kvcs', 'var/lib/kvcs').replace('0.0.0.0:8080', '127.0.0.1:0');
  const folder = prepare(words, line);
  if (words[0] === 'password') {
    writeFileSync(join(folder, 'passwords.txt'), `${ada.password}\nanother violin under clouds\n`);
  }
  const session = own.includes(words[0]) ? { KVCS_TOKEN: token } : {};
  // A directory that a daemon has used, and a database in it that is damaged.
  if (words[0] === 'repair') {
    await shell('KVCS_HTTP_LISTEN=127.0.0.1:0 exec kvcs serve --data-dir data', folder);
    writeFileSync(join(folder, 'data/sql/ledger.db'), 'This is no database.');
  }
  if (words[0] === 'server') assert.equal((await shell('kvcs login --no-browser', folder)).status, 0);
  // A daemon is its shell's own process, so that the signal reaches it.
  const serves = words[0] === 'serve';
  // The password is asked for, and nobody types it.
  const answered = words[0] === 'totp' ? `echo '${ada.password}' | ${line}` : line;
  const typed = serves ? `KVCS_HTTP_LISTEN=127.0.0.1:0 exec ${line}` : answered;
  const done = await shell(typed, folder, session);
  assert.equal(done.status, 0, `${line}\n${done.out}${done.error}`);
  await undo[words.join(' ')]?.(done);
  for (const name of outputsOf(line)) {
    assert.ok(existsSync(join(folder, name)), `${line}: ${name} is not there`);
  }
  rmSync(folder, { recursive: true, force: true });
}

// What an example leaves behind that others do not expect.
const undo = {
  // The recovery codes end the output; none are shown where nobody types the app's code.
  'totp on': async ({ out }) => {
    const code = out.trim().split('\n').at(-1);
    const proof = { current_password: ada.password, code };
    if (!out.includes('otpauth://')) assert.equal((await person('DELETE', '/auth/totp', proof)).status, 204);
  },
  password: async () => {
    token = tokenOf(await post('/auth/login', { ...ada, password: 'another violin under clouds' }));
    const back = { current_password: 'another violin under clouds', new_password: ada.password };
    token = tokenOf(await person('POST', '/auth/password', back));
  },
};

// What the examples take for granted on the server.
const needs = {
  'kv delete': () => daemon.cli('kv', 'put', 'note:1', 'x', '--family', 'system'),
  'admin prices delete': () => daemon.cli('admin', 'prices', 'set', 'local/llama', '--input', '0.1', '--output', '0.1'),
  'admin provider get': () => daemon.admin('PUT', '/admin/ai/providers/openai', { kind: 'openai', api_key: 'sk-test-1' }),
  'admin provider delete': () => daemon.admin('PUT', '/admin/ai/providers/local',
    { kind: 'openai_compatible', base_url: 'http://127.0.0.1:1/v1' }),
  'admin provider delete-key': async (line) => {
    const [org] = line.match(/[0-9a-f-]{36}/);
    const set = await daemon.admin('PUT', `/admin/organizations/${org}/ai-credentials/openai`, { api_key: 'sk-own' });
    assert.ok(set.status < 300, JSON.stringify(set.body));
  },
  'gateway schedule remove': () => daemon.cli('gateway', 'schedule', 'add', 'kahuna', 'pipeline-review',
    '--agent', 'sales', '--message', 'Which deals have not moved?'),
  'kv import': async () => {
    const done = await daemon.cli('kv', 'export', '-o', join(files, 'backup.json'));
    assert.equal(done.status, 0, done.stderr);
  },
};

// What the vendor answers by path; Stripe's paths are among them.
const answers = {
  '/token': { access_token: 'b', refresh_token: 's', expires_in: 7200, token_type: 'bearer' },
  '/v1/customers': { id: 'cus_1', object: 'customer' },
  '/v1/subscriptions': { object: 'list', data: [] },
  '/v1/checkout/sessions': { id: 'cs_1', url: 'https://checkout.stripe.com/cs_1', status: 'open' },
};

before(async () => {
  vendor = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answers[request.url.split('?')[0]]
      ?? { results: [{ id: '1', properties: { email: 'ada@example.com' } }] }));
  });
  await new Promise((resolve) => vendor.listen(0, '127.0.0.1', resolve));
  const plans = join(daemon.folder, 'plans.yaml');
  writeFileSync(plans, 'plans:\n  default: {}\n  pro: {stripe_prices: [price_pro]}\n');
  Object.assign(daemon.env, { STRIPE_SECRET_KEY: 'sk_test_51kvcs', STRIPE_WEBHOOK_SECRET: 'whsec_3f1d0a2b',
    KVCS_BILLING_STRIPE_URL: `http://127.0.0.1:${vendor.address().port}`, KVCS_PLANS_FILE: plans });
  await daemon.start();
  token = (await daemon.setUp()).token;
  bin = join(daemon.folder, 'bin');
  mkdirSync(bin);
  symlinkSync(binary, join(bin, 'kvcs'));
  makeFiles();
});

after(async () => {
  if (daemon.process) await daemon.stop();
  daemon.remove();
  vendor?.closeAllConnections();
  vendor?.close();
});

test('every command is found and has an example', () => {
  assert.ok(commands.length > 50, `only ${commands.length} commands`);
  for (const { words, examples } of commands) {
    assert.ok(examples.length > 0, `kvcs ${words.join(' ')} has no example`);
    for (const line of examples) assert.ok(line.includes(`kvcs ${words.join(' ')}`), line);
  }
});

for (const { words, examples } of commands) {
  for (const example of examples) {
    test(example, () => runExample(words, example));
  }
}
