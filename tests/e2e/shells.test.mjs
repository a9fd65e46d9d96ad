// Goal: completion works in the shells that people have, and the manual is sound. Method: the shells themselves,
// asked for what they would offer, and man with its warnings; each is left out where it is not installed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { binary } from './daemon.mjs';

const folder = mkdtempSync(join(tmpdir(), 'kvcs-shells-'));
const env = { PATH: `${folder}${delimiter}${process.env.PATH}`, HOME: folder, TERM: 'dumb', LANG: 'C.UTF-8' };
const without = (program, ...args) =>
  spawnSync(program, args.length ? args : ['--version']).error ? `${program} is not installed` : false;

before(() => {
  symlinkSync(binary, join(folder, 'kvcs'));
  writeFileSync(join(folder, 'a file.kv'), '');
});
after(() => rmSync(folder, { recursive: true, force: true }));

function run(program, args, input = '') {
  const ran = spawnSync(program, args, { cwd: folder, env, input, encoding: 'utf8', timeout: 60_000 });
  assert.equal(ran.status, 0, `${program}: ${ran.stderr}`);
  assert.equal(ran.stderr, '', program);
  return ran.stdout;
}
const script = (shell) => run(join(folder, 'kvcs'), ['completion', shell]);

// What is offered behind these words; at an argument that may be a file, the files.
const kOffers = [['kvcs adm', ['admin']], ['kvcs admin org cr', ['create']], ['kvcs list --sor', ['--sort']],
  ['kvcs key l', ['list']], ['kvcs completion z', ['zsh']], ['kvcs inspect a', ['a file.kv']]];

test('shells: fish offers what the program says', { skip: without('fish') }, () => {
  mkdirSync(join(folder, '.config/fish/completions'), { recursive: true });
  writeFileSync(join(folder, '.config/fish/completions/kvcs.fish'), script('fish'));
  for (const [line, offers] of kOffers) {
    const said = run('fish', ['-c', `complete -C '${line}'`]);
    const words = said.split('\n').filter(Boolean).map((one) => one.split('\t')[0].replaceAll('\\ ', ' '));
    assert.deepEqual(words, offers, line);
  }
});

// zsh completes at a prompt alone, so one is made on a pty of its own.
const kPrompt = `
zmodload zsh/zpty
read_to() { local piece; while zpty -r prompt piece; do said+=$piece; [[ $said == *$1* ]] && return; done }
zpty prompt zsh -f -i
zpty -w prompt "PS1=; fpath=($PWD/functions \\$fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-colors; print READ\\y"
read_to READy
zpty -w prompt "show() { print -r -- [[\\$BUFFER]]; exit }; zle -N show; bindkey '^X' show; print SE\\T"
read_to SET
said=
zpty -w -n prompt "$1"$'\\t\\x18'
read_to ']]'
print -r -- "\${\${said##*\\[\\[}%%\\]\\]*}"
`;

test('shells: zsh puts in what the program says', { skip: without('zsh') }, () => {
  mkdirSync(join(folder, 'functions'), { recursive: true });
  writeFileSync(join(folder, 'functions/_kvcs'), script('zsh'));
  writeFileSync(join(folder, 'prompt.zsh'), kPrompt);
  for (const [line, [offer]] of kOffers) {
    const begun = line.slice(0, line.lastIndexOf(' ') + 1);
    assert.equal(run('zsh', ['-f', 'prompt.zsh', line]).trim(), `${begun}${offer.replaceAll(' ', '\\ ')}`.trim(), line);
  }
});

test('shells: each shell reads its script without a complaint', () => {
  for (const shell of ['bash', 'zsh', 'fish'].filter((one) => !without(one))) {
    writeFileSync(join(folder, 'script'), script(shell));
    run(shell, [shell === 'fish' ? '--no-execute' : '-n', 'script']);
  }
});

test('shells: the manual has no warnings', { skip: without('man') }, () => {
  const pages = join(folder, 'man1');
  mkdirSync(pages);
  run(join(folder, 'kvcs'), ['__man', pages]);
  const names = readdirSync(pages);
  assert.ok(names.includes('kvcs.1') && names.includes('kvcs-upload.1'));
  for (const name of names) {
    const ran = spawnSync('man', ['--warnings=w', '-E', 'UTF-8', '-l', '-Tutf8', '-Z', join(pages, name)],
      { env: { ...env, MANWIDTH: '80', MANROFFSEQ: '' }, encoding: 'utf8', maxBuffer: 1 << 26 });
    assert.equal(ran.status, 0, `${name}: ${ran.stderr}`);
    assert.equal(ran.stderr, '', name);
  }
});
