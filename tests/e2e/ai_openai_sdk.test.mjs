// Goal: the `openai` SDK, unmodified, sees through kvcs what it sees straight at a provider.
// Method: each use runs twice against the scripted provider; see ai_compare.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  kCutStream,
  kNoAnswer,
  kOpenAiRequestId,
  kOtherRoutes,
  kOwnModels,
  Pair,
} from './ai_compare.mjs';
import { open } from './ai_open.mjs';

const pair = new Pair();
before(() => pair.start());
after(() => pair.stop());

const client = (place, options = {}) => new OpenAI({ ...place.openai, maxRetries: 0, ...options });
const model = 'gpt-4o-mini';
const messages = [{ role: 'user', content: 'Hello' }];
const ask = { model, messages, max_tokens: 200 };
const respond = { model: 'gpt-5', input: 'Hello', max_output_tokens: 200 };
const all = async (parts) => {
  const out = [];
  for await (const part of parts) out.push(part);
  return out;
};
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
};
const calls = [
  { id: 'call_1', name: 'weather', input: { city: 'Paris' } },
  { id: 'call_2', name: 'weather', input: { city: 'Łódź' } },
];
const kPicture =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const detailed = { fresh: 300, cached: 128, output: 40, reasoning: 60 };

// name, what differs from `both`'s defaults
const uses = {
  'a chat completion with all of its usage': {
    answers: [{ text: 'Hi', usage: detailed }],
    run: (at) => client(at).chat.completions.create(ask),
  },
  'a stream, chunk by chunk': {
    answers: [{ text: 'Hello, world', usage: detailed }],
    run: async (at) => all(await client(at).chat.completions.create({ ...ask, stream: true })),
  },
  'a stream whose usage was asked for': {
    answers: [{ text: 'Hello, world', usage: detailed }],
    run: async (at) =>
      all(
        await client(at).chat.completions.create({
          ...ask,
          stream: true,
          stream_options: { include_usage: true },
        }),
      ),
  },
  'a stream whose usage was refused': {
    answers: [{ text: 'Hello, world', usage: detailed }],
    run: async (at) =>
      all(
        await client(at).chat.completions.create({
          ...ask,
          stream: true,
          stream_options: { include_usage: false },
        }),
      ),
  },
  "the stream helper's final completion and usage": {
    answers: [{ text: 'Hello, world' }],
    run: async (at) => {
      const runner = client(at).chat.completions.stream({
        ...ask,
        stream_options: { include_usage: true },
      });
      return { final: await runner.finalChatCompletion(), usage: await runner.totalUsage() };
    },
  },
  'three choices, streamed': {
    answers: [{ text: ['One', 'Two', 'Three'] }],
    run: async (at) =>
      all(await client(at).chat.completions.create({ ...ask, n: 3, stream: true })),
  },
  'parallel tool calls, whole': {
    answers: [{ tools: calls }],
    run: (at) => client(at).chat.completions.create({ ...ask, tools: [weather] }),
  },
  'parallel tool calls, streamed': {
    answers: [{ tools: calls }],
    run: async (at) =>
      (
        await client(at)
          .chat.completions.stream({ ...ask, tools: [weather] })
          .finalChatCompletion()
      ).choices,
  },
  'the helper that runs tools': {
    answers: [{ tools: calls }, { text: 'Sunny' }],
    run: async (at) => {
      const tool = {
        type: 'function',
        function: {
          ...weather.function,
          function: (input) => `Sunny in ${input.city}`,
          parse: JSON.parse,
        },
      };
      const runner = client(at).chat.completions.runTools({ ...ask, tools: [tool] });
      return {
        final: await runner.finalContent(),
        messages: runner.messages,
        usage: await runner.totalUsage(),
      };
    },
  },
  'a parsed structured answer': {
    answers: [{ text: '{"city":"Paris","degrees":21}' }],
    run: async (at) => {
      const format = zodResponseFormat(
        z.object({ city: z.string(), degrees: z.number() }),
        'weather',
      );
      return (await client(at).chat.completions.parse({ ...ask, response_format: format }))
        .choices[0].message.parsed;
    },
  },
  'an answer cut by its maximum is no parsed one': {
    answers: [{ text: '{"city":"Pa', finish: 'length' }],
    run: (at) =>
      client(at).chat.completions.parse({
        ...ask,
        response_format: zodResponseFormat(z.object({ city: z.string() }), 'weather'),
      }),
  },
  'a response': {
    answers: [{ text: 'Hi', thinking: 'A greeting.', usage: detailed }],
    run: (at) => client(at).responses.create(respond),
  },
  'a streamed response with searches and a tool call, event by event': {
    answers: [
      { text: 'Found', thinking: 'Let me look.', searches: 2, tools: [calls[0]], usage: detailed },
    ],
    run: async (at) =>
      all(
        await client(at).responses.create({
          ...respond,
          stream: true,
          tools: [{ type: 'web_search' }],
        }),
      ),
  },
  "the responses stream helper's final response": {
    answers: [{ text: 'Hello, world', searches: 1 }],
    run: async (at) =>
      client(at)
        .responses.stream({ ...respond, tools: [{ type: 'web_search' }] })
        .finalResponse(),
  },
  'a parsed response': {
    answers: [{ text: '{"city":"Paris"}' }],
    run: async (at) =>
      (
        await client(at).responses.parse({
          ...respond,
          text: { format: zodTextFormat(z.object({ city: z.string() }), 'w') },
        })
      ).output_parsed,
  },
  'an incomplete response': {
    answers: [{ text: 'Hel', finish: 'length' }],
    run: async (at) => all(await client(at).responses.create({ ...respond, stream: true })),
  },
  'embeddings of one text and of several, as base64 and as numbers': {
    answers: [{ usage: { fresh: 5, output: 0 } }, { usage: { fresh: 9, output: 0 } }],
    run: async (at) => [
      await client(at).embeddings.create({ model: 'text-embedding-3-small', input: 'Hello' }),
      await client(at).embeddings.create({
        model: 'text-embedding-3-small',
        input: ['a', 'b', 'c'],
        encoding_format: 'float',
        dimensions: 2,
      }),
    ],
  },
  'headers of the provider that clients read': {
    answers: [{ text: 'Hi' }],
    run: async (at) => {
      const { response } = await client(at).chat.completions.create(ask).withResponse();
      return ['openai-processing-ms', 'openai-version', 'x-ratelimit-remaining-requests'].map(
        (name) => response.headers.get(name),
      );
    },
  },
  'tracing, organization and client ids reach the provider': {
    answers: [{ text: 'Hi' }],
    run: (at) =>
      client(at, {
        organization: 'org-1',
        project: 'proj_1',
        defaultHeaders: {
          'HTTP-Referer': 'https://app.example',
          'X-Title': 'App',
          'x-client-request-id': 'mine',
          'session-id': 's-1',
          traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
          tracestate: 'a=1',
        },
      }).chat.completions.create(ask),
  },
  'text beyond the basic plane': {
    answers: [{ text: 'Ünïcødé 🎉 漢字 \u2028 "quoted" \\ \u0000' }, { text: 'Ünïcødé 🎉 漢字' }],
    run: async (at) => [
      await client(at).chat.completions.create({
        ...ask,
        messages: [{ role: 'user', content: 'é 🎉 \u2028' }],
      }),
      await all(await client(at).chat.completions.create({ ...ask, stream: true })),
    ],
  },
  'half of an emoji in a request and in an answer': {
    answers: [{ text: 'cut \ud83d' }],
    run: (at) =>
      client(at).chat.completions.create({
        ...ask,
        messages: [{ role: 'user', content: 'cut \ud83d' }],
      }),
  },
  'a prompt of two megabytes': {
    answers: [{ text: 'Long' }],
    run: async (at) =>
      (
        await client(at).chat.completions.create({
          ...ask,
          messages: [{ role: 'user', content: 'word '.repeat(400_000) }],
        })
      ).choices,
  },
  'a slow answer': {
    answers: [{ text: 'At last', delayMs: 300 }],
    run: (at) => client(at).chat.completions.create(ask),
  },
};

