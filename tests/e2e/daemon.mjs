// The real binary as a daemon on a folder and a free port of its own, for the end-to-end tests.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = process.env.KVCS_BINARY ?? join(root, 'build/release/kvcs');

// Daemons that run. A test file that ends before its tests have ended them takes them along.
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const [signal, number] of [['SIGHUP', 1], ['SIGINT', 2], ['SIGTERM', 15]]) {
  process.once(signal, () => process.exit(128 + number));
}

export class Daemon {
  // `env`: settings of this daemon beside those of the process, KVCS_….
  constructor(env = {}, { listen = '127.0.0.1:0' } = {}) {
    this.env = env;
    this.listen = listen;
    this.log = '';  // All that it wrote, over every start.
    this.folder = mkdtempSync(join(tmpdir(), 'kvcs-e2e-'));
    this.data = join(this.folder, 'data');
  }

  // `args` go behind serve's own, `env` over this daemon's and the process's.
  async start({ args = [], env = {} } = {}) {
    this.process = spawn(binary, ['serve', '--data-dir', this.data, '--listen', this.listen, ...args],
      { cwd: this.folder, env: { ...process.env, ...this.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    const child = this.process;
    running.add(child);
    this.ended = new Promise((resolve) => child.on('exit', (code) => {
      running.delete(child);
      resolve(code);
    }));
    this.url = await new Promise((resolve, reject) => {
      let log = '';
      this.process.stderr.on('data', (chunk) => {
        log += chunk;
        this.log += chunk;
        const ready = log.match(/"event":"server.ready","url":"([^"]+)"/);
        if (ready) resolve(ready[1]);
      });
      this.process.on('exit', () => reject(new Error(`the daemon ended: ${log}`)));
      this.process.on('error', reject);  // There is no such binary.
    });
    this.port = Number(new URL(this.url).port);
    this.credentials = JSON.parse(readFileSync(join(this.data, 'initial-credentials.json')));
    return this;
  }

  // Does `act` and resolves with the log line that `pattern` matches, once it is written.
  logs(pattern, act) {
    return new Promise((resolve, reject) => {
      let log = '';
      const listen = (chunk) => {
        log += chunk;
        const line = log.split('\n').find((one) => pattern.test(one));
        if (line === undefined) return;
        this.process.stderr.off('data', listen);
        resolve(line);
      };
      this.process.stderr.on('data', listen);
      Promise.resolve(act()).catch(reject);
    });
  }

  async stop(signal = 'SIGTERM') {
    this.process.kill(signal);
    await this.ended;
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }

  // As a script beside the daemon, in its folder, with nothing on stdin.
  cli(...args) {
    return this.cliWith({}, ...args);
  }

  // A command that sends to `url` and goes on: `ended` resolves with how it ended and what it said.
  begin(url, ...args) {
    const child = spawn(binary, args, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: this.folder, KVCS_API_URL: url, KVCS_API_KEY: this.credentials.api_key } });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => { said[name] += chunk; });
    child.ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, ...said })));
    return child;
  }

  // With text on stdin and more variables.
  async cliWith({ stdin = '', env = {} }, ...args) {
    const all = { PATH: process.env.PATH, HOME: this.folder, KVCS_API_URL: this.url,
      KVCS_API_KEY: this.credentials.api_key, KVCS_ADMIN_KEY: this.credentials.admin_key, ...env };
    try {
      const running = promisify(execFile)(binary, args, { cwd: this.folder, env: all });
      running.child.stdin.on('error', () => {});  // A command that reads nothing may be gone by now.
      running.child.stdin.end(stdin);
      const { stdout, stderr } = await running;
      return { status: 0, stdout, stderr };
    } catch (failure) {
      return { status: failure.code, stdout: failure.stdout, stderr: failure.stderr };
    }
  }

  async api(method, path, body) {
    const headers = { authorization: `Bearer ${this.credentials.api_key}` };
    const response = await fetch(this.url + path,
      { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
  }

  // Ada follows the setup link: what her browser sends from now on, and the token of her session.
  async setUp() {
    const token = this.credentials.setup_url.split('token=')[1];
    const begun = await fetch(`${this.url}/auth/setup`, { method: 'POST',
      headers: { 'content-type': 'application/json', origin: this.url },
      body: JSON.stringify({ token, email: 'ada@example.com', name: 'Ada', password: 'correct horse battery staple' }) });
    if (begun.status !== 201) throw new Error(`/auth/setup: ${begun.status} ${await begun.text()}`);
    const cookie = begun.headers.getSetCookie()[0].split(';')[0];
    return { token: cookie.split('=')[1], headers: { cookie, origin: this.url, 'content-type': 'application/json',
      'x-csrf-token': (await begun.json()).csrf_token } };
  }

  // As an administrator.
  async admin(method, path, body) {
    const response = await fetch(this.url + path, { method,
      headers: { authorization: `Bearer ${this.credentials.admin_key}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
  }

  // One request exactly as written; resolves with the bytes of the answer.
  raw(head, body = Buffer.alloc(0)) {
    return new Promise((resolve, reject) => {
      const chunks = [];
      const socket = connect(this.port, new URL(this.url).hostname, () => {
        socket.write(`${head.join('\r\n')}\r\nconnection: close\r\n\r\n`);
        socket.write(body);
      });
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', reject);
      socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
    });
  }
}

export async function withDaemon(run, env = {}) {
  const daemon = new Daemon(env);
  try {
    await daemon.start();
    await run(daemon);
  } finally {
    if (daemon.process.exitCode === null && daemon.process.signalCode === null) await daemon.stop();
    daemon.remove();
  }
}
