// Goal: behind a real nginx, configured as README prints it and in ways that it does not, each URL
// in an answer leads back to the daemon through the proxy, and bytes go both ways.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, mkdtempSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { makeCertificate } from './certificate.mjs';
import { isWhole, sha256 } from './chance.mjs';
import { Daemon, root } from './daemon.mjs';
import { kvFile } from './kv_file.mjs';

const nginx = ['/usr/sbin/nginx', '/usr/local/sbin/nginx'].find((path) => spawnSync(path, ['-v']).status === 0);
const skip = nginx ? false : 'nginx is not installed';
const folder = mkdtempSync(join(tmpdir(), 'kvcs-nginx-'));
const daemon = new Daemon({ KVCS_HTTP_TRUSTED_PROXIES: '127.0.0.1' });
const bytes = randomBytes(3 << 20);
const digest = sha256(bytes);
const ports = {};
let key, certificate, child;
let said = '';

// A port that was free a moment ago; nginx opens none by itself.
const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const answers = (port) => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => socket.end(resolve(true)));
  socket.on('error', () => resolve(false));
});

// What README prints between its fences for nginx.
function printedLocation() {
  const block = readFileSync(join(root, 'README.md'), 'utf8').match(/```nginx\n([\s\S]*?)```/)[1];
  return block.replaceAll('http://127.0.0.1:8080', daemon.url);
}

before(async () => {
  if (skip) return;
  await daemon.start();
  ({ key, certificate } = makeCertificate(folder, 'localhost'));
  for (const name of ['printed', 'tls', 'plain', 'apache', 'port', 'prefix', 'moved']) ports[name] = await freePort();
  const pass = `proxy_pass ${daemon.url}; client_max_body_size 0; proxy_http_version 1.1;`;
  const server = (name, rest, tls = '') => `server { listen 127.0.0.1:${ports[name]} ${tls}; ${rest} }`;
  mkdirSync(join(folder, 'temp'));
  writeFileSync(join(folder, 'nginx.conf'), `
    ${process.getuid() === 0 ? 'user root;' : ''} daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
    events { worker_connections 256; }
    http {
      access_log off; client_body_temp_path ${folder}/temp; proxy_temp_path ${folder}/temp;
      fastcgi_temp_path ${folder}/temp; uwsgi_temp_path ${folder}/temp; scgi_temp_path ${folder}/temp;
      ssl_certificate ${certificate}; ssl_certificate_key ${key};
      ${server('printed', printedLocation())}
      ${server('tls', printedLocation(), 'ssl http2')}
      ${server('plain', `location / { ${pass} }`)}
      ${server('apache', `location / { ${pass} proxy_set_header X-Forwarded-Host $http_host; }`)}
      ${server('port', `location / { ${pass} proxy_set_header Host $host; proxy_set_header X-Forwarded-Port $server_port; }`)}
      ${server('prefix', `location /kvcs/ { proxy_pass ${daemon.url}/; client_max_body_size 0; proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Prefix /kvcs; }`)}
      ${server('moved', `return 301 https://localhost:${ports.tls}$request_uri;`)}
    }`);
  child = spawn(nginx, ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.on('data', (chunk) => { said += chunk; });
  for (const name of Object.keys(ports)) {
    const until = Date.now() + 20_000;
    while (!await answers(ports[name])) {
      if (Date.now() > until || child.exitCode !== null) assert.fail(`nginx: ${said}`);
      await pause(20);
    }
  }
});

after(async () => {
  // Its workers end with it when it is asked to; of one that is killed they would go on.
  if (child?.exitCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
  if (!skip) await daemon.stop();
  daemon.remove();
  rmSync(folder, { recursive: true, force: true });
});

// curl, which knows a private CA by a flag.
function curl(...args) {
  const ran = spawnSync('curl', ['-sS', '--max-time', '30', '--cacert', certificate, ...args], { maxBuffer: 1 << 24 });
  assert.equal(ran.status, 0, ran.stderr.toString());
  return ran.stdout;
}

// Announce, send, confirm and fetch again, each by the URL that the answer before has.
function roundTrip(base) {
  const key = ['-H', `Authorization: Bearer ${daemon.credentials.api_key}`];
  const json = (...args) => JSON.parse(curl(...key, '-H', 'Content-Type: application/json', ...args));
  const made = json('-d', JSON.stringify({ name: 'through a proxy', dtype: 'F16', size_bytes: bytes.length, sha256: digest, visibility: 'public' }),
    `${base}/api/v1/artifacts/upload-url`);
  assert.ok(made.url?.startsWith(`${base}/blobs/`), JSON.stringify(made));
  writeFileSync(join(folder, 'body'), bytes);
  curl('-T', join(folder, 'body'), made.url);
  json('-d', '{}', `${base}/api/v1/artifacts/${made.artifact_id}/confirm-upload`);
  const about = json(`${base}/api/v1/artifacts/${made.artifact_id}`);
  for (const url of [about.download_url, about.public_url]) {
    assert.ok(url.startsWith(`${base}/`), url);
    assert.equal(sha256(curl(url)), digest);
  }
}

const bases = {
  'as README prints it': () => `http://127.0.0.1:${ports.printed}`,
  'as README prints it, with TLS and HTTP/2': () => `https://localhost:${ports.tls}`,
  'with what Apache sends': () => `http://127.0.0.1:${ports.apache}`,
  'with the port in a header of its own': () => `http://127.0.0.1:${ports.port}`,
  'under a path': () => `http://127.0.0.1:${ports.prefix}/kvcs`,
};
for (const [name, base] of Object.entries(bases)) {
  test(`nginx, ${name}: each URL leads back through it`, { skip, timeout: 120_000 }, () => roundTrip(base()));
}

// The commands, which know a private authority by what they are given.
for (const [name, base] of Object.entries(bases)) {
  test(`nginx, ${name}: the commands send and fetch through it`, { skip, timeout: 120_000 }, async () => {
    const kvcs = async (...args) => {
      const done = await daemon.cliWith({ env: { KVCS_API_URL: base() } }, ...args, '--cacert', certificate);
      assert.equal(done.status, 0, `${args}: ${done.stderr}`);
      return done.stdout;
    };
    const seed = Object.keys(bases).indexOf(name), there = join(daemon.folder, `through${seed}`);
    mkdirSync(there);
    // In one piece, and in parts; and back in one, and by several connections.
    const sizes = isWhole || base().startsWith('https') ? [300_000, 65 << 20] : [300_000];
    for (const size of sizes) {
      const sent = join(there, `${size}.kv`), back = join(there, `${size}.back`);
      writeFileSync(sent, kvFile(size, seed));
      const { artifact_id: id, url } = JSON.parse(await kvcs('upload', sent, '--visibility', 'public', '--json'));
      assert.ok(url.startsWith(`${base()}/`), url);
      await kvcs('download', id, '-o', back);
      assert.equal(sha256(readFileSync(back)), sha256(readFileSync(sent)));
      await kvcs('download', url, '-o', back, '--force');
    }
    assert.match(await kvcs('sync', there), new RegExp(`${sizes.length} there`));
    assert.match(await kvcs('list'), /ready/);
  });
}

test('nginx, with TLS: without its authority a command says what is not trusted, and what to do', { skip, timeout: 120_000 }, async () => {
  const refused = await daemon.cliWith({ env: { KVCS_API_URL: bases['as README prints it, with TLS and HTTP/2']() } }, 'list');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /signed by an authority that is not trusted here.*--cacert FILE, or SSL_CERT_FILE=FILE/);
});

