// Goal: the official OpenAI and Anthropic SDKs work against the real binary with only base_url and
// api_key changed.
// Method: the daemon of a test speaks to a provider that runs here and answers from a script.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { Daemon } from './daemon.mjs';

const daemon = new Daemon();
const seen = [];  // What the provider was asked, in order.
let script = () => {};
let user, key;

// A provider: `script(request, response)` answers; request.json is the body.
const provider = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    request.text = Buffer.concat(chunks).toString();
    request.json = request.text ? JSON.parse(request.text) : null;
    seen.push(request);
    script(request, response);
  });
});

const answer = (status, body, headers = {}) => (_, response) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};
const stream = (events) => (_, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(events.join(''));
};
const data = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const event = (value) => `event: ${value.type}\n${data(value)}`;
const last = () => seen[seen.length - 1];

const openai = (options = {}) => new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: key, maxRetries: 0, ...options });
const anthropic = (options = {}) => new Anthropic({ baseURL: daemon.url, apiKey: key, maxRetries: 0, ...options });

const usage = { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 };
const completion = (message, finish = 'stop') => ({ id: 'chatcmpl-1', object: 'chat.completion', created: 1,
  model: 'gpt-4o-mini', choices: [{ index: 0, message, finish_reason: finish, logprobs: null }], usage });
const chunk = (delta, finish = null) => data({ id: 'c', object: 'chat.completion.chunk', created: 1,
  model: 'gpt-4o-mini', choices: [{ index: 0, delta, finish_reason: finish }], usage: null });
const usageChunk = data({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o-mini', choices: [], usage });
const hello = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] };

const setProviders = (settings) => Promise.all(['openai', 'anthropic'].map((kind) => daemon.admin('PUT',
  `/admin/ai/providers/${kind}`,
  { kind, base_url: `http://127.0.0.1:${provider.address().port}`, api_key: `sk-${kind}`, ...settings })));
// For the time of `run` the providers bill nothing more once they are left.
async function whileCancellingStopsBilling(run) {
  await setProviders({ cancel_stops_billing: true });
  try {
    await run();
  } finally {
    await setProviders();
  }
}

before(async () => {
  await new Promise((resolve) => provider.listen(0, '127.0.0.1', resolve));
  await daemon.start();
  for (const made of await setProviders()) {
    assert.equal(made.status, 200, JSON.stringify(made.body));
    assert.equal(JSON.stringify(made.body).includes('sk-'), false);
  }
  user = (await daemon.admin('POST', '/admin/users', { email: 'ada@example.com',
    org_id: daemon.credentials.organization_id, monthly_limit_usd: 50 })).body.user_id;
  key = (await daemon.admin('POST', `/admin/users/${user}/api-keys`, { name: 'sdk' })).body.api_key;
});

after(async () => {
  if (daemon.process) await daemon.stop();
  daemon.remove();
  provider.closeAllConnections();
  provider.close();
});

test('openai: a chat completion, with the provider\'s key and the price in the headers', async () => {
  script = answer(200, completion({ role: 'assistant', content: 'Hi' }));
  const { data: reply, response } = await openai().chat.completions.create(hello).withResponse();
  assert.equal(reply.choices[0].message.content, 'Hi');
  assert.equal(last().headers.authorization, 'Bearer sk-openai');
  assert.equal(last().url, '/v1/chat/completions');
  assert.equal(last().headers['x-api-key'], undefined);
  // 100 tokens of 0.15 USD and 50 of 0.60 USD a million.
  assert.equal(response.headers.get('x-gateway-cost-usd'), '0.000045');
  assert.equal(response.headers.get('x-gateway-limit-usd'), '50.00');
});

test('openai: a body passes as it is, unknown members and spaces included', async () => {
  script = answer(200, completion({ role: 'assistant', content: 'Hi' }));
  const body = '{ "model":"gpt-4o-mini",\n "x_unknown":{"a":[1, 2.50]}, "messages":[ {"role":"user","content":"\\u00e9"} ]}';
  const reply = await fetch(`${daemon.url}/v1/chat/completions`, { method: 'POST', body,
    headers: { 'api-key': key, 'content-type': 'application/json' } });
  assert.equal(reply.status, 200);
  assert.equal(last().text, body);
});

