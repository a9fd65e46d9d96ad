// Goal: Vercel's AI SDK and LangChain, unmodified, see through kvcs what they see straight at a
// provider.
// Method: each use runs twice against the scripted provider; see ai_compare.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatAnthropic } from '@langchain/anthropic';
import { tool as langTool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { kOpenAiRequestId, Pair } from './ai_compare.mjs';
import { open } from './ai_open.mjs';

// LangChain asks a public table for the size of a model's context unless told not to trace.
Object.assign(process.env, { LANGCHAIN_TRACING_V2: 'false', LANGSMITH_TRACING: 'false' });
globalThis.AI_SDK_LOG_WARNINGS = false;

const pair = new Pair();
before(() => pair.start());
after(() => pair.stop());

const kPicture =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const detailed = { fresh: 300, cached: 128, output: 40, reasoning: 60 };
const calls = [
  { id: 'call_1', name: 'weather', input: { city: 'Paris' } },
  { id: 'call_2', name: 'weather', input: { city: 'Łódź' } },
];
const uses = {};

// --- Vercel's AI SDK: its four ways to a model, and what is tried with each -------------------

const models = {
  'openai responses': (at) => createOpenAI(at.openai)('gpt-5'),
  'openai chat': (at) => createOpenAI(at.openai).chat('gpt-4o-mini'),
  anthropic: (at) =>
    createAnthropic({ ...at.anthropic, baseURL: `${at.url}/v1` })('claude-haiku-4-5'),
  'anthropic by token': (at) =>
    createAnthropic({ baseURL: `${at.url}/v1`, authToken: at.key('anthropic') })(
      'claude-haiku-4-5',
    ),
  'openai-compatible': (at) =>
    createOpenAICompatible({ name: 'kvcs', ...at.openai })('gpt-4o-mini'),
  'openai-compatible with usage': (at) =>
    createOpenAICompatible({ name: 'kvcs', includeUsage: true, ...at.openai })('gpt-4o-mini'),
};
const asked = { prompt: 'Hello', maxOutputTokens: 200, maxRetries: 0 };
const weather = tool({
  description: 'Weather',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}`,
});
const facts = (result) => ({
  text: result.text,
  finish: result.finishReason,
  usage: result.usage,
  total: result.totalUsage,
  steps: result.steps.map((step) => ({
    text: step.text,
    reasoning: step.reasoningText,
    finish: step.finishReason,
    usage: step.usage,
    calls: step.toolCalls.map(({ toolCallId, toolName, input }) => [toolCallId, toolName, input]),
    id: step.response.id,
  })),
});
// A stream's parts without what the SDK makes up itself: ids and times.
async function streamed(result) {
  const parts = [];
  for await (const part of result.fullStream) {
    const { id, timestamp, request, response, performance, callId, messageId, ...rest } = part;
    if (part.type === 'error') throw part.error;
    parts.push(
      rest.type === 'finish-step' || rest.type === 'start-step' || rest.type === 'start'
        ? { type: rest.type, usage: rest.usage, finishReason: rest.finishReason }
        : rest,
    );
  }
  return parts;
}
const slow = { status: 429, error: 'rate_limit_error', headers: { 'retry-after-ms': '5' } };

for (const [name, model] of Object.entries(models)) {
  Object.assign(uses, {
    [`ai, ${name}: a text`]: {
      answers: [{ text: 'Hello, world', usage: detailed }],
      run: async (at) => facts(await generateText({ model: model(at), ...asked })),
    },
    [`ai, ${name}: a streamed text`]: {
      answers: [{ text: 'Hello, world', usage: detailed }],
      run: (at) => streamed(streamText({ model: model(at), ...asked, onError() {} })),
    },
    [`ai, ${name}: a loop with tools`]: {
      answers: [{ tools: calls }, { text: 'Sunny', usage: detailed }],
      run: async (at) =>
        facts(
          await generateText({
            model: model(at),
            ...asked,
            tools: { weather },
            stopWhen: stepCountIs(3),
          }),
        ),
    },
    [`ai, ${name}: a streamed loop with tools`]: {
      answers: [{ tools: calls }, { text: 'Sunny', usage: detailed }],
      run: (at) =>
        streamed(
          streamText({
            model: model(at),
            ...asked,
            tools: { weather },
            stopWhen: stepCountIs(3),
            onError() {},
          }),
        ),
    },
    [`ai, ${name}: an object`]: {
      answers: [{ text: '{"city":"Paris"}' }],
      run: async (at) =>
        (
          await generateText({
            model: model(at),
            ...asked,
            output: Output.object({ schema: z.object({ city: z.string() }) }),
          })
        ).output,
    },
    [`ai, ${name}: a second try after 429`]: {
      answers: [slow, { text: 'Hi' }],
      run: async (at) => facts(await generateText({ model: model(at), ...asked, maxRetries: 2 })),
    },
    [`ai, ${name}: a refusal`]: {
      answers: [{ ...slow, status: 400 }],
      run: (at) => generateText({ model: model(at), ...asked, maxRetries: 2 }),
    },
    [`ai, ${name}: a picture`]: {
      answers: [{ text: 'A cat' }],
      run: async (at) =>
        facts(
          await generateText({
            ...asked,
            model: model(at),
            prompt: undefined,
            messages: [
              {
                role: 'user',
                content: [
                  { type: 'text', text: 'What?' },
                  { type: 'file', mediaType: 'image/png', data: kPicture },
                ],
              },
            ],
          }),
        ),
    },
    [`ai, ${name}: a stream that is aborted`]: {
      answers: [{ text: 'A long story begins', hold: 6 }],
      run: async (at) => {
        const abort = new AbortController();
        const { fullStream } = streamText({
          model: model(at),
          ...asked,
          abortSignal: abort.signal,
          onError() {},
        });
        const seen = [];
        for await (const part of fullStream) {
          seen.push(part.type);
          if (part.type === 'text-delta') abort.abort();
        }
        return seen.filter((type) => type !== 'text-delta'); // How many still came is chance.
      },
    },
    [`ai, ${name}: a client that aborts`]: {
      answers: [{ text: 'Too late', hold: 'head' }],
      run: (at) => generateText({ model: model(at), ...asked, abortSignal: at.leaves() }),
    },
  });
}
Object.assign(uses, {
  'ai, openai chat: a stream without [DONE]': {
    answers: [{ text: 'Hello, world', done: false }],
    run: (at) => streamed(streamText({ model: models['openai chat'](at), ...asked, onError() {} })),
  },
  'ai, openai-compatible: a stream without [DONE]': {
    answers: [{ text: 'Hello, world', done: false }],
    run: (at) =>
      streamed(streamText({ model: models['openai-compatible'](at), ...asked, onError() {} })),
  },
  'ai, openai responses: searches of the provider': {
    answers: [{ text: 'Found', searches: 2, thinking: 'Let me look.' }],
    run: (at) =>
      streamed(
        streamText({
          model: models['openai responses'](at),
          ...asked,
          tools: { web_search: createOpenAI(at.openai).tools.webSearch() },
          onError() {},
        }),
      ),
  },
  'ai, anthropic: searches and thinking': {
    answers: [{ text: 'Found', searches: 2, thinking: 'Let me look.' }],
    run: async (at) =>
      facts(
        await generateText({
          model: models.anthropic(at),
          ...asked,
          maxOutputTokens: 3000,
          tools: {
            web_search: createAnthropic({
              ...at.anthropic,
              baseURL: `${at.url}/v1`,
            }).tools.webSearch_20250305({ maxUses: 3 }),
          },
          providerOptions: { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } },
        }),
      ),
  },
  'ai, openai: many embeddings': {
    answers: [{ usage: { fresh: 9, output: 0 } }],
    run: async (at) => {
      const { embeddings, usage } = await embedMany({
        model: createOpenAI(at.openai).embedding('text-embedding-3-small'),
        values: ['a', 'b', 'c'],
        maxRetries: 0,
      });
      return { embeddings, usage };
    },
  },
});

// --- LangChain --------------------------------------------------------------------------------

const chains = {
  openai: (at, more) =>
    new ChatOpenAI({
      model: 'gpt-4o-mini',
      apiKey: at.openai.apiKey,
      configuration: { baseURL: at.openai.baseURL },
      maxRetries: 0,
      maxTokens: 200,
      ...more,
    }),
  'openai responses': (at, more) =>
    new ChatOpenAI({
      model: 'gpt-5',
      useResponsesApi: true,
      apiKey: at.openai.apiKey,
      configuration: { baseURL: at.openai.baseURL },
      maxRetries: 0,
      maxTokens: 200,
      ...more,
    }),
  anthropic: (at, more) =>
    new ChatAnthropic({
      model: 'claude-haiku-4-5',
      apiKey: at.anthropic.apiKey,
      anthropicApiUrl: at.url,
      maxRetries: 0,
      maxTokens: 200,
      ...more,
    }),
};
const forecast = langTool(async ({ city }) => `Sunny in ${city}`, {
  name: 'weather',
  description: 'Weather',
  schema: z.object({ city: z.string() }),
});
const said = ({ content, tool_calls, usage_metadata, response_metadata }) => ({
  content,
  tool_calls,
  usage_metadata,
  response_metadata,
});

for (const [name, chain] of Object.entries(chains)) {
  Object.assign(uses, {
    [`langchain, ${name}: invoke`]: {
      answers: [{ text: 'Hello, world', usage: detailed }],
      run: async (at) => said(await chain(at).invoke('Hello')),
    },
    [`langchain, ${name}: stream with usage`]: {
      answers: [{ text: 'Hello, world', usage: detailed }],
      run: async (at) => {
        const parts = [];
        for await (const part of await chain(at).stream('Hello')) parts.push(said(part));
        return parts;
      },
    },
    [`langchain, ${name}: tools`]: {
      answers: [{ tools: calls }],
      run: async (at) => said(await chain(at).bindTools([forecast]).invoke('Hello')),
    },
    [`langchain, ${name}: structured output`]: {
      answers: [
        name === 'anthropic'
          ? { tools: [{ id: 'toolu_1', name: 'extract', input: { city: 'Paris' } }] }
          : { text: '{"city":"Paris"}' },
      ],
      run: (at) =>
        chain(at)
          .withStructuredOutput(z.object({ city: z.string() }))
          .invoke('Hello'),
    },
    [`langchain, ${name}: a batch`]: {
      answers: [{ text: 'Same' }, { text: 'Same' }, { text: 'Same' }],
      run: async (at) => (await chain(at).batch(['Hello', 'Hello', 'Hello'])).map(said),
    },
    [`langchain, ${name}: a stream that is left`]: {
      answers: [{ text: 'A long story begins', hold: 6 }],
      run: async (at) => {
        for await (const part of await chain(at).stream('Hello'))
          if (part.content.length > 0) return part.content.length > 0;
        return false;
      },
    },
    [`langchain, ${name}: an error`]: {
      answers: [{ ...slow, status: 400 }],
      run: (at) => chain(at).invoke('Hello'),
      differs: kOpenAiRequestId,
    },
    [`langchain, ${name}: a client that aborts`]: {
      answers: [{ text: 'Too late', hold: 'head' }],
      run: (at) => chain(at).invoke('Hello', { signal: at.leaves() }),
    },
  });
}
// Its pause is a second or more, whatever the provider says: one of the three has to do.
uses['langchain, openai: a second try after 500'] = {
  answers: [{ ...slow, status: 500 }, { text: 'Hi' }],
  run: async (at) => said(await chains.openai(at, { maxRetries: 1 }).invoke('Hello')),
};
uses['langchain, openai: embeddings'] = {
  answers: [{ usage: { fresh: 9, output: 0 } }, { usage: { fresh: 3, output: 0 } }],
  run: async (at) => {
    const embeddings = new OpenAIEmbeddings({
      model: 'text-embedding-3-small',
      apiKey: at.openai.apiKey,
      configuration: { baseURL: at.openai.baseURL },
    });
    return [await embeddings.embedDocuments(['a', 'b']), await embeddings.embedQuery('c')];
  },
};

for (const [name, use] of Object.entries(uses)) test(name, open(name), () => pair.both(use));

// The SDK tries a 429 again whatever its headers say, so that the number of tries is its own.
test(
  'ai: a spent budget is an error that says so',
  open('ai: a spent budget is an error that says so'),
  async () => {
    const place = pair.through(await pair.user(0));
    pair.provider.begin([]);
    for (const [name, model] of Object.entries(models)) {
      await assert.rejects(generateText({ model: model(place), ...asked }), (failure) => {
        assert.equal(failure.statusCode, 429, name);
        assert.match(failure.message, /limit|budget/i, name);
        return true;
      });
    }
    assert.equal(pair.provider.requests.length, 0);
  },
);

test(
  'langchain: a spent budget is one try',
  open('langchain: a spent budget is one try'),
  async () => {
    const place = pair.through(await pair.user(0));
    pair.provider.begin([]);
    let tries = 0;
    const counted = (...args) => {
      ++tries;
      return fetch(...args);
    };
    const configuration = { baseURL: place.openai.baseURL, fetch: counted };
    const clientOptions = { fetch: counted };
    for (const [name, chain] of Object.entries(chains)) {
      tries = 0;
      const usual = { maxRetries: undefined, configuration, clientOptions };
      await assert.rejects(chain(place, usual).invoke('Hello'), /limit|budget/i, name);
      assert.equal(tries, 1, name);
    }
  },
);

test('frameworks: nothing else differs', open('frameworks: nothing else differs'), () => {
  assert.deepEqual([...pair.seen].sort(), [
    'both names of an id',
    'browser access',
    'calls are bounded',
    'client software',
    'request id',
    'unencoded',
    'usage is asked for',
  ]);
});