test('nginx, which leads from http to https: the address to set is told', { skip, timeout: 120_000 }, async () => {
  const there = `https://localhost:${ports.tls}`;
  const moved = await daemon.cliWith({ env: { KVCS_API_URL: `http://127.0.0.1:${ports.moved}` } }, 'list');
  assert.equal(moved.status, 1);
  assert.ok(moved.stderr.includes(`set KVCS_API_URL=${there}`), moved.stderr);
});

test('nginx, as README prints it: a client does not say where the daemon is', { skip, timeout: 120_000 }, () => {
  const base = `http://127.0.0.1:${ports.printed}`;
  for (const header of ['X-Forwarded-Host: evil.example', 'X-Forwarded-Port: 6666', 'X-Forwarded-Prefix: /evil']) {
    const made = JSON.parse(curl('-H', `Authorization: Bearer ${daemon.credentials.api_key}`, '-H', 'Content-Type: application/json',
      '-H', header, '-d', '{"name":"x","dtype":"F16","size_bytes":1}', `${base}/api/v1/artifacts/upload-url`));
    assert.ok(made.url?.startsWith(`${base}/blobs/`), JSON.stringify(made));
  }
});

test('nginx, without any header: URLs are those that it asks itself by', { skip, timeout: 120_000 }, () => {
  const made = JSON.parse(curl('-H', `Authorization: Bearer ${daemon.credentials.api_key}`, '-H', 'Content-Type: application/json',
    '-d', '{"name":"x","dtype":"F16","size_bytes":1}', `http://127.0.0.1:${ports.plain}/api/v1/artifacts/upload-url`));
  assert.ok(made.url?.startsWith(`${daemon.url}/blobs/`), JSON.stringify(made));
});
