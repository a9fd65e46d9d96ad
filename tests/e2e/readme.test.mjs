// Goal: README.md is true as printed. Method: its `sh` blocks run in order in one bash with `set -e`,
// in a fresh clone, against a real daemon; answers shown in comments are compared with those that
// come; its `js` block runs with the official SDKs; what its table of troubles shows is made to
// happen. Ports that README fixes become free ones, and OpenAI and Anthropic become a server here.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { binary, Daemon, root } from './daemon.mjs';

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const makefile = readFileSync(join(root, 'Makefile'), 'utf8');

// Statements that cannot run inside a test as they are printed. All others run.
const instead = {
  'make run': ': # The daemon of this test is that of `make run`, with its arguments.',
  'make test': ': # This is a part of it.',
  // It needs root and changes the machine; packaging.test.mjs builds and reads the package.
  'make deb && sudo apt install ./build/kvcs_*.deb': ':',
  // It serves until a signal comes: here until it has shown the same artifacts as the original.
  'kvcs serve --data-dir restored --listen 127.0.0.1:8081': `
    coproc RESTORED { exec kvcs serve --data-dir restored --listen 127.0.0.1:0 2>&1; }
    restored_pid=$RESTORED_PID restored_url=
    while [ -z "$restored_url" ] && read -r line <&"\${RESTORED[0]}"; do
      restored_url=$(echo "$line" | sed -n 's/.*"event":"server.ready","url":"\\([^"]*\\)".*/\\1/p')
    done
    [ "$(KVCS_API_URL=$restored_url kvcs list --format ids)" = "$(kvcs list --format ids)" ]
    kill -TERM "$restored_pid"
    wait "$restored_pid"`,
};

const daemon = new Daemon({ KVCS_BACKUP_DIRECTORY: 'backups' });  // As README starts it for backups.
const answers = {
  '/chat/completions': { id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o-mini',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop', logprobs: null }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
  '/messages': { id: 'm', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_reason: 'end_turn',
    content: [{ type: 'text', text: 'Hi too' }], usage: { input_tokens: 1, output_tokens: 1 } },
};
const provider = createServer((request, response) => {
  request.resume();
  const found = Object.keys(answers).find((path) => request.url.endsWith(path));
  response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answers[found] ?? { error: request.url }));
});

