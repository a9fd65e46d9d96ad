// Goal: the command line keeps the habits that scripts and people rely on: colours, exit codes, a user without a
// home folder, files made under any umask, texts in any locale, no password of a URL anywhere. Method: the real
// binary beside a daemon, or where no server is.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kNoLimits } from './chance.mjs';
import { Daemon, binary } from './daemon.mjs';
import { kvFile } from './kv_file.mjs';

const daemon = new Daemon(kNoLimits);
let id;

before(async () => {
  await daemon.start();
  writeFileSync(join(daemon.folder, 'a.kv'), kvFile(20_000, 1));
  id = JSON.parse((await daemon.cli('upload', 'a.kv', '--json')).stdout).artifact_id;
});
after(async () => {
  await daemon.stop();
  daemon.remove();
});

const nowhere = { KVCS_API_URL: '', KVCS_API_KEY: 'kv_mine', KVCS_ADMIN_KEY: 'ka_mine' };

test('manners: colours come where they are asked for', async () => {
  const rows = [[{}, [], false], [{ CLICOLOR_FORCE: '1' }, [], true], [{ CLICOLOR_FORCE: '0' }, [], false],
    [{ CLICOLOR_FORCE: '1', NO_COLOR: '1' }, [], false], [{ CLICOLOR_FORCE: '1', NO_COLOR: '' }, [], true],
    [{ CLICOLOR_FORCE: '1' }, ['--no-color'], false], [{ CLICOLOR_FORCE: '1' }, ['--json'], false]];
  for (const [env, flags, expected] of rows) {
    const what = JSON.stringify([env, flags]);
    const good = await daemon.cliWith({ env }, 'list', ...flags);
    assert.equal(good.status, 0, what);
    assert.equal(good.stdout.includes('\x1b['), expected, what);
    const bad = await daemon.cliWith({ env: { ...env, KVCS_API_KEY: `kv_${'a'.repeat(64)}` } }, 'list', ...flags);
    assert.equal(bad.stderr.includes('\x1b['), expected, what);
  }
});

test('manners: each end has its exit code, and each failure its word', async () => {
  const wrong = { KVCS_API_KEY: `kv_${'a'.repeat(64)}` };
  const rows = [
    [{}, 'list', 0], [{}, 'api-key verify', 0],
    [{}, 'list --limt 3', 2, 'usage'], [{}, 'nothing', 2, 'usage'], [{}, 'download', 2, 'usage'],
    [wrong, 'list', 1, 'unauthenticated'], [{ KVCS_API_KEY: '', KVCS_API_URL: 'http://127.0.0.1:1' }, 'list', 1, 'unauthenticated'],
    [{ KVCS_ADMIN_KEY: '', KVCS_API_URL: 'http://127.0.0.1:1' }, 'admin org list', 1, 'unauthenticated'],
    [{ KVCS_ADMIN_KEY: `ka_${'a'.repeat(64)}` }, 'admin org list', 1, 'unauthenticated'],
    [{}, 'show 00000000-0000-4000-8000-000000000000', 1, 'not_found'], [{}, 'upload nothing.kv', 1, 'not_found'],
    [{}, `download ${id} -o a.kv`, 1, 'conflict'], [{}, 'upload /dev/null', 1, 'invalid'],
    [{}, `download ${id} -o /nowhere/a.kv`, 1, 'not_found'], [{}, `download ${id} -o /proc/a.kv`, 1, 'not_found'],
    [{ KVCS_API_URL: 'http://127.0.0.1:1' }, 'list', 1, 'unavailable'],
    [{ KVCS_API_URL: 'nonsense' }, 'list', 1, 'invalid'], [{}, 'verify a.kv', 0],
  ];
  for (const [env, line, status, code] of rows) {
    const done = await daemon.cliWith({ env }, ...line.split(' '), '--json');
    assert.equal(done.status, status, `${line}: ${done.stderr}`);
    if (code) assert.equal(JSON.parse(done.stderr).code, code, line);
    else assert.equal(done.stderr, '', line);
  }
  // An answer that is no failure, with an exit code that `&&` hears.
  const refused = await daemon.cliWith({ env: wrong }, 'api-key', 'verify', '--json');
  assert.equal(refused.status, 1);
  assert.equal(JSON.parse(refused.stdout).valid, false);
});

test('manners: a result that nobody gets is a failure in one line', async () => {
  for (const closed of ['> /dev/full', '>&-']) {
    const ran = spawnSync('sh', ['-c', `exec "$0" list ${closed}`, binary], { encoding: 'utf8', cwd: daemon.folder,
      env: { PATH: process.env.PATH, HOME: daemon.folder, KVCS_API_URL: daemon.url, KVCS_API_KEY: daemon.credentials.api_key } });
    assert.equal(ran.status, 1, closed);
    assert.match(ran.stderr, /^[^\n]*standard output[^\n]*\n$/m, closed);
  }
});

