// Goal: what clients in any language send and read is the same through kvcs as straight at a
// provider: header lines, bodies and events to the byte, keys in every form.
// Method: requests written by hand, each twice; see ai_compare.mjs.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Pair } from './ai_compare.mjs';
import { open } from './ai_open.mjs';
import { kKeys } from './ai_provider.mjs';

const pair = new Pair();
before(() => pair.start());
after(() => pair.stop());

// One request; a header whose value is a list is written as that many lines.
const send = (at, path, body, headers = {}) =>
  new Promise((resolve, reject) => {
    const anthropic = path.startsWith('/v1/messages');
    const keys = anthropic
      ? { 'x-api-key': at.key('anthropic'), 'anthropic-version': '2023-06-01' }
      : { authorization: `Bearer ${at.key('openai')}` };
    const request = httpRequest(
      at.url + path,
      { method: 'POST', headers: { 'content-type': 'application/json', ...keys, ...headers } },
      (response) => {
        const chunks = [];
        let broken = false;
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', () => {
          broken = true;
        });
        response.on('close', () =>
          resolve({
            status: response.statusCode,
            type: response.headers['content-type'] ?? null,
            body: Buffer.concat(chunks).toString(),
            broken,
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(body);
  });
const chat = {
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Hello' }],
  max_tokens: 100,
};
const message = { ...chat, model: 'claude-haiku-4-5' };
const text = JSON.stringify;
const counted = { stream: true, stream_options: { include_usage: true } };
const event = (value) => `data: ${text(value)}\n\n`;
const part = (delta, finish_reason = null) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'gpt-4o-mini',
  choices: [{ index: 0, delta, finish_reason }],
  usage: null,
});
const last = {
  ...part({}),
  choices: [],
  usage: { prompt_tokens: 80, completion_tokens: 50, total_tokens: 130 },
};
// A stream written by hand, billed as ai_answers.mjs's default usage.
const streamOf = (parts, odd = {}) => [{ stream: parts, billed: true, ...odd }];
const normal = [part({ role: 'assistant', content: 'Grüße, 🎉' }), part({}, 'stop'), last].map(
  event,
);

const uses = {
  "betas in several header lines, as Go's SDK writes them": {
    answers: [{ text: 'Hi' }],
    run: (at) =>
      send(at, '/v1/messages?beta=true', text(message), {
        'anthropic-beta': ['a-1', 'b-2', 'c-3'],
      }),
  },
  'the same key in two headers': {
    answers: [{ text: 'Hi' }, { text: 'Hi' }],
    run: async (at) => [
      await send(at, '/v1/messages', text(message), {
        authorization: `Bearer ${at.key('anthropic')}`,
      }),
      await send(at, '/v1/messages', text(message), {
        authorization: `bearer ${at.key('anthropic')}`,
      }),
    ],
  },
  "another service's token beside the key": {
    answers: [{ text: 'Hi' }],
    run: (at) =>
      send(at, '/v1/messages', text(message), { authorization: 'Bearer sk-ant-oat01-foreign' }),
  },
  'an empty bearer beside the key': {
    answers: [{ text: 'Hi' }],
    run: (at) => send(at, '/v1/messages', text(message), { authorization: 'Bearer ' }),
  },
  'an answer to the byte': {
    answers: [{ text: 'Grüße, 🎉' }],
    run: (at) => send(at, '/v1/chat/completions', text(chat)),
  },
  'numbers as other languages write them': {
    answers: [{ text: 'Hi' }, { text: 'Hi' }, { text: 'Hi' }],
    run: async (at) => {
      const out = [];
      for (const number of ['100.0', '1e2', '100']) {
        out.push(
          await send(
            at,
            '/v1/chat/completions',
            `{"model":"gpt-4o-mini","n":1.0,"max_tokens":${number},"messages":[]}`,
          ),
        );
      }
      return out;
    },
  },
  'no maximum, as local servers write it': {
    answers: [{ text: 'Hi' }],
    run: (at) =>
      send(at, '/v1/chat/completions', '{"model":"gpt-4o-mini","max_tokens":-1,"messages":[]}'),
  },
  'an encoded request': {
    answers: [{ text: 'Hi' }],
    differs: [
      {
        name: 'decoded',
        at: /^asked\.0\.headers\.content-encoding$/,
        why: 'kvcs must read what a request costs, and passes it on as it read it.',
      },
    ],
    run: (at) =>
      send(at, '/v1/chat/completions', gzipSync(text(chat)), { 'content-encoding': 'gzip' }),
  },
  'unknown members and spaces': {
    answers: [{ text: 'Hi' }],
    run: (at) =>
      send(
        at,
        '/v1/chat/completions',
        '{ "model":"gpt-4o-mini",\n "x":{"a":[1, 2.50]}, "messages":[ {"role":"user","content":"\\u00e9"} ]}',
      ),
  },
  'a stream in bytes of one each': {
    answers: streamOf(normal.concat('data: [DONE]\n\n'), { chop: 1 }),
    run: (at) => send(at, '/v1/chat/completions', text({ ...chat, ...counted })),
  },
  'a stream with comments, names, ids and CRLF': {
    answers: streamOf([
      ': PROCESSING\n\n',
      ...normal.map((one) => `event: x\nid: 7\n${one}`),
      ': keep-alive\r\n\r\n',
      'retry: 10\n\n',
      'data: [DONE]\r\n\r\n',
    ]),
    run: (at) => send(at, '/v1/chat/completions', text({ ...chat, ...counted })),
  },
  'a stream without spaces behind data:': {
    answers: streamOf([...normal, 'data: [DONE]\n\n'].map((one) => one.replace('data: ', 'data:'))),
    run: (at) => send(at, '/v1/chat/completions', text({ ...chat, ...counted })),
  },
  'a stream whose last blank line is missing': {
    differs: [
      { name: 'a blank line', at: /^value\.body$/, why: 'kvcs ends the last event, as others do.' },
    ],
    answers: streamOf([...normal, 'data: [DONE]']),
    run: (at) => send(at, '/v1/chat/completions', text({ ...chat, ...counted })),
  },
  'a stream of two thousand events': {
    answers: streamOf([
      ...Array(2000).fill(event(part({ content: 'word ' }))),
      ...normal,
      'data: [DONE]\n\n',
    ]),
    run: (at) => send(at, '/v1/chat/completions', text({ ...chat, ...counted })),
  },
  'a picture of a megabyte in an event': {
    answers: streamOf([
      event(part({ content: '', images: [{ url: 'w'.repeat(1 << 20) }] })),
      ...normal,
      'data: [DONE]\n\n',
    ]),
    run: (at) => send(at, '/v1/chat/completions', text({ ...chat, ...counted })),
  },
  'an error page of a proxy before the provider': {
    answers: [
      {
        status: 502,
        body: '<html><h1>502 Bad Gateway</h1></html>',
        headers: { 'content-type': 'text/html' },
      },
    ],
    run: (at) => send(at, '/v1/chat/completions', text(chat)),
  },
  'an error without a body': {
    answers: [{ status: 503, body: '' }],
    run: (at) => send(at, '/v1/chat/completions', text(chat)),
  },
  'half of an emoji in an event': {
    answers: streamOf([
      event(part({ content: 'x' })).replace('"x"', '"\\ud83d"'),
      ...normal,
      'data: [DONE]\n\n',
    ]),
    run: (at) => send(at, '/v1/chat/completions', text({ ...chat, ...counted })),
  },
};

const differs = [];
for (const [name, use] of Object.entries(uses))
  test(`wire: ${name}`, open(`wire: ${name}`), () =>
    pair.both({ ...use, differs: [...differs, ...(use.differs ?? [])] }),
  );

test(
  'wire: a provider that refuses stream_options gets the request without',
  open('wire: a provider that refuses stream_options gets the request without'),
  async () => {
    pair.provider.refuses = ['stream_options'];
    try {
      const { through } = await pair.both({
        differs,
        answers: [{ text: 'Hello, world', usage: { fresh: 20, output: 3 } }],
        books: 'at least',
        asks: ({ body }) => (body.stream_options ? null : body),
        run: (at) => send(at, '/v1/chat/completions', text({ ...chat, stream: true })),
      });
      assert.equal(through.value.status, 200);
      assert.equal(through.inferences, 1);
      await pair.admin('PUT', '/admin/ai/providers/openai', {
        ...pair.records.openai,
        stream_options: false,
      });
      await pair.both({
        differs,
        answers: [{ text: 'Hello, world', usage: { fresh: 20, output: 3 } }],
        books: 'at least',
        run: (at) => send(at, '/v1/chat/completions', text({ ...chat, stream: true })),
      });
    } finally {
      pair.provider.refuses = [];
      await pair.admin('PUT', '/admin/ai/providers/openai', pair.records.openai);
    }
  },
);

test(
  'wire: a provider that asks one to go elsewhere does not get the key of kvcs there',
  open('wire: a provider that asks one to go elsewhere does not get the key of kvcs there'),
  async () => {
    const user = await pair.user();
    pair.provider.begin([
      { status: 307, body: '', headers: { location: `${pair.provider.url}/v1/elsewhere` } },
    ]);
    const reply = await fetch(`${pair.daemon.url}/v1/chat/completions`, {
      method: 'POST',
      body: text(chat),
      headers: { authorization: `Bearer ${user.key}`, 'content-type': 'application/json' },
    });
    assert.ok(!reply.redirected && reply.url.startsWith(pair.daemon.url), reply.url);
    assert.equal(pair.provider.requests.length, 1);
    assert.equal(reply.headers.get('location'), null);
  },
);

test(
  "wire: the provider's key is cut out of whatever it says",
  open("wire: the provider's key is cut out of whatever it says"),
  async () => {
    const user = await pair.user();
    const key = kKeys.openai;
    const quoted = {
      error: {
        message: `Incorrect API key provided: ${key}`,
        type: 'invalid_request_error',
        code: null,
      },
    };
    const answers = [
      { status: 401, body: quoted },
      { status: 200, body: quoted },
      { status: 401, body: quoted, gzip: true },
      { status: 200, body: quoted, gzip: true },
      { stream: [event(quoted)] },
      { stream: [...normal.slice(0, 1), event(quoted)] },
    ];
    for (const answer of answers) {
      pair.provider.begin([answer]);
      const reply = await send(
        pair.through(user),
        '/v1/chat/completions',
        text({ ...chat, stream: Boolean(answer.stream) }),
      );
      assert.match(reply.body, /Incorrect API key/);
      assert.ok(!reply.body.includes(key), reply.body);
    }
  },
);

test(
  'wire: a budget of a dollar is enough to say Hi to a large model',
  open('wire: a budget of a dollar is enough to say Hi to a large model'),
  async () => {
    for (const [path, body, limit] of [
      ['/v1/chat/completions', { ...chat, model: 'gpt-5', max_tokens: undefined }, 1],
      ['/v1/responses', { model: 'gpt-5', input: 'Hi' }, 1],
      ['/v1/messages', { ...message, model: 'claude-opus-4-8', max_tokens: 64_000 }, 1],
    ]) {
      const user = await pair.user(limit);
      pair.provider.begin([{ text: 'Hi' }]);
      const reply = await send(pair.through(user), path, text(body));
      assert.equal(reply.status, 200, `${path}: ${reply.body}`);
      assert.equal(await pair.spent(user), pair.provider.billed);
    }
  },
);

test('wire: nothing else differs', open('wire: nothing else differs'), () => {
  assert.deepEqual([...pair.seen].sort(), [
    'a blank line',
    'client software',
    'decoded',
    'unencoded',
  ]);
});
