// Goal: the `@anthropic-ai/sdk`, unmodified, sees through kvcs what it sees straight at a provider.
// Method: each use runs twice against the scripted provider; see ai_compare.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import { kCutStream, kNoAnswer, kOtherRoutes, kOwnModels, Pair } from './ai_compare.mjs';
import { open } from './ai_open.mjs';

const pair = new Pair();
before(() => pair.start());
after(() => pair.stop());

const client = (place, options = {}) =>
  new Anthropic({ ...place.anthropic, maxRetries: 0, ...options });
const model = 'claude-haiku-4-5';
const messages = [{ role: 'user', content: 'Hello' }];
const ask = { model, messages, max_tokens: 200 };
const all = async (parts) => {
  const out = [];
  for await (const part of parts) out.push(part);
  return out;
};
const weather = {
  name: 'weather',
  input_schema: { type: 'object', properties: { city: { type: 'string' } } },
};
const calls = [
  { id: 'toolu_1', name: 'weather', input: { city: 'Paris' } },
  { id: 'toolu_2', name: 'weather', input: { city: 'Łódź' } },
];
const cached = { fresh: 30, cached: 1000, write: 200, write1h: 100, output: 40, reasoning: 60 };
const search = { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 3 }] };
const compaction = [
  { type: 'compaction', input_tokens: 180_000, output_tokens: 3500 },
  { type: 'message', input_tokens: 23_000, output_tokens: 1000 },
];

const uses = {
  'a message, with the id of the request': {
    answers: [{ text: 'Hi', usage: cached }],
    run: async (at) => {
      const message = await client(at).messages.create(ask);
      return { message, id: message._request_id };
    },
  },
  'a stream, event by event': {
    answers: [{ text: 'Hello, world', usage: cached }],
    run: async (at) => all(await client(at).messages.create({ ...ask, stream: true })),
  },
  'thinking and tools, streamed': {
    answers: [{ thinking: 'Let me think.', text: 'I ask.', tools: calls, usage: cached }],
    run: (at) =>
      client(at)
        .messages.stream({
          ...ask,
          max_tokens: 3000,
          thinking: { type: 'enabled', budget_tokens: 1024 },
          tools: [weather],
        })
        .finalMessage(),
  },
  'thinking and tools, whole': {
    answers: [{ thinking: 'Let me think.', tools: calls, usage: cached }],
    run: (at) =>
      client(at).messages.create({
        ...ask,
        max_tokens: 3000,
        thinking: { type: 'enabled', budget_tokens: 1024 },
        tools: [weather],
      }),
  },
  "the provider's own search, whole and streamed": {
    answers: [
      { text: 'Found', searches: 2 },
      { text: 'Found', searches: 3 },
    ],
    run: async (at) => [
      await client(at).messages.create({ ...ask, ...search }),
      await client(at)
        .messages.stream({ ...ask, ...search })
        .finalMessage(),
    ],
  },
  'a compaction, which is a call of the model too': {
    answers: [
      { text: 'Short', iterations: compaction, usage: { fresh: 23_000, output: 1000 } },
      { text: 'Short', iterations: compaction, usage: { fresh: 23_000, output: 1000 } },
    ],
    run: async (at) => {
      const beta = {
        ...ask,
        model: 'claude-opus-4-8',
        betas: ['compact-2026-01-12'],
        context_management: { edits: [{ type: 'compact_20260112' }] },
      };
      return [
        await client(at).beta.messages.create(beta),
        await all(await client(at).beta.messages.create({ ...beta, stream: true })),
      ];
    },
  },
  'a last delta whose input counts are 0': {
    answers: [{ text: 'Hi', usage: { fresh: 50_000, output: 100 }, zeroDelta: true }],
    run: async (at) => all(await client(at).messages.create({ ...ask, stream: true })),
  },
  'the helper that runs tools': {
    answers: [{ tools: [calls[0]] }, { text: 'Sunny' }],
    run: async (at) => {
      const tool = betaZodTool({
        name: 'weather',
        description: 'Weather',
        inputSchema: z.object({ city: z.string() }),
        run: ({ city }) => `Sunny in ${city}`,
      });
      return client(at).beta.messages.toolRunner({ ...ask, tools: [tool] });
    },
  },
  'a parsed structured answer': {
    answers: [{ text: '{"city":"Paris"}' }],
    run: async (at) =>
      (
        await client(at).messages.parse({
          ...ask,
          output_config: { format: zodOutputFormat(z.object({ city: z.string() })) },
        })
      ).parsed_output,
  },
  'an answer cut by its maximum': {
    answers: [{ text: 'Hel', finish: 'length' }],
    run: (at) => client(at).messages.create(ask),
  },
  'tokens counted, which is free': {
    run: (at) => client(at).messages.countTokens({ model, messages }),
  },
  'betas and ?beta=true': {
    answers: [{ text: 'Hi' }],
    run: (at) =>
      client(at).beta.messages.create({
        ...ask,
        betas: ['context-1m-2025-08-07', 'files-api-2025-04-14'],
      }),
  },
  'a bearer token instead of the key': {
    answers: [{ text: 'Hi' }],
    run: (at) => client(at, { apiKey: null, authToken: at.key('anthropic') }).messages.create(ask),
  },
  'headers of the provider that clients read': {
    answers: [{ text: 'Hi' }],
    run: async (at) => {
      const { response, request_id } = await client(at).messages.create(ask).withResponse();
      return [
        response.headers.get('request-id'),
        request_id,
        response.headers.get('anthropic-ratelimit-requests-remaining'),
      ];
    },
  },
  'text beyond the basic plane': {
    answers: [{ text: 'Ünïcødé 🎉 漢字 \u2028 "q" \u0000' }],
    run: (at) =>
      client(at)
        .messages.stream({ ...ask, messages: [{ role: 'user', content: 'é 🎉 \u2028' }] })
        .finalMessage(),
  },
  'half of an emoji in a request and in an answer': {
    answers: [{ text: 'cut \ud83d' }],
    run: (at) =>
      client(at).messages.create({ ...ask, messages: [{ role: 'user', content: 'cut \ud83d' }] }),
  },
  'a picture and a document': {
    answers: [{ text: 'A cat' }],
    run: (at) =>
      client(at).messages.create({
        ...ask,
        messages: [
          {
            role: 'user',
            content: [
              {
                type: 'image',
                source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' },
              },
              { type: 'document', source: { type: 'url', url: 'https://example.com/a.pdf' } },
            ],
          },
        ],
      }),
  },
  'a prompt of two megabytes': {
    answers: [{ text: 'Long' }],
    run: (at) =>
      client(at).messages.create({
        ...ask,
        messages: [{ role: 'user', content: 'word '.repeat(400_000) }],
      }),
  },
};