test('openai: streaming; the usage chunk comes only when it was asked for', async () => {
  const events = [chunk({ role: 'assistant', content: 'Hel' }), chunk({ content: 'lo' }),
    chunk({}, 'stop'), usageChunk, data('[DONE]')];
  for (const asked of [false, true]) {
    script = stream(events);
    const parts = [];
    const body = { ...hello, stream: true, ...(asked ? { stream_options: { include_usage: true } } : {}) };
    for await (const part of await openai().chat.completions.create(body)) parts.push(part);
    assert.equal(parts.map((part) => part.choices[0]?.delta.content ?? '').join(''), 'Hello');
    assert.equal(parts.some((part) => part.choices.length === 0), asked);
    assert.equal(last().json.stream_options.include_usage, true);
  }
});

test('openai: tools and images reach the provider and come back', async () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } };
  script = answer(200, completion({ role: 'assistant', content: null, tool_calls: [call] }, 'tool_calls'));
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }];
  const content = [{ type: 'text', text: 'What is this?' },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } }];
  const reply = await openai().chat.completions.create({ ...hello, tools, messages: [{ role: 'user', content }] });
  assert.deepEqual(reply.choices[0].message.tool_calls, [call]);
  assert.deepEqual(last().json.tools, tools);
  assert.deepEqual(last().json.messages[0].content, content);
});

test('openai: embeddings and responses, whole and streamed', async () => {
  script = answer(200, { object: 'list', model: 'text-embedding-3-small',
    data: [{ object: 'embedding', index: 0, embedding: [0.5, -1] }], usage: { prompt_tokens: 5, total_tokens: 5 } });
  const embedded = await openai().embeddings.create(
    { model: 'text-embedding-3-small', input: 'Hello', encoding_format: 'float' });
  assert.deepEqual(embedded.data[0].embedding, [0.5, -1]);
  const message = { id: 'm', type: 'message', status: 'completed', role: 'assistant',
    content: [{ type: 'output_text', text: 'Hi', annotations: [] }] };
  const whole = { id: 'resp_1', object: 'response', created_at: 1, status: 'completed', model: 'gpt-4o-mini',
    output: [message], usage: { input_tokens: 10, output_tokens: 5, total_tokens: 15 } };
  script = answer(200, whole);
  assert.equal((await openai().responses.create({ model: 'gpt-4o-mini', input: 'Hello' })).output_text, 'Hi');
  assert.equal(last().url, '/v1/responses');
  script = stream([
    event({ type: 'response.created', sequence_number: 0, response: { ...whole, status: 'in_progress', output: [], usage: null } }),
    event({ type: 'response.output_text.delta', sequence_number: 1, item_id: 'm', output_index: 0, content_index: 0, delta: 'Hi' }),
    event({ type: 'response.completed', sequence_number: 2, response: whole })]);
  const types = [];
  for await (const part of await openai().responses.create({ model: 'gpt-4o-mini', input: 'Hello', stream: true })) types.push(part.type);
  assert.deepEqual(types, ['response.created', 'response.output_text.delta', 'response.completed']);
});

test('openai: models lists what the key may use', async () => {
  const ids = [];
  for await (const model of openai().models.list()) ids.push(model.id);
  assert.ok(ids.includes('openai/gpt-6-luna') && ids.includes('anthropic/claude-sonnet-5-5'), ids.slice(0, 5));
});

test('openai: failures are the SDK\'s own error classes', async () => {
  const ask = (client, body = hello) => client.chat.completions.create(body);
  await assert.rejects(ask(openai({ apiKey: 'gw_live_' + '0'.repeat(48) })), OpenAI.AuthenticationError);
  await assert.rejects(ask(openai(), { ...hello, model: '' }), OpenAI.BadRequestError);
  await assert.rejects(ask(openai(), { ...hello, max_tokens: -5 }), OpenAI.BadRequestError);
  await assert.rejects(ask(openai(), { ...hello, model: 'nobody/knows' }), OpenAI.NotFoundError);
  script = answer(429, { error: { message: 'Slow down', type: 'rate_limit_error', code: 'rate_limit_exceeded' } }, { 'retry-after': '7' });
  await assert.rejects(ask(openai()), (failure) => {
    assert.ok(failure instanceof OpenAI.RateLimitError);
    assert.equal(failure.headers.get('retry-after'), '7');
    assert.match(failure.message, /Slow down/);
    return true;
  });
  script = answer(500, { error: { message: 'Down', type: 'server_error' } });
  await assert.rejects(ask(openai()), OpenAI.InternalServerError);
  script = (_, response) => response.destroy();
  await assert.rejects(ask(openai()), (failure) => failure instanceof OpenAI.InternalServerError && failure.status === 502);
});

