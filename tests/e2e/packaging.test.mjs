// Goal: the package holds what it must, is clean, and its service is locked down.
// Method: builds the .deb of the binary under test into a folder of its own and reads it; nothing
// is installed. A sanitizer's binary is not packaged.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const binary = process.env.KVCS_BINARY ?? join(root, 'build/release/kvcs');
const skip = /\/(asan|tsan)\//.test(binary) ? 'a sanitizer build is not packaged' : false;
const folder = mkdtempSync(join(tmpdir(), 'kvcs-deb-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const run = (command, args) => execFileSync(command, args, { cwd: root, encoding: 'utf8' });
const build = (version) =>
  run('packaging/build_deb.sh', [dirname(binary), version, folder]).trim().split('\n').pop();
const hasTool = (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

test('the package has the binary, the service, the configuration and what it depends on', { skip }, () => {
  const deb = build('1.2.3');
  const list = run('dpkg-deb', ['--contents', deb]);
  for (const path of ['./usr/bin/kvcs', './lib/systemd/system/kvcs.service', './etc/kvcs/kvcs.yaml',
    './usr/share/doc/kvcs/copyright', './usr/share/doc/kvcs/kvcs.yaml.example']) {
    assert.match(list, new RegExp(`root/root .* ${path.replaceAll('.', '\\.')}$`, 'm'));
  }
  assert.equal(run('dpkg-deb', ['--field', deb, 'Version']).trim(), '1.2.3');
  const depends = run('dpkg-deb', ['--field', deb, 'Depends']);
  for (const name of ['libc6', 'libstdc++6', 'adduser']) assert.ok(depends.includes(name), depends);
  const control = join(folder, 'control');
  run('dpkg-deb', ['--control', deb, control]);
  assert.equal(readFileSync(join(control, 'conffiles'), 'utf8'), '/etc/kvcs/kvcs.yaml\n');
  for (const script of ['postinst', 'prerm', 'postrm']) run('sh', ['-n', join(control, script)]);
  if (hasTool('lintian')) {
    const lintian = spawnSync('lintian', ['--fail-on', 'error', '--allow-root', deb], { encoding: 'utf8' });
    assert.equal(lintian.status, 0, lintian.stdout + lintian.stderr);
  }
});

test('a version that is no Debian version is made one', { skip }, () => {
  const name = build('v2.0.0-3-gabc-dirty');
  assert.match(name, /kvcs_2\.0\.0\.3\.gabc\.dirty_/);
  assert.match(build('abcdef0'), /kvcs_\d+\.\d+\.\d+\+gabcdef0_/);
});

test('systemd accepts the unit and finds little exposed', { skip: skip || !hasTool('systemd-analyze') }, () => {
  const unit = join(folder, 'kvcs.service');
  writeFileSync(unit, readFileSync(join(root, 'packaging/kvcs.service'), 'utf8')
    .replaceAll('/usr/bin/kvcs', binary));
  const verify = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  assert.equal(verify.status, 0, verify.stderr);
  const complaints = verify.stderr.split('\n').filter((line) => line.includes('kvcs.service'));
  assert.deepEqual(complaints, []);
  const security = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit],
    { encoding: 'utf8' });
  assert.equal(security.status, 0, security.stdout.split('\n').slice(-3).join('\n') + security.stderr);
});

test('make install copies into a prefix and keeps a configuration that is there', { skip }, () => {
  const destination = join(folder, 'destination');
  const install = () => run('packaging/install.sh', [dirname(binary), destination, '/opt/kvcs']);
  install();
  const unit = readFileSync(join(destination, 'opt/kvcs/lib/systemd/system/kvcs.service'), 'utf8');
  assert.match(unit, /ExecStart=\/opt\/kvcs\/bin\/kvcs serve/);
  const configuration = join(destination, 'etc/kvcs/kvcs.yaml');
  writeFileSync(configuration, 'mine\n');
  install();
  assert.equal(readFileSync(configuration, 'utf8'), 'mine\n');
});