const listen = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
async function freePort() {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// --- reading ----------------------------------------------------------------------------------

const blocks = (language) =>
  [...readme.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].filter((one) => one[1] === language).map((one) => one[2]);

const isWhole = (text) => !/\\$/.test(text) && spawnSync('bash', ['-n', '-c', text]).status === 0;
const bare = (statement) => statement.replace(/ +# .*$/, '').trim();

// [{ text, shows }]: each statement, and the JSON that the comment behind it says it prints.
function statements(block) {
  const all = [];
  let text = '';
  for (const line of block.split('\n')) {
    if (text === '' && line.startsWith('#')) {
      const last = all[all.length - 1];
      last.comment = (last.comment ?? '') + line.slice(1);
      continue;
    }
    text += (text && '\n') + line;
    if (text.trim() === '' || !isWhole(text)) continue;
    all.push({ text });
    text = '';
  }
  assert.equal(text.trim(), '', 'a block ends within a statement');
  for (const one of all) one.shows = shownJson(one.comment);
  return all;
}

// The object that a comment begins with; what follows it is said about it.
function shownJson(comment = '') {
  if (!/^ *\{/.test(comment)) return undefined;
  for (let end = comment.indexOf('}'); end >= 0; end = comment.indexOf('}', end + 1)) {
    try {
      return JSON.parse(comment.slice(0, end + 1));
    } catch {
      // An inner brace; go on to the next.
    }
  }
  throw new Error(`no JSON: ${comment}`);
}

// "…" stands for a text of any kind.
function compareShape(shown, real, path) {
  if (shown === '…') {
    assert.ok(typeof real === 'string' && real.length > 0, `${path}: ${JSON.stringify(real)}`);
  } else if (shown !== null && typeof shown === 'object') {
    assert.deepEqual(Object.keys(real ?? {}), Object.keys(shown), path);
    for (const [name, value] of Object.entries(shown)) compareShape(value, real[name], `${path}.${name}`);
  } else {
    assert.equal(real, shown, path);
  }
}

// --- running ----------------------------------------------------------------------------------

const kShellMs = 300_000;  // Then the shell is ended, so that a statement that waits forever is told.
const kMark = '\x1e';  // Before the number of a statement, in both streams.
const mark = (number) => `printf '${kMark}${number}\\n'; printf '${kMark}${number}\\n' >&2`;

// Statements as one script. A variable that a statement takes from another program is not empty,
// and a server that it leaves behind listens before the next one runs.
function script(all, ports) {
  const lines = ['set -euo pipefail', "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"];
  all.forEach(({ text }, number) => {
    lines.push(mark(number));
    lines.push(instead[bare(text)] ?? text);
    for (const [, name] of text.matchAll(/\b(\w+)=\$\(/g)) lines.push(`[ -n "$${name}" ]`);
    if (/&$/.test(bare(text))) lines.push(`node "$PWD/wait.mjs" ${ports[9000]}`);
  });
  lines.push(mark(all.length), 'node tests/e2e/sdk.mjs');
  let typed = lines.join('\n');
  for (const [printed, port] of Object.entries(ports)) typed = typed.replaceAll(printed, port);
  for (const kind of ['openai', 'anthropic']) {
    const shown = `\\"kind\\":\\"${kind}\\"`;
    assert.ok(typed.includes(shown), `README no longer makes the provider ${kind}`);
    typed = typed.replace(shown, `${shown},\\"base_url\\":\\"http://127.0.0.1:${provider.address().port}\\"`);
  }
  return typed;
}

function run(file) {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, HOME: daemon.folder, LANG: 'C.UTF-8' };
    const child = spawn('bash', [file], { cwd: daemon.folder, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: kShellMs });
    const seen = { out: '', error: '' };
    child.stdout.on('data', (chunk) => { seen.out += chunk; });
    child.stderr.on('data', (chunk) => { seen.error += chunk; });
    child.on('close', (status) => resolve({ status, ...seen }));
  });
}

const byStatement = (stream) => stream.split(kMark).slice(1).map((part) => part.slice(part.indexOf('\n') + 1));

before(async () => {
  await listen(provider);
  const env = { ...process.env, GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };
  execFileSync('git', ['clone', '--quiet', '--local', root, daemon.folder], { env, stdio: 'pipe' });
  mkdirSync(join(daemon.folder, 'build'));
  symlinkSync(dirname(binary), join(daemon.folder, 'build/release'));
  rmSync(join(daemon.folder, 'tests/e2e/node_modules'), { recursive: true, force: true });
  symlinkSync(join(root, 'tests/e2e/node_modules'), join(daemon.folder, 'tests/e2e/node_modules'));
  await daemon.start();
});

after(async () => {
  if (daemon.process) await daemon.stop();
  daemon.remove();
  provider.closeAllConnections();
  provider.close();
});

test('every sh block runs as printed, in one shell, and prints what it says', { timeout: 600_000 }, async () => {
  assert.match(makefile, /^RUN_ARGS \?= serve --data-dir data$/m, 'what `make run` starts');
  const all = blocks('sh').flatMap(statements);
  for (const text of Object.keys(instead)) {
    assert.ok(all.some((one) => bare(one.text) === text), `README no longer says: ${text}`);
  }
  const ports = { 8080: daemon.port, 9000: await freePort() };
  const js = blocks('js');
  assert.equal(js.length, 1);
  const hello = "[{ role: 'user', content: 'Hello' }]";
  writeFileSync(join(daemon.folder, 'tests/e2e/sdk.mjs'), `${js[0].replaceAll('8080', daemon.port)}
const said = await openai.chat.completions.create({ model: 'gpt-4o-mini', messages: ${hello} });
const more = await anthropic.messages.create({ model: 'claude-haiku-4-5', max_tokens: 9, messages: ${hello} });
console.log(said.choices[0].message.content, more.content[0].text);
`);
  writeFileSync(join(daemon.folder, 'wait.mjs'), `import { connect } from 'node:net';
const end = Date.now() + 60_000;
const attempt = () => connect(Number(process.argv[2]), '127.0.0.1').on('connect', function () { this.destroy(); })
  .on('error', () => (Date.now() < end ? setImmediate(attempt) : process.exit(1)));
attempt();
`);
  const file = join(daemon.folder, 'readme.sh');
  writeFileSync(file, script(all, ports));
  const done = await run(file);
  const printed = byStatement(done.out), complained = byStatement(done.error);
  const last = printed.length - 1;
  const where = last < all.length ? all[last]?.text : 'the js block';
  assert.equal(done.status, 0, `${where}\n${printed[last]}${complained[last] ?? done.error}`);
  assert.equal(printed.length, all.length + 1);
  all.forEach(({ text, shows }, number) => {
    const out = printed[number].trim();
    // curl ends with 0 whatever the status is.
    assert.doesNotMatch(out, /^\{"error"/, text);
    if (shows) compareShape(shows, JSON.parse(out), text);
  });
  assert.equal(printed[all.length], 'Hi Hi too\n');
  assert.ok(all.filter((one) => one.shows).length >= 2, 'README shows answers');
});

// --- troubles ---------------------------------------------------------------------------------

function rowsBelow(heading) {
  const lines = readme.split('\n');
  const rows = [];
  for (let at = lines.indexOf(heading) + 2; lines[at]?.startsWith('|'); at++) rows.push(lines[at].split('|').slice(1, -1).map((cell) => cell.trim()));
  assert.ok(rows.length > 0, heading);
  return rows;
}

// `…` in a printed text stands for anything.
function pattern(cell) {
  const text = cell.match(/`([^`]+)`/)[1];
  return new RegExp(text.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+'));
}
const serve = (data, listen, env = {}) =>
  spawnSync(binary, ['serve', '--data-dir', data, '--listen', listen],
    { encoding: 'utf8', timeout: 60_000, env: { ...process.env, ...env } });

// What a fresh user with this limit is told of a request to the AI gateway.
async function refusal(path, body, limit = 5) {
  const url = `http://127.0.0.1:${provider.address().port}`;
  await daemon.admin('PUT', '/admin/ai/providers/openai', { kind: 'openai', base_url: url, api_key: 'sk-1' });
  const { user_id: user } = (await daemon.admin('POST', '/admin/users', { email: `u${limit}@example.com${path}`.replaceAll('/', ''),
    monthly_limit_usd: limit, org_id: daemon.credentials.organization_id })).body;
  const { api_key: key } = (await daemon.admin('POST', `/admin/users/${user}/api-keys`, { name: 'k' })).body;
  const response = await fetch(daemon.url + path, { method: 'POST', body: JSON.stringify(body),
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' } });
  return { status: response.status, error: (await response.json()).error };
}
const question = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] };

// What needs a disk that hangs or a record of another version happens in a case of C++.
const happensIn = (file, name) => () =>
  assert.ok(readFileSync(join(root, file), 'utf8').includes(`TEST_CASE("${name}`), `${file}: ${name}`);

const troubles = {
  '`signed by an authority that is not trusted here`': happensIn('tests/http/client/fetch_test.cc',
    'fetch: why a server is not trusted, and the way out'),
  '`has moved to …`': happensIn('tests/cli/api_client_test.cc',
    'api client: a server that has moved is told, and the key stays'),
  'uploads refused with 429, `disk_share`': happensIn('tests/blob/file_blob_test.cc',
    'the uploads of one owner hold no more than their share of the free disk'),
  '`watchdog.stuck` in the log, `/health` says `unhealthy` and `stuck`': happensIn('tests/app/watchdog_test.cc',
    'watchdog: systemd is fed until a disk holds a writer, and again when it comes back'),
  'the alert `kv.damaged`, `/health` says `kv: degraded`': happensIn('tests/app/kv_files_test.cc',
    'kv files: damage in a table is told, and repair keeps what can be read'),
  'the alert `db.damaged`, `/health` says `portal.db: degraded` or `ledger.db: degraded`': happensIn(
    'tests/app/db_damage_test.cc', 'db damage: a page that is met by a write is told at once'),
  '`The folder of the blobs, …, is not the one that it was`, or `The blobs in … belong to another data directory, or their mark is damaged`':
    (cell) => {
      const data = join(daemon.folder, 'unmounted');
      const begun = spawn(binary, ['serve', '--data-dir', data, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'ignore', 'pipe'] });
      return new Promise((resolve) => begun.stderr.on('data', (chunk) => {
        if (String(chunk).includes('server.ready')) begun.kill('SIGTERM');
      }).on('close', resolve)).then(() => {
        rmSync(join(data, 'blobs/store.json'));
        const refused = serve(data, '127.0.0.1:0');
        assert.equal(refused.status, 1);
        assert.match(refused.stderr, pattern(cell));
        const accepted = spawnSync(binary, ['repair', '--data-dir', data, '--accept', 'blobs', '--yes'], { encoding: 'utf8' });
        assert.equal(accepted.status, 0, accepted.stderr);
      });
    },
  'the alert `upload.damaged`, `/health` says `blobs: degraded`': happensIn('tests/app/staged_damage_test.cc',
    'uploads: bytes that were acknowledged and are gone are told everywhere'),
  'the alert `deletion.taken_back`': happensIn('tests/app/deletion_recall_test.cc',
    'recall: a project that is marked though no deletion is known is there again'),
  'the alert `tls.expiring`, `/health` says `degraded`': happensIn('tests/app/certificate_watch_test.cc',
    'certificate: one that ends soon is told'),
  'the alert `ledger.dead` or `ledger.dead_full`': happensIn('tests/ledger/outbox_test.cc',
    'outbox: what has no place in outbox_dead stays, is told of, and holds up nothing'),
  '`The data directory … is in use by process …`': (cell) =>
    assert.match(serve(daemon.data, '127.0.0.1:0').stderr, pattern(cell)),
  '`The address … is in use`': (cell) =>
    assert.match(serve(join(daemon.folder, 'second'), `127.0.0.1:${daemon.port}`).stderr, pattern(cell)),
  '401 from everything': async () => {
    for (const headers of [{}, { authorization: 'Bearer kv_wrong' }]) {
      for (const path of ['/api/v1/artifacts', '/admin/organizations', '/v1/models']) {
        assert.equal((await fetch(daemon.url + path, { headers })).status, 401, path);
      }
    }
    assert.equal((await daemon.cli('whoami')).status, 0);
  },
  'uploads refused with 503 or 507': async () => {
    const full = new Daemon({ KVCS_BLOBS_FREE_RESERVE_BYTES: String(2 ** 52) });
    try {
      await full.start();
      const place = await full.api('POST', '/api/v1/artifacts/upload-url',
        { name: 'a', dtype: 'F16', size_bytes: 1000, sha256: '0'.repeat(64) });
      const status = place.status === 200 || place.status === 201
        ? (await fetch(place.body.url, { method: 'PUT', body: 'x'.repeat(1000) })).status : place.status;
      assert.ok(status === 503 || status === 507, String(status));
    } finally {
      if (full.process) await full.stop();
      full.remove();
    }
  },
  '`The disk of the data directory is full`, with 503 or at a first start': (cell) =>
    assert.match(serve(join(daemon.folder, 'full'), '127.0.0.1:0',
      { KVCS_KV_FREE_RESERVE_BYTES: String(2 ** 52) }).stderr, pattern(cell)),
  '`The key-value store in … is damaged`': async (cell) => {
    const damaged = new Daemon();
    try {
      await damaged.start();
      await damaged.stop();
      writeFileSync(join(damaged.data, 'kv', 'CURRENT'), '');
      assert.match(serve(damaged.data, '127.0.0.1:0').stderr, pattern(cell));
    } finally {
      damaged.remove();
    }
  },
  '`Not reachable` on the dashboard': async (cell) => {
    const page = await (await fetch(daemon.url)).text();
    if (/WEB=0/.test(page)) return;  // A binary without its pages.
    const scripts = [...page.matchAll(/(?:src|href)="([^"]+\.js)"/g)].map((one) => one[1]);
    const code = await Promise.all(scripts.map(async (path) => (await fetch(new URL(path, daemon.url))).text()));
    assert.match(code.join('\n'), pattern(cell));
  },
  '`The monthly budget of this … does not cover the request`': async (cell) => {
    const told = await refusal('/v1/chat/completions', question, 0.00001);
    assert.equal(told.status, 429);
    assert.match(told.error.message, pattern(cell));
  },
  '`No AI budget is set for this …`': async (cell) => {
    const told = await refusal('/v1/chat/completions', question, 0);
    assert.equal(told.status, 429);
    assert.match(told.error.message, pattern(cell));
  },
  "`The request asks for …, for which the price of '…' has no member`": async (cell) => {
    const told = await refusal('/v1/chat/completions', { ...question, service_tier: 'flex' });
    assert.equal(told.status, 400);
    assert.equal(told.error.code, 'dimension_not_priced');
    assert.match(told.error.message, pattern(cell));
  },
  '`brings into the input cannot be bounded before it is sent`': async (cell) => {
    await daemon.admin('PUT', '/admin/ai/prices/openai/own', { input_cost_per_token: 1e-6, output_cost_per_token: 1e-6 });
    const told = await refusal('/v1/responses', { model: 'openai/own', previous_response_id: 'r', input: 'Hello' });
    assert.equal(told.status, 400);
    assert.equal(told.error.code, 'input_not_bounded');
    assert.match(told.error.message, pattern(cell));
  },
  '`WebSockets are not spoken here`': async (cell) => {
    const answer = await daemon.raw(['GET /v1/responses HTTP/1.1', 'host: x', 'connection: upgrade', 'upgrade: websocket']);
    assert.match(answer, /^HTTP\/1.1 426 /);
    assert.match(answer, pattern(cell));
  },
  '`fatal error: …: No such file or directory`': (cell) => {
    const done = spawnSync('g++', ['-x', 'c++', '-fsyntax-only', '-'],
      { input: '#include <no/such/library.h>\n', encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
    assert.match(done.stderr, pattern(cell));
  },
  '`deps: npm ci in web/`, then an error of npm\'s': (cell) => {
    const tools = mkdtempSync(join(tmpdir(), 'kvcs-tools-'));
    try {
      const say = (name, text) => {
        writeFileSync(join(tools, name), `#!/bin/sh\n${text}\n`);
        chmodSync(join(tools, name), 0o755);
      };
      say('dpkg-query', 'echo install ok installed');
      say('npm', 'echo npm error: no network >&2; exit 1');
      const env = { ...process.env, PATH: `${tools}:${process.env.PATH}`, MAKEFLAGS: '' };
      const make = (...more) => spawnSync('make', ['-s', 'deps-run', ...more], { cwd: daemon.folder, encoding: 'utf8', env });
      const failed = make();
      assert.notEqual(failed.status, 0);
      assert.match(failed.stdout, pattern(cell));
      const done = make('WEB=0');
      assert.equal(done.status, 0, done.stderr);
      assert.equal(done.stdout, '');
    } finally {
      rmSync(tools, { recursive: true, force: true });
    }
  },
};

for (const [cell] of rowsBelow('| you see | it means | do |')) {
  test(`trouble: ${cell}`, { timeout: 120_000 }, () => {
    assert.ok(troubles[cell], 'no test makes it happen');
    return troubles[cell](cell);
  });
}

// --- lists ------------------------------------------------------------------------------------

test('the table of packages is what deps.sh installs', () => {
  const listed = execFileSync(join(root, 'packaging/deps.sh'), ['list'], { encoding: 'utf8' }).trim().split('\n').sort();
  const shown = rowsBelow('| package | what for | why this one |').flatMap(([names]) => names.split(', ')).sort();
  assert.deepEqual(shown, listed);
});

test('every target of make that is named exists', () => {
  const files = ['README.md', 'CONTRIBUTING.md'].filter((name) => existsSync(join(root, name)));
  assert.equal(files.length, 2);
  for (const name of files) {
    const text = readFileSync(join(root, name), 'utf8');
    const code = [...text.matchAll(/`([^`\n]+)`|^```sh\n([^]*?)^```$/gm)].map((one) => one[1] ?? one[2]).join('\n');
    for (const [, target] of code.matchAll(/\bmake (?:-j\d+ |[A-Z_]+=\S+ )*([a-z][a-z0-9_./]*)/g)) {
      if (target.startsWith('build/')) continue;
      assert.match(makefile, new RegExp(`^(?:[a-z0-9 _.-]+ )?${target.replaceAll('.', '\\.')}(?: [a-z0-9 _.-]+)?:`, 'm'), `${name}: make ${target}`);
    }
  }
});

test('the compilation database quotes what JSON must', () => {
  const files = ['src/main.cc', 'tests/main.cc'];
  const made = JSON.parse(execFileSync(join(root, 'packaging/compile_commands.sh'), ['g++ -DX=\'"a\\b"\'', ...files], { encoding: 'utf8' }));
  assert.deepEqual(made.map((one) => one.file), files);
  assert.equal(made[0].command, 'g++ -DX=\'"a\\b"\' -c src/main.cc');
  assert.equal(made[1].command, 'g++ -DX=\'"a\\b"\' -Itests -c tests/main.cc');
  assert.equal(made[0].directory, root);
});