Object.assign(uses, {
  'thirty requests at once': {
    answers: () => ({ text: 'Same' }),
    run: async (at) => {
      const one = client(at);
      const asked = Array.from({ length: 30 }, (_, i) => ({ ...ask, stream: i % 2 === 0 }));
      const told = async (answer, body) =>
        body.stream ? (await all(answer)).length : answer.choices[0].message.content;
      return Promise.all(
        asked.map(async (body) => told(await one.chat.completions.create(body), body)),
      );
    },
    asks: () => null,
  },
  'a response that goes on from another': {
    answers: [
      { text: 'First' },
      { text: 'Second', usage: { fresh: 5000, cached: 1000, output: 50 } },
    ],
    run: async (at) => {
      const first = await client(at).responses.create({ ...respond, store: true });
      return client(at).responses.create({ ...respond, previous_response_id: first.id });
    },
  },
  'a picture and a document of a megabyte, for a user with a dollar': {
    limit: 1,
    answers: [{ text: 'A cat' }, { text: 'A paper' }],
    run: async (at) => {
      const picture = {
        type: 'image_url',
        image_url: { url: `data:image/png;base64,${kPicture}`, detail: 'low' },
      };
      const paper = {
        type: 'file',
        file: {
          filename: 'a.pdf',
          file_data: `data:application/pdf;base64,${'JVBERi0xLjQK'.repeat(90_000)}`,
        },
      };
      const see = (part) =>
        client(at).chat.completions.create({
          ...ask,
          messages: [{ role: 'user', content: [{ type: 'text', text: 'What?' }, part] }],
        });
      return [await see(picture), await see(paper)];
    },
  },
  'an answer read as it came': {
    answers: [{ text: 'Hi' }],
    run: async (at) => (await client(at).chat.completions.create(ask).asResponse()).text(),
  },
  'a helper that is aborted': {
    answers: [{ text: 'A long story begins', hold: 3 }],
    run: async (at) => {
      const runner = client(at).chat.completions.stream(ask);
      runner.on('content', () => runner.abort());
      await runner.done();
    },
  },
  'a connection that closes without an answer, and a second try': {
    answers: [{ drop: true }, { text: 'Hi' }],
    books: 'more',
    run: (at) => client(at, { maxRetries: 1 }).chat.completions.create(ask),
  },
  'a connection that closes without an answer': {
    answers: [{ drop: true }],
    books: 'more',
    differs: kNoAnswer,
    run: (at) => client(at).chat.completions.create(ask),
  },
});
for (const [what, run] of Object.entries({
  'a response fetched again': (one) => one.responses.retrieve('resp_1'),
  'a completion of the old kind': (one) => one.completions.create({ model, prompt: 'Hi' }),
  'a picture made': (one) => one.images.generate({ model: 'gpt-image-1', prompt: 'A cat' }),
  'a moderation': (one) => one.moderations.create({ input: 'Hi' }),
})) {
  uses[`${what} is not found`] = { run: (at) => run(client(at)), differs: kOtherRoutes };
}