test('openai: a stream that breaks off is an error, never a clean end', async () => {
  script = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ content: 'Hel' }), () => response.destroy());
  };
  const parts = await openai().chat.completions.create({ ...hello, stream: true });
  await assert.rejects(async () => { for await (const part of parts) void part; }, OpenAI.APIError);
});

test('openai: a client that leaves stops a provider that bills no more then, and pays an estimate', () => whileCancellingStopsBilling(async () => {
  let begun, stopped;
  const ended = new Promise((resolve) => { stopped = resolve; });
  const started = new Promise((resolve) => { begun = resolve; });
  script = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ content: 'Hello, I am going to say a lot' }));
    response.on('close', stopped);
    begun();
  };
  const { data: parts, request_id: id } = await openai().chat.completions.create({ ...hello, stream: true }).withResponse();
  for await (const part of parts) { void part; break; }  // Leaving the loop aborts the request.
  await started;
  await ended;
  const headers = { authorization: `Bearer ${key}` };
  let row;
  do {  // The row is there once the daemon has seen the client leave.
    row = await (await fetch(`${daemon.url}/v1/usage/${id}`, { headers })).json();
    await new Promise(setImmediate);
  } while (row.error);
  assert.equal(Boolean(row.estimated), true, JSON.stringify(row));
}));

test('openai: a streamed tool call arrives piece by piece', async () => {
  const call = (part) => ({ role: 'assistant', tool_calls: [{ index: 0, ...part }] });
  script = stream([
    chunk(call({ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } })),
    chunk(call({ function: { arguments: '{"city":' } })), chunk(call({ function: { arguments: '"Paris"}' } })),
    chunk({}, 'tool_calls'), usageChunk, data('[DONE]')]);
  const runner = openai().chat.completions.stream({ ...hello, tools: [{ type: 'function', function: { name: 'weather', parameters: {} } }] });
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.tool_calls[0].function.arguments, '{"city":"Paris"}');
});

test('openai: a failed response and a stream\'s error event are errors to the SDK', async () => {
  script = answer(400, { error: { message: 'No such thing', type: 'invalid_request_error', param: 'input', code: null } });
  await assert.rejects(openai().responses.create({ model: 'gpt-4o-mini', input: 'x' }), OpenAI.BadRequestError);
  script = answer(404, { error: { message: 'Gone', type: 'invalid_request_error', code: 'model_not_found' } });
  await assert.rejects(openai().embeddings.create({ model: 'text-embedding-3-small', input: 'x' }), OpenAI.NotFoundError);
  script = stream([chunk({ content: 'Hel' }), data({ error: { message: 'Overloaded', type: 'server_error' } })]);
  const parts = await openai().chat.completions.create({ ...hello, stream: true });
  await assert.rejects(async () => { for await (const part of parts) void part; }, /Overloaded/);
});

test('openai: an answer that was paid for is given again under its idempotency key', async () => {
  script = answer(200, completion({ role: 'assistant', content: 'Hi' }));
  const options = { headers: { 'Idempotency-Key': 'order-17' } };
  const first = await openai().chat.completions.create(hello, options).withResponse();
  const asked = seen.length;
  const again = await openai().chat.completions.create(hello, options).withResponse();
  assert.deepEqual(again.data, first.data);
  assert.equal(again.response.headers.get('idempotent-replay-of'), first.request_id);
  assert.equal(seen.length, asked);
  await assert.rejects(openai().chat.completions.create({ ...hello, n: 2 }, options), OpenAI.ConflictError);
});

