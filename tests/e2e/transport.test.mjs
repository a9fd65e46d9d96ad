// Goal: a transfer of the command line ends whatever one request of it meets on the way, over private
// authorities and through proxies too, and no key reaches a server that it is not for. Method: the real
// binary behind a relay that fails each request once in each way, a proxy, and servers that only listen.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, watch, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { each, isWhole, kNoLimits, sha256 } from './chance.mjs';
import { makeCertificate } from './certificate.mjs';
import { Daemon, withDaemon } from './daemon.mjs';
import { FaultRelay, ForwardProxy, ways } from './fault_relay.mjs';
import { kvFile } from './kv_file.mjs';

// Transfers at a time: each waits half a second for its second attempt.
const kAtOnce = 8;
const kStatuses = [408, 425, 429, 500, 502, 503, 504];

const unlimited = (run) => withDaemon(run, kNoLimits);

async function withRelay(daemon, faults, run) {
  const relay = await new FaultRelay(daemon, faults).start();
  try {
    return await run(relay, (...args) => daemon.cliWith({ env: { KVCS_API_URL: relay.url } }, ...args));
  } finally {
    await relay.stop();
  }
}

const readyOnes = async (daemon, name) =>
  (await daemon.api('GET', '/api/v1/artifacts?limit=1000')).body.artifacts
    .filter((one) => one.name === name && one.status === 'ready');

