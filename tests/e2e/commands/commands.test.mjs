// Goal: the command lines of Claude Code and Codex, unmodified, do through kvcs what they do
// straight at a provider: what they print, how they end, and what the provider is asked.
// Method: each use runs twice against the scripted provider; see ai_compare.mjs. `make e2e`
// installs the two (a gigabyte), `make test` does not.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Pair } from '../ai_compare.mjs';
import { open } from '../ai_open.mjs';

const modules = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const claudeBinary = join(
  modules,
  `@anthropic-ai/claude-code-${process.platform}-${process.arch}/claude`,
);
const codexScript = join(modules, '@openai/codex/bin/codex.js');
const skip =
  existsSync(claudeBinary) && existsSync(codexScript)
    ? false
    : `${claudeBinary} or ${codexScript} is not there: \`make e2e\` installs them`;

const pair = new Pair();
// Codex does not work from a home in the system's folder for temporary files.
const folder = mkdtempSync(join(homedir(), '.kvcs-e2e-'));
before(() => pair.start());
after(async () => {
  await pair.stop();
  rmSync(folder, { recursive: true, force: true });
});

// Runs a command in a home of its own, of the same name each time. Resolves with how it ended.
function command(binary, args, env) {
  const home = join(folder, 'home');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(join(home, 'work'), { recursive: true });
  writeFileSync(join(home, 'work', 'note.txt'), 'The note says 42.\n');
  return new Promise((resolve) => {
    const child = execFile(
      binary,
      args,
      {
        cwd: join(home, 'work'),
        timeout: 60_000,
        killSignal: 'SIGKILL',
        maxBuffer: 1 << 24,
        env: { PATH: process.env.PATH, HOME: home, IS_SANDBOX: '1', ...env },
      },
      (failure, stdout, stderr) =>
        resolve({ code: failure ? (failure.code ?? failure.signal) : 0, stdout, stderr }),
    );
    child.stdin.end();
  });
}

// Names that are new in each run, times, and where it ran.
const kRunsOwn = [
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'ID'],
  [/127\.0\.0\.1:\d+/g, 'HOST'],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME'],
  [/"(duration|ttft|time|\w+_ms)[a-z_]*":[\d.]+/g, '"$1":0'],
  [/cc-socks\/\d+/g, 'cc-socks/PID'],
  [/[\d.]+m?s\b/g, '0s'],
  [/\.kvcs-e2e-\w+/g, 'FOLDER'],
  [/(request id:? )[\w-]+/gi, '$1ID'],
];
const same = (text) => kRunsOwn.reduce((out, [pattern, put]) => out.replace(pattern, put), text);
// Of a request what the model is to do; the rest holds dates, paths and ids of the run.
const asks = ({ method, path, headers, body }) =>
  method === 'GET'
    ? null
    : {
        path,
        headers: Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [
            name,
            /id$|metadata$|session/.test(name) ? 'an id' : value,
          ]),
        ),
        body: {
          model: body.model,
          stream: body.stream,
          max: body.max_tokens ?? body.max_output_tokens ?? null,
          thinking: body.thinking ?? null,
          reasoning: body.reasoning ?? null,
          tools: body.tools?.length ?? 0,
          turns: (body.messages ?? body.input).length,
          results:
            JSON.stringify(body.messages ?? body.input).split('The note says 42.').length - 1,
        },
      };
// Names of a conversation, too, in the client's own words.
const software = {
  name: 'client software',
  at: /^asked\.\d+\.headers\.(originator|version|x-codex-[a-z-]+|thread-id|x-claude-code-[a-z-]+)$/,
};

// --- Claude Code ------------------------------------------------------------------------------

const claude = async (at, args, env = { ANTHROPIC_API_KEY: at.key('anthropic') }) => {
  const { code, stdout, stderr } = await command(claudeBinary, ['-p', 'Say hello', ...args], {
    ANTHROPIC_BASE_URL: at.url,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    CLAUDE_CODE_MAX_RETRIES: '1',
    ...env,
  });
  return { code, stdout: same(stdout), stderr: same(stderr) };
};
const haiku = ['--model', 'claude-haiku-4-5'];
const both = (at) => ({
  ANTHROPIC_API_KEY: at.key('anthropic'),
  ANTHROPIC_AUTH_TOKEN: at.key('anthropic'),
});
const hello = () => ({
  text: 'Hello from the script',
  usage: { fresh: 100, cached: 20_000, write: 500, output: 30, reasoning: 20 },
});
const read = () => ({
  tools: [
    { id: 'toolu_1', name: 'Read', input: { file_path: join(folder, 'home', 'work', 'note.txt') } },
  ],
});
const quick = { 'retry-after': '0' };