test('openai: an aborted request that is not streamed stops such a provider too', () => whileCancellingStopsBilling(async () => {
  const ended = new Promise((resolve) => { script = (_, response) => { response.on('close', resolve); abort.abort(); }; });
  const abort = new AbortController();
  await assert.rejects(openai().chat.completions.create(hello, { signal: abort.signal }), OpenAI.APIUserAbortError);
  await ended;
}));

test('anthropic: a message, streamed and not, and its tokens counted', async () => {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5',
    content: [{ type: 'text', text: 'Hi' }], stop_reason: 'end_turn', stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 3 } };
  const ask = { model: 'claude-haiku-4-5', max_tokens: 64, messages: [{ role: 'user', content: 'Hello' }] };
  script = answer(200, message);
  assert.equal((await anthropic().messages.create(ask)).content[0].text, 'Hi');
  assert.equal(last().headers['x-api-key'], 'sk-anthropic');
  assert.match(last().headers['anthropic-version'], /^\d{4}-\d\d-\d\d$/);
  assert.equal(last().headers.authorization, undefined);
  script = stream([
    event({ type: 'message_start', message: { ...message, content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } } }),
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    event({ type: 'ping' }),
    event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } }),
    event({ type: 'content_block_stop', index: 0 }),
    event({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 3 } }),
    event({ type: 'message_stop' })]);
  const final = await anthropic().messages.stream(ask).finalMessage();
  assert.equal(final.content[0].text, 'Hi');
  assert.equal(final.usage.output_tokens, 3);
  script = answer(200, { input_tokens: 11 });
  const { model, messages } = ask;
  assert.equal((await anthropic().messages.countTokens({ model, messages })).input_tokens, 11);
  assert.equal(last().url, '/v1/messages/count_tokens');
});

test('anthropic: tools and images reach the provider and come back', async () => {
  const use = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Paris' } };
  script = answer(200, { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', content: [use],
    stop_reason: 'tool_use', stop_sequence: null, usage: { input_tokens: 10, output_tokens: 3, cache_read_input_tokens: 100 } });
  const tools = [{ name: 'weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } }];
  const content = [{ type: 'text', text: 'What is this?' },
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } }];
  const { data: reply, response } = await anthropic().messages.create(
    { model: 'claude-haiku-4-5', max_tokens: 64, tools, messages: [{ role: 'user', content }] }).withResponse();
  assert.deepEqual(reply.content, [use]);
  assert.deepEqual(last().json.tools, tools);
  assert.deepEqual(last().json.messages[0].content, content);
  // 10 tokens of 1, 100 cached ones of 0.10 and 3 of 5 USD a million.
  assert.equal(response.headers.get('x-gateway-cost-usd'), '0.000035');
});

test('anthropic: a client that leaves stops a provider that bills no more then, and pays an estimate', () => whileCancellingStopsBilling(async () => {
  let stopped;
  const ended = new Promise((resolve) => { stopped = resolve; });
  script = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event({ type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5',
      content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 10, output_tokens: 1 } } }));
    response.write(event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }));
    response.write(event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'A long story begins' } }));
    response.on('close', stopped);
  };
  const { data: parts, response } = await anthropic().messages.create({ model: 'claude-haiku-4-5', max_tokens: 64,
    stream: true, messages: [{ role: 'user', content: 'Hello' }] }).withResponse();
  for await (const part of parts) if (part.type === 'content_block_delta') break;
  await ended;
  const id = response.headers.get('x-request-id');
  let row;
  do {
    row = await (await fetch(`${daemon.url}/v1/usage/${id}`, { headers: { 'x-api-key': key } })).json();
    await new Promise(setImmediate);
  } while (row.error);
  assert.equal(row.estimated, true);
  assert.equal(row.status, 499);
  assert.equal(row.input_tokens, 10);
}));

test('anthropic: failures are the SDK\'s own error classes', async () => {
  const ask = { model: 'claude-haiku-4-5', max_tokens: 64, messages: [{ role: 'user', content: 'Hello' }] };
  await assert.rejects(anthropic({ apiKey: 'wrong' }).messages.create(ask), Anthropic.AuthenticationError);
  await assert.rejects(anthropic().messages.create({ ...ask, model: 'nobody-knows' }), (failure) => {
    assert.ok(failure instanceof Anthropic.BadRequestError);
    assert.match(failure.message, /model_not_priced/);
    return true;
  });
  script = answer(529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } });
  await assert.rejects(anthropic().messages.create(ask), (failure) => {
    assert.ok(failure instanceof Anthropic.InternalServerError);
    assert.equal(failure.status, 529);
    return true;
  });
});