test('manners: files are made as the umask says, and what has keys for their owner alone', async () => {
  for (const [mask, mode] of [['000', 0o666], ['027', 0o640], ['077', 0o600]]) {
    const run = (...args) => {
      const ran = spawnSync('sh', ['-c', `umask ${mask}; exec "$0" "$@"`, binary, ...args], { encoding: 'utf8', cwd: daemon.folder,
        env: { PATH: process.env.PATH, HOME: daemon.folder, XDG_CONFIG_HOME: join(daemon.folder, `config${mask}`),
          KVCS_API_URL: daemon.url, KVCS_API_KEY: daemon.credentials.api_key } });
      assert.equal(ran.status, 0, ran.stderr);
    };
    run('download', id, '-o', `${mask}.kv`);
    assert.equal(statSync(join(daemon.folder, `${mask}.kv`)).mode & 0o777, mode, mask);
    run('api-key', 'set', `kv_${'a'.repeat(64)}`);
    assert.equal(statSync(join(daemon.folder, `config${mask}/kvcs/config.json`)).mode & 0o777, 0o600, mask);
  }
});

test('manners: numbers and names are the same in every locale and time zone', async () => {
  const plain = await daemon.cli('list', '--long');
  assert.match(plain.stdout, /19\.\d\d KiB/);
  for (const env of [{ LC_ALL: 'tr_TR.UTF-8' }, { LC_ALL: 'de_DE.UTF-8' }, { LC_ALL: 'C' }, { TZ: 'Asia/Tokyo' }]) {
    const other = await daemon.cliWith({ env }, 'list', '--long');
    assert.deepEqual(other, plain, JSON.stringify(env));
  }
});

// Nobody of that number is in /etc/passwd.
const kNobody = 54321;
const skip = process.getuid() === 0 ? false : 'only root may become a user without a home folder';

test('manners: a user without a home folder transfers all the same, and is told where one is needed', { skip }, (context) => {
  const there = join(daemon.folder, 'open');
  mkdirSync(there);
  writeFileSync(join(there, 'b.kv'), kvFile(20_000, 2));
  for (const path of [daemon.folder, there]) chmodSync(path, 0o777);
  const run = (env, ...args) => spawnSync(binary, args, { uid: kNobody, gid: kNobody, cwd: there, encoding: 'utf8',
    env: { PATH: process.env.PATH, KVCS_API_URL: daemon.url, KVCS_API_KEY: daemon.credentials.api_key, ...env } });
  if (run({}, '--version').status !== 0) return context.skip('the binary is where only root may read');
  // A relative one is as none, by the specification of XDG.
  for (const env of [{}, { XDG_CONFIG_HOME: 'here' }, { HOME: '' }, { HOME: 'relative' }]) {
    const what = JSON.stringify(env);
    for (const line of ['list', 'whoami', `upload b.kv --name ${Object.keys(env)}b`, `download ${id} -o back.kv --force`, 'cache list']) {
      const ran = run(env, ...line.split(' '));
      assert.equal(ran.status, 0, `${what} ${line}: ${ran.stderr}`);
    }
    const set = run(env, 'api-key', 'set', `kv_${'a'.repeat(64)}`);
    assert.equal(set.status, 1, what);
    assert.match(set.stderr, /This user has no home folder: set HOME, or XDG_CONFIG_HOME to a whole path\./, what);
    assert.deepEqual(readdirSync(there).sort(), ['b.kv', 'back.kv'], what);
  }
  const config = join(there, 'config');
  assert.equal(run({ XDG_CONFIG_HOME: config }, 'api-key', 'set', `kv_${'a'.repeat(64)}`).status, 0);
  assert.match(readFileSync(join(config, 'kvcs/config.json'), 'utf8'), /kv_aaa/);
});

test('manners: no password of a URL is printed', async () => {
  const url = 'http://ada:secret@127.0.0.1:1';
  const broken = join(daemon.folder, 'broken');
  mkdirSync(join(broken, 'kvcs'), { recursive: true });
  writeFileSync(join(broken, 'kvcs/config.json'), JSON.stringify({ api_url: url }), { mode: 0o600 });
  const rows = [
    [{ KVCS_API_URL: url }, 'list'], [{ KVCS_API_URL: url }, 'whoami'], [{ KVCS_API_URL: url }, 'api GET /x'],
    [{ KVCS_API_URL: url }, 'upload a.kv'], [{ KVCS_API_URL: url }, 'admin org list'], [{}, `list --server ${url}`],
    [{}, `server add ${url}`], [{}, `login --server ${url}`], [{}, `download ${url}/share/abc`], [{}, `cat ${url}/share/abc`],
    [{ XDG_CONFIG_HOME: broken }, 'list'], [{ XDG_CONFIG_HOME: broken }, 'whoami'], [{ XDG_CONFIG_HOME: broken }, 'server list'],
    [{ http_proxy: url, KVCS_API_URL: 'http://kvcs.example.com' }, 'list'],
    [{ https_proxy: url, KVCS_API_URL: 'https://kvcs.example.com' }, 'list'],
    [{ ALL_PROXY: 'socks5h://ada:secret@127.0.0.1:1', KVCS_API_URL: 'https://kvcs.example.com' }, 'list'],
    [{ http_proxy: 'ada:secret@@@', KVCS_API_URL: 'http://kvcs.example.com' }, 'list'],
  ];
  for (const [env, line] of rows) {
    for (const flags of [[], ['--json']]) {
      const done = await daemon.cliWith({ env: { ...nowhere, ...env } }, ...line.split(' '), ...flags);
      assert.equal(done.status, 1, `${line}: ${done.stdout}${done.stderr}`);
      assert.ok(!`${done.stdout}${done.stderr}`.includes('secret'), `${JSON.stringify(env)} ${line}: ${done.stderr}`);
      assert.ok(done.stderr.length > 0);
    }
  }
});