const uses = {
  'claude: a text': { answers: hello, run: (at) => claude(at, haiku) },
  'claude: its own default model': { answers: hello, run: (at) => claude(at, []) },
  'claude: JSON with usage and cost': {
    answers: hello,
    run: (at) => claude(at, [...haiku, '--output-format', 'json']),
  },
  'claude: every event as JSON': {
    answers: () => ({ ...hello(), thinking: 'A greeting.' }),
    run: (at) =>
      claude(at, [
        ...haiku,
        '--output-format',
        'stream-json',
        '--verbose',
        '--include-partial-messages',
      ]),
  },
  'claude: a turn with a tool': {
    answers: [read(), hello()],
    run: (at) => claude(at, [...haiku, '--allowedTools', 'Read']),
  },
  'claude: a bearer token': {
    answers: hello,
    run: (at) => claude(at, haiku, { ANTHROPIC_AUTH_TOKEN: at.key('anthropic') }),
  },
  'claude: token and key together': { answers: hello, run: (at) => claude(at, haiku, both(at)) },
  'claude: an overloaded provider, once': {
    answers: [{ status: 529, error: 'overloaded_error', headers: quick }, hello()],
    run: (at) => claude(at, haiku),
  },
  'claude: an overloaded provider, told in the stream': {
    answers: [
      {
        free: true,
        stream: [
          'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        ],
      },
      hello(),
    ],
    run: (at) => claude(at, haiku),
  },
  'claude: a request that the provider refuses': {
    answers: () => ({ status: 400, error: 'invalid_request_error' }),
    run: (at) => claude(at, haiku),
  },
  'claude: a compressed stream': {
    answers: () => ({ ...hello(), gzip: true }),
    run: (at) => claude(at, haiku),
  },

  // --- Codex ------------------------------------------------------------------------------------
};
// It would look for plugins and updates elsewhere, and report on itself.
const kAlone = [
  'features.plugins=false',
  'check_for_update_on_startup=false',
  'analytics.enabled=false',
];
const codex = async (at, args = [], own = false) => {
  const alone = kAlone.flatMap((one) => ['-c', one]);
  const where = own
    ? [
        '-c',
        `model_providers.own={name="own", base_url="${at.url}/v1", env_key="OWN_KEY", wire_api="responses", request_max_retries=1, stream_max_retries=1}`,
        '-c',
        'model_provider=own',
      ]
    : ['-c', `openai_base_url="${at.url}/v1"`];
  const key = at.key('openai');
  const { code, stdout, stderr } = await command(
    process.execPath,
    [
      codexScript,
      'exec',
      '--skip-git-repo-check',
      '-m',
      'gpt-5',
      ...alone,
      ...where,
      ...args,
      'Say hello',
    ],
    { CODEX_HOME: join(folder, 'home'), CODEX_API_KEY: key, OPENAI_API_KEY: key, OWN_KEY: key },
  );
  // Its threads write in no order.
  return { code, stdout: same(stdout), stderr: same(stderr).split('\n').sort() };
};
const shell = () => ({
  tools: [{ id: 'call_1', name: 'exec_command', input: { cmd: 'cat note.txt' } }],
});

Object.assign(uses, {
  'codex: a text, by the built-in provider': { answers: hello, run: (at) => codex(at) },
  "codex: a text, by a provider of one's own": { answers: hello, run: (at) => codex(at, [], true) },
  'codex: every event as JSON': {
    answers: () => ({ ...hello(), thinking: 'A greeting.' }),
    run: (at) => codex(at, ['--json'], true),
  },
  'codex: a turn with a tool': {
    answers: [shell(), hello()],
    run: (at) => codex(at, ['--dangerously-bypass-approvals-and-sandbox'], true),
  },
  'codex: a provider that is down, once': {
    answers: [{ status: 500, error: 'server_error', headers: quick }, hello()],
    run: (at) => codex(at, [], true),
  },
  'codex: a stream that breaks off once': {
    answers: [{ text: 'Hello, world', cut: 8 }, hello()],
    books: 'any',
    run: (at) => codex(at, [], true),
  },
  'codex: a request that the provider refuses': {
    answers: () => ({ status: 400, error: 'invalid_request_error' }),
    run: (at) => codex(at, [], true),
  },
  'codex: a compressed stream': {
    answers: () => ({ ...hello(), gzip: true }),
    run: (at) => codex(at, [], true),
  },
  'codex: a user of small means': { answers: hello, run: (at) => codex(at, [], true), limit: 5 },
  'claude: a user of small means': { answers: hello, run: (at) => claude(at, haiku), limit: 2 },
});

for (const [name, use] of Object.entries(uses)) {
  test(name, { skip, ...open(name) }, () => pair.both({ asks, differs: [software], ...use }));
}

test(
  'codex: a stream that always breaks off is told in words',
  { skip, ...open('codex: a stream that always breaks off is told in words') },
  async () => {
    const { through } = await pair.both({
      asks,
      differs: [
        software,
        {
          name: 'a cut stream',
          at: /^value\.stderr/,
          why: 'Straight the connection breaks; kvcs tells it in an event of the dialect.',
        },
      ],
      books: 'any',
      answers: () => ({ text: 'Hello, world', cut: 8 }),
      run: (at) => codex(at, [], true),
    });
    assert.equal(through.value.code, 1);
    assert.match(through.value.stderr.join('\n'), /provider/i);
    assert.doesNotMatch(through.value.stderr.join('\n'), /decoding response body/);
  },
);

test(
  'a spent budget ends both at once, with its reason',
  { skip, ...open('a spent budget ends both at once, with its reason') },
  async () => {
    const place = pair.through(await pair.user(0));
    pair.provider.begin([]);
    for (const use of [
      (at) => claude(at, haiku, { ANTHROPIC_API_KEY: at.key(), CLAUDE_CODE_MAX_RETRIES: '10' }),
      (at) => codex(at, [], true),
    ]) {
      const begun = Date.now();
      const { code, stdout, stderr } = await use(place);
      assert.notEqual(code, 0);
      assert.match(`${stdout}${stderr}`, /limit|budget/i);
      assert.ok(Date.now() - begun < 15_000, `${Date.now() - begun} ms`);
    }
    assert.equal(pair.provider.requests.length, 0);
  },
);

test('commands: nothing else differs', { skip, ...open('commands: nothing else differs') }, () => {
  assert.deepEqual([...pair.seen].sort(), [
    'a cut stream',
    'browser access',
    'client software',
    'unencoded',
  ]);
});