Object.assign(uses, {
  'everything that a request can say': {
    answers: [{ text: 'Hi', usage: cached }],
    run: (at) =>
      client(at).messages.create({
        ...ask,
        system: [
          { type: 'text', text: 'Be short.', cache_control: { type: 'ephemeral', ttl: '1h' } },
        ],
        stop_sequences: ['END'],
        temperature: 0.5,
        top_k: 5,
        metadata: { user_id: 'u' },
        tools: [{ ...weather, cache_control: { type: 'ephemeral' } }],
        tool_choice: { type: 'auto', disable_parallel_tool_use: true },
      }),
  },
  'thirty requests at once': {
    answers: () => ({ text: 'Same' }),
    asks: () => null,
    run: async (at) =>
      Promise.all(
        Array.from({ length: 30 }, async (_, i) =>
          i % 2 === 0
            ? client(at).messages.create(ask)
            : client(at).messages.stream(ask).finalMessage(),
        ),
      ),
  },
  "the stream helper's own events": {
    answers: [{ thinking: 'So.', text: 'Hello, world' }],
    run: async (at) => {
      const seen = [];
      const stream = client(at).messages.stream({
        ...ask,
        max_tokens: 3000,
        thinking: { type: 'enabled', budget_tokens: 1024 },
      });
      for (const name of [
        'connect',
        'text',
        'thinking',
        'signature',
        'contentBlock',
        'message',
        'finalMessage',
        'end',
      ]) {
        stream.on(name, (value) => seen.push([name, value]));
      }
      return { text: await stream.finalText(), seen };
    },
  },
  'a helper that is aborted': {
    answers: [{ text: 'A long story begins', hold: 5 }],
    run: async (at) => {
      const stream = client(at).messages.stream(ask);
      stream.on('text', () => stream.abort());
      await stream.done();
    },
  },
  'a connection that closes without an answer, and a second try': {
    answers: [{ drop: true }, { text: 'Hi' }],
    books: 'more',
    run: (at) => client(at, { maxRetries: 1 }).messages.create(ask),
  },
  'a connection that closes without an answer': {
    answers: [{ drop: true }],
    books: 'more',
    differs: kNoAnswer,
    run: (at) => client(at).messages.create(ask),
  },
  'batches are not found': {
    run: (at) => client(at).messages.batches.list(),
    differs: kOtherRoutes,
  },
  'files are not found': {
    run: async (at) => all(client(at).beta.files.list()),
    differs: kOtherRoutes,
  },
});

for (const [what, odd] of Object.entries({
  compressed: { gzip: true },
  'as text/plain': { type: 'text/plain' },
  'as JSON': { type: 'application/json' },
  'without a type': { type: null },
})) {
  uses[`a stream ${what}`] = {
    answers: [{ text: 'Hello, world', usage: cached, ...odd }],
    run: async (at) => all(await client(at).messages.create({ ...ask, stream: true })),
  };
}
uses['a compressed answer'] = {
  answers: [{ text: 'Hi', usage: cached, gzip: true }],
  run: (at) => client(at).messages.create(ask),
};