test('transport: each request of an upload may fail once in each way', async () => {
  await unlimited(async (daemon) => {
    const requests = [['POST', /upload-url$/], ['PUT', /^\/blobs\//], ['POST', /confirm-upload$/],
      ['GET', /^\/api\/v1\/artifacts\/[0-9a-f-]+\?/]];
    const rows = requests.flatMap(([method, path]) =>
      [...ways.filter((way) => way !== 'cut body' || method !== 'PUT'), ...kStatuses]
        .map((way) => ({ method, path, way, headers: way === 429 ? { 'retry-after': '1' } : {} })));
    await each(rows.entries(), async ([number, fault]) => {
      const name = `artifact ${number}`, file = join(daemon.folder, `${number}.kv`);
      const what = `${fault.method} ${fault.path} ${fault.way}`;
      writeFileSync(file, kvFile(20_000, number));
      await withRelay(daemon, [fault], async (relay, kvcs) => {
        const done = await kvcs('upload', file, '--name', name, '--json');
        assert.equal(done.status, 0, `${what}: ${done.stderr}`);
        assert.equal(relay.faults[0].times, 0, what);
        const ready = await readyOnes(daemon, name);
        assert.equal(ready.length, 1, what);
        assert.equal(ready[0].sha256, sha256(readFileSync(file)), what);
      });
    }, kAtOnce);
  });
});

test('transport: each request of a download may fail once in each way', async () => {
  await unlimited(async (daemon) => {
    const bytes = kvFile(200_000, 1);
    writeFileSync(join(daemon.folder, 'whole.kv'), bytes);
    const id = JSON.parse((await daemon.cli('upload', 'whole.kv', '--json')).stdout).artifact_id;
    const requests = [['GET', /^\/api\/v1\/artifacts\//], ['GET', /^\/blobs\//]];
    const rows = requests.flatMap(([method, path]) => [...ways, ...kStatuses].map((way) => ({ method, path, way })));
    // A server that has lost what is behind the offset, after half of it has come.
    rows.push({ method: 'GET', path: /^\/blobs\//, way: 'cut body', then: 416 });
    await each(rows.entries(), async ([number, fault]) => {
      const target = join(daemon.folder, `${number}.kv`), what = `${fault.path} ${fault.way} ${fault.then ?? ''}`;
      const faults = fault.then ? [fault, { ...fault, way: fault.then }] : [fault];
      await withRelay(daemon, faults, async (relay, kvcs) => {
        const done = await kvcs('download', id, '-o', target);
        assert.equal(done.status, 0, `${what}: ${done.stderr}`);
        assert.ok(relay.faults.every(({ times }) => times === 0), what);
        assert.ok(readFileSync(target).equals(bytes), what);
      });
    }, kAtOnce);
    assert.deepEqual(readdirSync(daemon.folder).filter((name) => name.endsWith('.part')), []);
  });
});

// Transfers that meet one fault at each of these requests, in one way after the other: behind each fault they
// wait for half a second.
const kSomeWays = ['reset', 'cut body', 429, 503];
const eachWay = (requests, run) => each((isWhole ? [...ways, ...kStatuses] : kSomeWays).entries(), async ([number, way]) => {
  const faults = requests.map((request) => ({ ...request, way }));
  await run({ number, way, faults });
}, 4);

test('transport: each request of a large upload may fail once in each way', async () => {
  const parts = /^\/api\/v1\/uploads\//, all = /^\/api\/v1\/uploads$/;
  const concat = (begin) => (headers) => (headers['upload-concat'] ?? '').startsWith(begin);
  // Whether the bytes are there, a place of each part, how far one is, its bytes, and all of them put together.
  const requests = [{ method: 'POST', path: all, asks: (headers) => headers['upload-have'] !== undefined },
    { method: 'POST', path: all, asks: concat('partial') }, { method: 'HEAD', path: parts },
    { method: 'PATCH', path: parts }, { method: 'POST', path: all, asks: concat('final') }];
  await unlimited(async (daemon) => {
    let stored = 0;
    await eachWay(requests, async ({ number, way, faults }) => {
      const file = join(daemon.folder, `large${number}.kv`), bytes = kvFile(65 << 20, number);
      writeFileSync(file, bytes);
      await withRelay(daemon, faults, async (relay) => {
        // By a name that does not say that it is this machine's, so that there are several parts.
        const env = { KVCS_API_URL: relay.url.replace('127.0.0.1', '0.0.0.0') };
        const done = await daemon.cliWith({ env }, 'upload', file, '--json');
        assert.equal(done.status, 0, `${way}: ${done.stderr}`);
        assert.deepEqual(relay.faults.map(({ times }) => times), faults.map(() => 0), String(way));
        const ready = await readyOnes(daemon, `large${number}`);
        assert.deepEqual(ready.map((one) => one.sha256), [sha256(bytes)], String(way));
        stored += bytes.length;
      });
      rmSync(file);
    });
    const { used } = (await daemon.api('GET', '/api/v1/quota')).body;
    assert.equal(used.storage_bytes, stored);
    assert.deepEqual(readdirSync(join(daemon.folder, '.config/kvcs/uploads')), []);
  });
});

test('transport: each request of a large download may fail once in each way', async () => {
  await unlimited(async (daemon) => {
    const bytes = kvFile(65 << 20, 1);
    writeFileSync(join(daemon.folder, 'large.kv'), bytes);
    const id = JSON.parse((await daemon.cli('upload', 'large.kv', '--json')).stdout).artifact_id;
    const requests = [{ method: 'GET', path: /^\/api\/v1\/artifacts\// }, { method: 'GET', path: /^\/blobs\// }];
    await eachWay(requests, async ({ number, way, faults }) => {
      const target = join(daemon.folder, `back${number}.kv`);
      await withRelay(daemon, faults, async (relay, kvcs) => {
        const done = await kvcs('download', id, '-o', target);
        assert.equal(done.status, 0, `${way}: ${done.stderr}`);
        assert.deepEqual(relay.faults.map(({ times }) => times), [0, 0], String(way));
        assert.ok(relay.seen.filter((line) => line.startsWith('GET /blobs/')).length > 2, String(way));
        assert.equal(sha256(readFileSync(target)), sha256(bytes), String(way));
      });
      rmSync(target);
    });
    assert.deepEqual(readdirSync(daemon.folder).filter((name) => name.endsWith('.part')), []);
  });
});

test('transport: each request of a sync may fail once in each way', async () => {
  const requests = [{ method: 'GET', path: /^\/api\/v1\/artifacts\?.*sha256=/ }, { method: 'POST', path: /upload-url$/ },
    { method: 'PUT', path: /^\/blobs\// }, { method: 'POST', path: /confirm-upload$/ }];
  await unlimited(async (daemon) => {
    await eachWay(requests, async ({ number, way, faults }) => {
      const folder = join(daemon.folder, `caches${number}`), names = ['first', 'second'].map((name) => `${name}${number}`);
      mkdirSync(folder);
      for (const [i, name] of names.entries()) writeFileSync(join(folder, `${name}.kv`), kvFile(20_000, 2 * number + i));
      await withRelay(daemon, faults, async (relay, kvcs) => {
        const done = await kvcs('sync', folder, '--json');
        assert.equal(done.status, 0, `${way}: ${done.stderr}`);
        assert.deepEqual(relay.faults.map(({ times }) => times), faults.map(() => 0), String(way));
        for (const name of names) assert.equal((await readyOnes(daemon, name)).length, 1, `${way} ${name}`);
        const again = JSON.parse((await kvcs('sync', folder, '--json')).stdout);
        assert.deepEqual(again.map(({ state }) => state), ['there', 'there'], String(way));
      });
    });
  });
});

test('transport: what is refused or interrupted is withdrawn', async () => {
  await unlimited(async (daemon) => {
    writeFileSync(join(daemon.folder, 'a.kv'), kvFile(20_000, 1));
    const held = async () => (await daemon.api('GET', '/api/v1/quota')).body.used.storage_bytes;
    const before = await held();
    await withRelay(daemon, [{ method: 'PUT', path: /./, way: 403 }], async (relay, kvcs) => {
      assert.equal((await kvcs('upload', 'a.kv')).status, 1);
      assert.match(relay.seen.at(-1), /^DELETE \/api\/v1\/artifacts\//);
    });
    for (const [method, path] of [['PUT', /./], ['POST', /confirm-upload$/]]) {
      await withRelay(daemon, [{ method, path, way: 'stall' }], async (relay) => {
        const came = relay.came(method, path), gone = relay.came('DELETE', /./);
        const child = daemon.begin(relay.url, 'upload', 'a.kv');
        await came;
        child.kill('SIGINT');
        const { signal, stderr } = await child.ended;
        assert.equal(signal, 'SIGINT');
        await gone;
        assert.match(stderr, /Interrupted; the server keeps nothing of it\./);
      });
    }
    assert.equal(await held(), before);
    assert.deepEqual(await readyOnes(daemon, 'a'), []);
  });
});

test('transport: who stops a command with --json reads why', async () => {
  await unlimited(async (daemon) => {
    writeFileSync(join(daemon.folder, 'a.kv'), kvFile(20_000, 1));
    const id = JSON.parse((await daemon.cli('upload', 'a.kv', '--json')).stdout).artifact_id;
    writeFileSync(join(daemon.folder, 'b.kv'), kvFile(20_000, 2));
    const stopped = [
      [['list'], 'GET', /^\/api\/v1\/artifacts/, /^Interrupted\.$/],
      [['upload', 'b.kv'], 'PUT', /./, /^Interrupted; the server keeps nothing of it\.$/],
      [['download', id, '-o', 'back.kv'], 'GET', /^\/blobs\//, /^Interrupted\.$/],
    ];
    // In the middle of a request, and of the pause behind one that failed.
    const later = stopped.slice(1).map((row) => [...row, { way: 503, headers: { 'retry-after': '3600' } }]);
    for (const [words, method, path, said, fault = { way: 'stall' }] of [...stopped, ...later]) {
      await withRelay(daemon, [{ method, path, ...fault }], async (relay) => {
        const came = fault.way === 503 ? relay.failed(method, path) : relay.came(method, path);
        const child = daemon.begin(relay.url, ...words, '--json');
        await came;
        child.kill('SIGINT');
        const { signal, stderr } = await child.ended;
        assert.equal(signal, 'SIGINT');
        const failure = JSON.parse(stderr);
        assert.equal(failure.code, 'interrupted');
        assert.match(failure.error, said);
      });
    }
  });
});

test('transport: a download that is interrupted says where it goes on', async () => {
  await unlimited(async (daemon) => {
    const bytes = kvFile(200_000, 1);
    writeFileSync(join(daemon.folder, 'whole.kv'), bytes);
    const id = JSON.parse((await daemon.cli('upload', 'whole.kv', '--json')).stdout).artifact_id;
    const faults = [{ method: 'GET', path: /^\/blobs\//, way: 'cut body' },
      { method: 'GET', path: /^\/blobs\//, way: 'stall' }];
    await withRelay(daemon, faults, async (relay) => {
      const child = daemon.begin(relay.url, 'download', id, '-o', 'back.kv');
      await relay.came('GET', /^\/blobs\//);
      await relay.came('GET', /^\/blobs\//);
      child.kill('SIGINT');
      const { signal, stderr } = await child.ended;
      assert.equal(signal, 'SIGINT');
      assert.match(stderr, /^error: Interrupted\. .* are kept in .*\.back\.kv\.[0-9a-f]{8}\.part; the same command goes on there/m);
    });
    const again = await daemon.cli('download', id, '-o', 'back.kv');
    assert.equal(again.status, 0, again.stderr);
    assert.ok(readFileSync(join(daemon.folder, 'back.kv')).equals(bytes));
  });
});

test('transport: a download that is stopped while it checks its part leaves that as it is', async () => {
  const id = '3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f', size = 2 ** 41;
  const about = { artifact_id: id, download_url: 'http://127.0.0.1:1/blob', sha256: '0'.repeat(64), size_bytes: size };
  await withListener((request, response) => response.end(JSON.stringify(about)), async (url) => {
    const daemon = new Daemon();  // Only its folder: it is not started.
    daemon.credentials = { api_key: 'kv_mine' };
    const part = join(daemon.folder, '.back.kv.3f0c9d5e.part'), records = join(daemon.folder, '.config/kvcs/downloads');
    // A tebibyte that takes no room, and a quarter of an hour to read.
    writeFileSync(part, '');
    truncateSync(part, size / 2);
    mkdirSync(records, { recursive: true });
    const watcher = watch(records), noted = new Promise((resolve) => watcher.once('change', resolve));
    const child = daemon.begin(url, 'download', id, '-o', 'back.kv');
    try {
      await noted;
      child.kill('SIGINT');
      const { signal, stderr } = await child.ended;
      assert.equal(signal, 'SIGINT');
      assert.match(stderr, /^error: Interrupted\. 1\.00 TiB of 2\.00 TiB are kept in .*\.part; the same command goes on there/);
      assert.equal(statSync(part).size, size / 2);
    } finally {
      child.kill('SIGKILL');
      watcher.close();
      daemon.remove();
    }
  });
});

test('transport: what a large upload has made on the server is given back when it is ended', async () => {
  await withDaemon(async (daemon) => {
    writeFileSync(join(daemon.folder, 'large.kv'), kvFile(66 << 20, 1));
    const all = /^\/api\/v1\/uploads$/;
    await withRelay(daemon, [], async (relay) => {
      // By a name that does not say that it is this machine's, so that there are several parts.
      const child = daemon.begin(relay.url.replace('127.0.0.1', '0.0.0.0'), 'upload', 'large.kv');
      await relay.came('POST', all);  // Whether the bytes are there; then the first part.
      await relay.came('POST', all);
      const stalled = relay.came('POST', all);
      relay.faults.push({ method: 'POST', path: all, way: 'stall', times: 1 });
      await stalled;
      const before = relay.seen.length;
      child.kill('SIGTERM');
      assert.equal((await child.ended).signal, 'SIGTERM');
      assert.ok(relay.seen.slice(before).some((line) => line.startsWith('DELETE /api/v1/uploads/')));
    });
  });
});

test('transport: a private authority is trusted by each of the ways to name it, for all requests', async () => {
  const daemon = new Daemon({ ...kNoLimits });
  const { key, certificate } = makeCertificate(daemon.folder, 'localhost');
  Object.assign(daemon.env, { KVCS_TLS_CERTIFICATE_PATH: certificate, KVCS_TLS_KEY_PATH: key });
  try {
    await daemon.start();
    const url = `https://localhost:${daemon.port}`;
    writeFileSync(join(daemon.folder, 'a.kv'), kvFile(20_000, 1));
    const kvcs = (env, ...args) => daemon.cliWith({ env: { KVCS_API_URL: url, ...env } }, ...args);
    const untrusted = await kvcs({}, 'list');
    assert.equal(untrusted.status, 1);
    assert.match(untrusted.stderr, /signed by an authority that is not trusted here.*--cacert FILE, or SSL_CERT_FILE=FILE/);
    const configured = { XDG_CONFIG_HOME: join(daemon.folder, 'configured') };
    assert.equal((await kvcs(configured, 'server', 'add', url, '--cacert', 'certificate.pem')).status, 0);
    const named = [[{}, ['--cacert', 'certificate.pem']], [{ SSL_CERT_FILE: certificate }, []],
      [{ CURL_CA_BUNDLE: certificate }, []], [configured, []]];
    for (const [number, [env, flags]] of named.entries()) {
      const done = async (...args) => {
        const { status, stdout, stderr } = await kvcs(env, ...args, ...flags);
        assert.equal(status, 0, `${number} ${args}: ${stderr}`);
        return stdout;
      };
      const id = JSON.parse(await done('upload', 'a.kv', '--json')).artifact_id;
      await done('list');
      await done('download', id, '-o', `back${number}.kv`);
      await done('delete', id, '-y');
    }
    // Before the command's words too.
    assert.equal((await kvcs({}, '--cacert', 'certificate.pem', '--json', 'list')).status, 0);
    const who = JSON.parse((await kvcs({}, '--cacert', 'certificate.pem', '--json', 'whoami')).stdout);
    assert.deepEqual([who.ca_source, who.ca_file, who.api_url_source], ['--cacert', 'certificate.pem', 'KVCS_API_URL']);
    // Without TLS nothing is understood at a port that speaks it.
    const plain = await daemon.cliWith({ env: { KVCS_API_URL: `http://localhost:${daemon.port}` } }, 'list');
    assert.equal(plain.status, 1);
  } finally {
    await daemon.stop();
    daemon.remove();
  }
});

test('transport: proxies are taken for all requests, and not to this machine', async () => {
  const daemon = new Daemon({ ...kNoLimits }), proxy = await new ForwardProxy().start();
  const { key, certificate } = makeCertificate(daemon.folder, 'kvcs.internal');
  try {
    await daemon.start();
    writeFileSync(join(daemon.folder, 'a.kv'), kvFile(20_000, 1));
    const transfer = async (env, folder) => {
      const kvcs = async (...args) => {
        const { status, stdout, stderr } = await daemon.cliWith({ env }, ...args);
        assert.equal(status, 0, `${args}: ${stderr}`);
        return stdout;
      };
      const id = JSON.parse(await kvcs('upload', 'a.kv', '--json')).artifact_id;
      mkdirSync(join(daemon.folder, folder));
      await kvcs('download', id, '-o', `${folder}/back.kv`);
      return proxy.seen.splice(0);
    };
    const there = `http://kvcs.internal:${daemon.port}`;
    const passed = await transfer({ KVCS_API_URL: there, http_proxy: proxy.url }, 'forward');
    assert.equal(passed.length, 6);  // Place, bytes, confirmation, look-up; look-up, bytes.
    assert.ok(passed.every((line) => line.includes(` ${there}/`)));
    assert.equal((await transfer({ KVCS_API_URL: there, ALL_PROXY: proxy.url }, 'all')).length, 6);
    const here = await transfer({ KVCS_API_URL: daemon.url, http_proxy: proxy.url, ALL_PROXY: proxy.url }, 'here');
    assert.deepEqual(here, []);
    const around = await daemon.cliWith(
      { env: { KVCS_API_URL: 'http://kvcs.invalid', http_proxy: proxy.url, NO_PROXY: '.invalid' } }, 'list');
    assert.match(around.stderr, /its name cannot be resolved/);
    assert.deepEqual(proxy.seen, []);
    await daemon.stop();
    Object.assign(daemon.env, { KVCS_TLS_CERTIFICATE_PATH: certificate, KVCS_TLS_KEY_PATH: key });
    await daemon.start();
    const tunnels = await transfer({ KVCS_API_URL: `https://kvcs.internal:${daemon.port}`, HTTPS_PROXY: proxy.url,
      SSL_CERT_FILE: certificate }, 'tunnel');
    assert.equal(tunnels.length, 2);  // One connection of each command, which is kept.
    assert.ok(tunnels.every((line) => line === `CONNECT kvcs.internal:${daemon.port}`));
  } finally {
    await daemon.stop();
    daemon.remove();
    await proxy.stop();
  }
});

// A server that answers as it is told, while `run` lasts; `heard` is what it was asked for, with which key.
async function withListener(answer, run) {
  const heard = [];
  const server = createServer((request, response) => {
    heard.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''}`);
    answer(request, response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await run(`http://127.0.0.1:${server.address().port}`, heard);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('transport: a server that a file in the working directory names hears nothing', async () => {
  await withListener((request, response) => response.end('{"artifacts":[],"organizations":[]}'), async (url, heard) => {
    const daemon = new Daemon();  // Only its folder: it is not started.
    try {
      mkdirSync(join(daemon.folder, 'data'));
      writeFileSync(join(daemon.folder, 'data/initial-credentials.json'),
        JSON.stringify({ url, api_key: 'kv_evil', admin_key: 'ka_evil' }), { mode: 0o600 });
      // A server of the user's own, where nobody listens.
      const mine = { KVCS_API_URL: 'http://127.0.0.1:1' };
      const key = { KVCS_API_KEY: 'kv_mine' }, none = { KVCS_API_URL: '', KVCS_API_KEY: '', KVCS_ADMIN_KEY: '' };
      const kvcs = (env, ...args) => daemon.cliWith({ env: { ...none, ...env } }, ...args);
      daemon.credentials = {};
      const stored = { XDG_CONFIG_HOME: join(daemon.folder, 'stored') };
      const set = await daemon.cliWith({ stdin: `kv_${'a'.repeat(64)}\n`, env: { ...none, ...stored } }, 'api-key', 'set', '-q');
      assert.equal(set.status, 0, set.stderr);
      const commands = [[key, 'list'], [key, 'whoami'], [key, 'api-key', 'verify'], [stored, 'list'], [stored, 'whoami'],
        [{ KVCS_TOKEN: 'ks_mine' }, 'list'], [{ KVCS_ADMIN_KEY: 'ka_mine' }, 'admin', 'org', 'list'],
        [{ KVCS_ADMIN_KEY: 'ka_mine' }, 'kv', 'list'], [{ ...mine, ...key }, 'list'],
        [{ KVCS_GATEWAY_TOKEN: 'kt_mine' }, 'gateway', 'call', 'tenant', 'provider', '--path', '/x']];
      for (const [env, ...args] of commands) {
        await kvcs(env, ...args);
        assert.deepEqual(heard.filter((line) => !line.endsWith('_evil')), [], `${JSON.stringify(env)} ${args}`);
      }
      assert.deepEqual(heard, []);
      // Its own key goes there, when no other is at hand.
      assert.equal((await kvcs({}, 'list')).status, 0);
      assert.match(heard.join('\n'), /Bearer kv_evil$/);
    } finally {
      daemon.remove();
    }
  });
});

test('transport: a server that has moved is told, and its key does not follow', async () => {
  await withListener((request, response) => response.end('{}'), async (there, heard) => {
    const moves = (request, response) => {
      response.writeHead(301, { location: there + request.url });
      response.end();
    };
    await withListener(moves, async (here) => {
      const daemon = new Daemon();
      try {
        daemon.credentials = {};
        const env = { KVCS_API_URL: here, KVCS_API_KEY: 'kv_mine', KVCS_ADMIN_KEY: '' };
        const moved = await daemon.cliWith({ env }, 'list');
        assert.equal(moved.status, 1);
        assert.ok(moved.stderr.includes(`${here} has moved to ${there}.`), moved.stderr);
        assert.ok(moved.stderr.includes(`set KVCS_API_URL=${there}`), moved.stderr);
        assert.deepEqual(heard, []);
      } finally {
        daemon.remove();
      }
    });
  });
});

test('transport: a URL is refused in words, without its password, and a broken configuration is told', async () => {
  const daemon = new Daemon();
  try {
    daemon.credentials = {};
    const list = async (url, env = {}) =>
      (await daemon.cliWith({ env: { KVCS_API_URL: url, KVCS_API_KEY: 'kv_mine', KVCS_ADMIN_KEY: '', ...env } }, 'list')).stderr;
    assert.match(await list('127.0.0.1:8080'), /^error: KVCS_API_URL: '127\.0\.0\.1:8080' does not begin with http/);
    assert.match(await list('http://127.0.0.1:1?x=1'), /has a '\?' or a '#'/);
    const secret = await list('http://ada:secret@127.0.0.1:1');
    assert.match(secret, /has a user name or a password in it/);
    assert.ok(!secret.includes('secret'));
    mkdirSync(join(daemon.folder, '.config/kvcs'), { recursive: true });
    writeFileSync(join(daemon.folder, '.config/kvcs/config.json'), '{"api_url":');
    for (const command of ['list', 'whoami', 'server list']) {
      const broken = await daemon.cliWith({ env: { KVCS_API_URL: 'http://127.0.0.1:1', KVCS_API_KEY: 'kv_mine',
        KVCS_ADMIN_KEY: '' } }, ...command.split(' '));
      assert.equal(broken.status, 1, command);
      assert.match(broken.stderr, /config\.json is not a JSON object; correct or remove it/);
    }
    // Without HOME, and with a relative folder in its place, nothing is looked for or left where the command runs.
    const lost = await daemon.cliWith({ env: { HOME: '', XDG_CONFIG_HOME: 'here', KVCS_API_URL: 'http://127.0.0.1:1',
      KVCS_API_KEY: 'kv_mine', KVCS_ADMIN_KEY: '' } }, 'list');
    assert.match(lost.stderr, /cannot be reached/);
    assert.ok(!existsSync(join(daemon.folder, 'here')));
  } finally {
    daemon.remove();
  }
});