test('a budget that is spent refuses, in both SDKs\' words', async () => {
  const poor = (await daemon.admin('POST', '/admin/users', { email: 'poor@example.com',
    org_id: daemon.credentials.organization_id, monthly_limit_usd: 0 })).body.user_id;
  const apiKey = (await daemon.admin('POST', `/admin/users/${poor}/api-keys`, { name: 'none' })).body.api_key;
  const before = seen.length;
  await assert.rejects(openai({ apiKey }).chat.completions.create(hello), OpenAI.RateLimitError);
  await assert.rejects(anthropic({ apiKey }).messages.create(
    { model: 'claude-haiku-4-5', max_tokens: 5, messages: hello.messages }), Anthropic.RateLimitError);
  assert.equal(seen.length, before);
});

test('the admin commands do the same from a terminal', async () => {
  const json = async (...args) => {
    const ran = await daemon.cli(...args, '--json');
    assert.equal(ran.status, 0, ran.stderr);
    return JSON.parse(ran.stdout);
  };
  const { org_id } = await json('admin', 'org', 'create', '--name', 'Acme', '--budget', '100.50');
  const made = await json('admin', 'user', 'create', '--email', 'a@b.example', '--org', org_id, '--limit', '5');
  const { api_key } = await json('admin', 'key', 'create', made.user_id, '--name', 'laptop');
  script = answer(200, completion({ role: 'assistant', content: 'Hi' }));
  await openai({ apiKey: api_key }).chat.completions.create(hello);
  assert.equal((await json('admin', 'user', 'usage', made.user_id)).request_count, 1);
  assert.equal((await json('admin', 'audit', 'verify')).ok, true);
  const table = await daemon.cli('admin', 'usage', '--group-by', 'model', '--csv');
  assert.match(table.stdout, /^model,requests,.*\ngpt-4o-mini,|\ngpt-4o-mini,/s);
  await json('admin', 'prices', 'set', 'openai/new-one', '--input', '1e-6', '--output', '2e-6');
  assert.equal((await json('admin', 'prices', 'get', 'openai/new-one')).output_cost_per_token, 0.000002);
  const [row] = await json('admin', 'requests', '--user', made.user_id);
  assert.equal(row.model, 'gpt-4o-mini');
  await json('admin', 'org', 'update', org_id, '--log-bodies', 'true');
  const asked = await openai({ apiKey: api_key }).chat.completions.create(hello).withResponse();
  const [kept] = await json('admin', 'bodies', 'list', '--org', org_id);
  assert.equal(kept.request_id, asked.request_id);
  assert.match((await json('admin', 'bodies', 'show', asked.request_id)).request, /Hello/);
  await daemon.cli('admin', 'provider', 'set-key', org_id, 'openai', '--api-key-env', 'HOME');
  await openai({ apiKey: api_key }).chat.completions.create(hello);
  assert.equal(last().headers.authorization, `Bearer ${daemon.folder}`);
  await json('admin', 'provider', 'delete-key', org_id, 'openai', '-y');
  const [{ key_id }] = await json('admin', 'key', 'list', made.user_id);
  assert.deepEqual(await json('admin', 'key', 'list', made.user_id, '--search', 'nothing is called so'), []);
  assert.deepEqual((await json('admin', 'user', 'list', '--search', made.user_id)).map((one) => one.user_id), [made.user_id]);
  assert.deepEqual(await json('admin', 'user', 'list', '--search', 'nobody at all'), []);
  await json('admin', 'key', 'expire', made.user_id, key_id, '2020-01-01T00:00:00Z');
  await assert.rejects(openai({ apiKey: api_key }).chat.completions.create(hello), OpenAI.AuthenticationError);
  const unknown = await daemon.cli('admin', 'user', 'show', 'nobody');
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /No user/);
});