const error = (type) => ({ type: 'error', error: { type, message: `It is ${type}.` } });
const failed = (type) => `event: error\ndata: ${JSON.stringify(error(type))}\n\n`;
for (const [status, type] of [
  [400, 'invalid_request_error'],
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [500, 'api_error'],
  [529, 'overloaded_error'],
]) {
  uses[`an error ${status}, with the id of the request`] = {
    answers: [{ status, body: error(type) }],
    run: (at) => client(at).messages.create(ask),
  };
}
const quick = { 'retry-after-ms': '5' };
Object.assign(uses, {
  'a second try after 429 and 529': {
    answers: [
      { status: 429, body: error('rate_limit_error'), headers: quick },
      { status: 529, body: error('overloaded_error'), headers: quick },
      { text: 'Hi' },
    ],
    run: (at) => client(at, { maxRetries: 2 }).messages.create(ask),
  },
  'an error that says not to try again': {
    answers: [
      {
        status: 429,
        body: error('rate_limit_error'),
        headers: { 'x-should-retry': 'false', 'retry-after': '1' },
      },
      { text: 'Never' },
    ],
    run: (at) => client(at, { maxRetries: 2 }).messages.create(ask),
  },
  'an error as the first event of a stream': {
    answers: [{ stream: [failed('overloaded_error')] }],
    run: async (at) => all(await client(at).messages.create({ ...ask, stream: true })),
  },
  'an error in the middle of a stream': {
    answers: [
      {
        free: true,
        stream: [
          'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}\n\n',
          'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
          'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}\n\n',
          failed('overloaded_error'),
        ],
      },
    ],
    books: 'any',
    run: async (at) => all(await client(at).messages.create({ ...ask, stream: true })),
  },
  'a client that stops reading': {
    answers: [{ text: 'A long story begins', hold: 5 }],
    run: async (at) => {
      const seen = [];
      for await (const part of await client(at).messages.create({ ...ask, stream: true })) {
        seen.push(part);
        if (part.type === 'content_block_delta') break; // Leaving the loop aborts the request.
      }
      return seen;
    },
  },
  'a client that aborts before the answer': {
    answers: [{ text: 'Too late', hold: 'head' }],
    run: (at) => client(at).messages.create(ask, { signal: at.leaves() }),
  },
  'a client that aborts before the first event': {
    answers: [{ text: 'Too late', hold: 'head' }],
    run: (at) => client(at).messages.create({ ...ask, stream: true }, { signal: at.leaves() }),
  },
  'a client that times out and tries again': {
    answers: [{ text: 'Too late', delayMs: 800 }, { text: 'In time' }],
    run: (at) => client(at, { timeout: 400, maxRetries: 1 }).messages.create(ask),
  },
  'the models': {
    run: async (at) => {
      const models = await all(client(at).models.list());
      const kinds = (value) =>
        Object.fromEntries(
          ['id', 'type', 'display_name', 'created_at'].map((name) => [name, typeof value[name]]),
        );
      const one = await client(at).models.retrieve(model);
      return {
        ids: models.some(({ id }) => id.endsWith(model)),
        kinds: kinds(models[0]),
        one: kinds(one),
        dated: [one, ...models].every(
          ({ created_at }) => new Date(created_at).getFullYear() >= 2020,
        ),
      };
    },
    differs: kOwnModels,
  },
  'a model that nobody has': {
    run: (at) => client(at).models.retrieve('claude-none'),
    differs: kOwnModels,
  },
});

for (const [name, use] of Object.entries(uses))
  test(`anthropic: ${name}`, open(`anthropic: ${name}`), () => pair.both(use));

test(
  'anthropic: a stream that breaks off is an error and is paid for',
  open('anthropic: a stream that breaks off is an error and is paid for'),
  async () => {
    const { through } = await pair.both({
      answers: [{ text: 'Hello, world', cut: 5, finish: 'none' }],
      books: 'any',
      differs: kCutStream,
      run: async (at) => all(await client(at).messages.create({ ...ask, stream: true })),
    });
    assert.equal(through.error.class, 'APIError');
  },
);

test(
  "anthropic: a spent budget is one try, and the SDK's rate limit error",
  open("anthropic: a spent budget is one try, and the SDK's rate limit error"),
  async () => {
    const user = await pair.user(0);
    pair.provider.begin([]);
    let tries = 0;
    const counted = (...args) => {
      ++tries;
      return fetch(...args);
    };
    await assert.rejects(
      client(pair.through(user), { maxRetries: 2, fetch: counted }).messages.create(ask),
      Anthropic.RateLimitError,
    );
    assert.equal(tries, 1);
    assert.equal(pair.provider.requests.length, 0);
  },
);

test('anthropic: nothing else differs', open('anthropic: nothing else differs'), () => {
  assert.deepEqual([...pair.seen].sort(), [
    'a cut stream',
    'client software',
    'no answer',
    'other routes',
    'own models',
    'unencoded',
  ]);
});