// What is odd about how a provider sends its answer.
const oddities = {
  'without [DONE]': { done: false },
  compressed: { gzip: true },
  'as text/plain': { type: 'text/plain' },
  'as JSON': { type: 'application/json' },
  'without a type': { type: null },
  'with a type in capitals': { type: 'Text/Event-Stream' },
};
for (const [what, odd] of Object.entries(oddities)) {
  uses[`a stream ${what}`] = {
    answers: [{ text: 'Hello, world', usage: detailed, ...odd }],
    run: async (at) =>
      all(
        await client(at).chat.completions.create({
          ...ask,
          stream: true,
          stream_options: { include_usage: true },
        }),
      ),
  };
  if (odd.done === undefined) {
    uses[`a response's stream ${what}`] = {
      answers: [{ text: 'Hello, world', usage: detailed, ...odd }],
      run: async (at) => all(await client(at).responses.create({ ...respond, stream: true })),
    };
  }
}
uses['a compressed answer'] = {
  answers: [{ text: 'Hi', usage: detailed, gzip: true }],
  run: (at) => client(at).chat.completions.create(ask),
};

// Errors: class, message, status, and how often the SDK tried.
const error = (type, code = null) => ({
  error: { message: `It is ${type}.`, type, param: null, code },
});
for (const [status, type] of [
  [400, 'invalid_request_error'],
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found'],
  [409, 'conflict'],
  [422, 'invalid'],
  [429, 'rate_limit_exceeded'],
  [500, 'server_error'],
  [503, 'overloaded'],
]) {
  uses[`an error ${status}`] = {
    answers: [
      { status, body: error(type, 'a_code') },
      { status, body: error(type, 'a_code') },
    ],
    run: (at) => client(at).chat.completions.create(ask),
    differs: kOpenAiRequestId,
  };
}
const quick = { 'retry-after-ms': '5' };
Object.assign(uses, {
  'a second try after 429 and 500': {
    answers: [
      { status: 429, body: error('slow'), headers: quick },
      { status: 500, body: error('down'), headers: quick },
      { text: 'Hi' },
    ],
    run: (at) => client(at, { maxRetries: 2 }).chat.completions.create(ask),
  },
  'an error that says not to try again': {
    answers: [
      { status: 429, body: error('quota'), headers: { 'x-should-retry': 'false' } },
      { text: 'Never' },
    ],
    run: (at) => client(at, { maxRetries: 2 }).chat.completions.create(ask),
    differs: kOpenAiRequestId,
  },
  'an error that says to try again': {
    answers: [
      { status: 400, body: error('odd'), headers: { 'x-should-retry': 'true', ...quick } },
      { text: 'Hi' },
    ],
    run: (at) => client(at, { maxRetries: 2 }).chat.completions.create(ask),
  },
  'an error as an answer': {
    answers: [{ status: 200, body: { error: { message: 'Provider returned error', code: 502 } } }],
    run: (at) => client(at).chat.completions.create(ask),
  },
  'an error as the first event of a stream': {
    answers: [{ stream: [`data: ${JSON.stringify(error('server_error'))}\n\n`] }],
    run: async (at) => all(await client(at).chat.completions.create({ ...ask, stream: true })),
    differs: kOpenAiRequestId,
  },
  'a choice that ends in an error': {
    answers: [{ text: '', finish: 'error', usage: null, free: true }],
    run: (at) => client(at).chat.completions.create(ask),
  },
  'a response that failed': {
    answers: [
      {
        stream: [
          'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","output":[]}}\n\n',
          'event: response.failed\ndata: {"type":"response.failed","sequence_number":1,"response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"Down"},"output":[],"usage":null}}\n\n',
        ],
      },
    ],
    run: async (at) => all(await client(at).responses.create({ ...respond, stream: true })),
  },
  'the models': {
    run: async (at) => {
      const models = await all(client(at).models.list());
      const kinds = (value) =>
        Object.fromEntries(
          ['id', 'object', 'created', 'owned_by'].map((name) => [name, typeof value[name]]),
        );
      const one = await client(at).models.retrieve(model);
      return {
        ids: models.some(({ id }) => id.endsWith(model)),
        kinds: kinds(models[0]),
        one: kinds(one),
        dated:
          one.created > 1_000_000_000 && models.every(({ created }) => created > 1_000_000_000),
      };
    },
    differs: kOwnModels,
  },
  'a model that nobody has': {
    run: (at) => client(at).models.retrieve('gpt-none'),
    differs: [...kOpenAiRequestId, ...kOwnModels],
  },
  'a client that stops reading': {
    answers: [{ text: 'A long story begins', hold: 3 }],
    run: async (at) => {
      const parts = await client(at).chat.completions.create({ ...ask, stream: true });
      const seen = [];
      for await (const part of parts) {
        seen.push(part);
        if (part.choices[0].delta.content) break; // Leaving the loop aborts the request.
      }
      return seen;
    },
  },
  'a client that aborts before the answer': {
    answers: [{ text: 'Too late', hold: 'head' }],
    run: (at) => client(at).chat.completions.create(ask, { signal: at.leaves() }),
  },
  'a client that aborts before the first event': {
    answers: [{ text: 'Too late', hold: 'head' }],
    run: (at) => client(at).responses.create({ ...respond, stream: true }, { signal: at.leaves() }),
  },
  'a client that times out and tries again': {
    answers: [{ text: 'Too late', delayMs: 800 }, { text: 'In time' }],
    run: (at) => client(at, { timeout: 400, maxRetries: 1 }).chat.completions.create(ask),
  },
});

