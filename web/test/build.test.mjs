// Goal: what is embedded obeys the Content-Security-Policy default-src 'self' and is complete.
// Method: builds into a folder of its own, reads it, and the assembly that embed.sh writes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

const web = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = mkdtempSync(join(tmpdir(), 'kvcs-web-'));
const dist = join(folder, 'dist');
after(() => rmSync(folder, { recursive: true }));
execFileSync(process.execPath, [join(web, 'build.mjs'), dist]);
const page = readFileSync(join(dist, 'index.html'), 'utf8');

function embed(mode) {
  const output = join(folder, 'assets.S');
  execFileSync(join(web, 'embed.sh'), [mode, output, dist]);
  return readFileSync(output, 'utf8');
}

test('every file that the page names exists and has a hashed name', () => {
  const named = [...page.matchAll(/(?:src|href)="([^"]*\.[a-z]+)"/g)].map((m) => m[1]);
  assert.ok(named.length >= 3);
  for (const path of named) {
    assert.ok(existsSync(join(dist, path)), path);
    if (path !== 'favicon.svg') assert.match(path, /^assets\/[a-z]+-[A-Z0-9]{8}\.(js|css)$/);
  }
});

test('nothing is inline and nothing comes from another host', () => {
  assert.ok(!/<script(?![^>]*\ssrc=)/.test(page));
  assert.ok(!/<style|\sstyle=|\son[a-z]+=/.test(page));
  assert.ok(!/https?:\/\//.test(page));
});

test('a page whose script does not come says so', () => {
  assert.match(page, /<div id="app">\s*<p [^>]*>[^<]*load the page anew\.<\/p>/);
});

test('the licences of what is bundled go along', () => {
  const text = readFileSync(join(dist, 'licenses.txt'), 'utf8');
  for (const name of ['preact', 'uplot', 'uqr']) assert.ok(text.includes(`\n${name}\n`), name);
  assert.ok(text.split('Permission is hereby granted').length > 2);
});

test('each file that gains by it is there by brotli and by gzip, and they are the same', () => {
  const name = /assets\/app-\w+\.js/.exec(page)[0];
  const code = readFileSync(join(dist, name));
  assert.ok(brotliDecompressSync(readFileSync(join(dist, `${name}.br`))).equals(code));
  assert.ok(gunzipSync(readFileSync(join(dist, `${name}.gz`))).equals(code));
});

test('the lock file names no host', () => {
  assert.ok(!readFileSync(join(web, 'package-lock.json'), 'utf8').includes('"resolved"'));
});

test('the assembly has a row for each file, with its digest', () => {
  const text = embed('1');
  assert.ok(text.includes('.asciz "/index.html"'));
  assert.ok(text.includes(createHash('sha256').update(page).digest('hex')));
  assert.equal(text.match(/\.quad \.Lpath/g).length, text.match(/\.asciz "\//g).length);
  assert.match(text, /\.incbin "[^"]*\/app-\w+\.js\.br"/);
  assert.ok(!/\.asciz "[^"]*\.(br|gz)"/.test(text));
  assert.ok(text.indexOf('"/assets/') < text.indexOf('"/favicon.svg"'));
});

test('without Node one page is embedded that says how to have the others', () => {
  const text = embed('0');
  assert.equal(text.match(/\.quad \.Lpath/g).length, 1);
  assert.ok(text.includes('.asciz "/index.html"'));
});