for (const [name, use] of Object.entries(uses))
  test(`openai: ${name}`, open(`openai: ${name}`), () => pair.both(use));

test(
  'openai: a stream that breaks off is an error and is paid for',
  open('openai: a stream that breaks off is an error and is paid for'),
  async () => {
    const { through } = await pair.both({
      answers: [{ text: 'Hello, world', cut: 3, finish: 'none' }],
      books: 'any',
      differs: kCutStream,
      run: async (at) => all(await client(at).chat.completions.create({ ...ask, stream: true })),
    });
    assert.equal(through.error.class, 'APIError');
  },
);

test(
  "openai: a spent budget is one try, and the SDK's rate limit error",
  open("openai: a spent budget is one try, and the SDK's rate limit error"),
  async () => {
    const user = await pair.user(0);
    pair.provider.begin([]);
    let tries = 0;
    const counted = (...args) => {
      ++tries;
      return fetch(...args);
    };
    const place = pair.through(user);
    for (const use of [
      (one) => one.chat.completions.create(ask),
      (one) => one.responses.create(respond),
      (one) => one.embeddings.create({ model: 'text-embedding-3-small', input: 'Hello' }),
    ]) {
      tries = 0;
      await assert.rejects(
        use(client(place, { maxRetries: 2, fetch: counted })),
        OpenAI.RateLimitError,
      );
      assert.equal(tries, 1);
    }
    assert.equal(pair.provider.requests.length, 0);
  },
);

test(
  'openai: a body over the limit is refused in words, not by a broken connection',
  open('openai: a body over the limit is refused in words, not by a broken connection'),
  async () => {
    const place = pair.through(await pair.user());
    pair.provider.begin([]);
    const messages = [{ role: 'user', content: 'w'.repeat(33 << 20) }];
    for (let i = 0; i < 3; ++i) {
      await assert.rejects(client(place).chat.completions.create({ ...ask, messages }), {
        status: 413,
      });
    }
    assert.equal(pair.provider.requests.length, 0);
  },
);

test('openai: a budget that others hold for a moment is waited for', async () => {
  // It covers one request with all of its output, and nearly nothing more.
  const user = await pair.user(0.0097);
  const place = pair.through(user);
  const large = { ...ask, max_tokens: 16_000 };
  pair.provider.begin([{ text: 'First', hold: 'head' }, { text: 'Second' }]);
  const first = client(place).chat.completions.create(large);
  await pair.provider.asked;
  const statuses = [];
  const seen = async (...args) => {
    const reply = await fetch(...args);
    statuses.push([reply.status, reply.headers.get('retry-after')]);
    pair.provider.release();
    return reply;
  };
  const patient = client(place, { maxRetries: 1, fetch: seen });
  const second = await patient.chat.completions.create(large);
  assert.equal(second.choices[0].message.content, 'Second');
  assert.equal((await first).choices[0].message.content, 'First');
  assert.deepEqual(statuses, [
    [429, '2'],
    [200, null],
  ]);
});

test('openai: nothing else differs', open('openai: nothing else differs'), () => {
  assert.deepEqual([...pair.seen].sort(), [
    'a cut stream',
    'accounts',
    'both names of an id',
    'calls are bounded',
    'client software',
    'no answer',
    'other routes',
    'own models',
    'request id',
    'unencoded',
    'usage is asked for',
  ]);
});
