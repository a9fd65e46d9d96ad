// Goal: the playground reads streams wherever they are cut, and says what was sent; charts have each day.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { loadBundle } from './bundle.mjs';

const { callAgain, chatBody, doorOf, chatLines, requestSeries, stackedSpend, EventReader, moved, perMillion, plainDecimal, priceBody, priceRows, priceText, providerBody, readDelta, scopeOf } = await loadBundle();
const ask = { model: 'gpt-6-luna', system: '', messages: [{ role: 'user', content: 'Hello' }], temperature: '', maxTokens: '' };

test('events are whole wherever the bytes are cut, with any line ends', () => {
  const stream = ': a comment\n\ndata: {"a":1}\r\n\r\nevent: x\ndata: one\ndata:two\n\ndata: [DONE]\n\n';
  for (let cut = 1; cut < stream.length; cut++) {
    const reader = new EventReader();
    const got = [...reader.take(stream.slice(0, cut)), ...reader.take(stream.slice(cut))];
    assert.deepEqual(got, ['{"a":1}', 'one\ntwo', '[DONE]'], String(cut));
  }
});

test('a piece of an answer is text, reasoning, an end or a refusal', () => {
  assert.equal(readDelta('{"choices":[{"delta":{"content":"Hi"}}]}').text, 'Hi');
  assert.equal(readDelta('{"choices":[{"delta":{"reasoning_content":"so"}}]}').reasoning, 'so');
  assert.equal(readDelta('{"choices":[{"delta":{},"finish_reason":"stop"}]}').finish, 'stop');
  assert.equal(readDelta('{"error":{"message":"no budget"}}').error, 'no budget');
  assert.deepEqual(readDelta('{"choices":[]}'), { text: '', reasoning: '', refusal: '', finish: '', error: '' });
  assert.equal(readDelta('[DONE]'), null);
  assert.equal(readDelta('not json'), null);
});

test('a call has what was chosen, and nothing that was left empty', () => {
  assert.deepEqual(chatBody(ask, false), { model: 'gpt-6-luna', messages: ask.messages });
  const full = chatBody({ ...ask, system: 'Be short.', temperature: '0', maxTokens: '20' }, true);
  assert.equal(full.temperature, 0);
  assert.equal(full.max_completion_tokens, 20);
  assert.equal(full.stream, true);
  assert.deepEqual(full.messages[0], { role: 'system', content: 'Be short.' });
});

test('the curl line means the same to a shell, whatever was typed', () => {
  const content = 'it\'s $HOME "x" `id`\n\\';
  const { curl, Python } = chatLines({ ...ask, messages: [{ role: 'user', content }] }, 'http://127.0.0.1:1/');
  const sent = execFileSync('bash', ['-c', `curl() { printf '%s\\0' "$@"; }; ${curl}`], { env: {} }).toString().split('\0');
  assert.equal(JSON.parse(sent.find((one) => one.startsWith('{'))).messages[0].content, content);
  assert.ok(Python.includes('base_url="http://127.0.0.1:1/v1"'));
});

const sum = (day, model, cost_usd, requests = 1, failures = 0) => ({ day, model, requests, failures, input_tokens: 5, output_tokens: 2, cost_usd, mean_ms: 1 });

test('days without a call are zero, not gaps', () => {
  const rows = [sum('2026-11-29', 'a', 0.5, 3, 1), sum('2026-11-29', 'b', 0.25, 2)];
  const days = ['2026-11-28', '2026-11-29'];
  assert.deepEqual(stackedSpend(rows, days, 'model').map((one) => [one.label, one.values]), [['a', [0, 0.5]], ['b', [0, 0.25]]]);
  assert.deepEqual(requestSeries(rows, days).map((one) => one.values), [[0, 4], [0, 1]]);
  assert.deepEqual(stackedSpend([], days, 'model'), [{ label: 'Spent', values: [0, 0] }]);
});

test('of many models the dearest have names, and the sum of all is whole', () => {
  const rows = Array.from({ length: 9 }, (_, at) => sum('2026-11-29', `m${at}`, at));
  const series = stackedSpend(rows, ['2026-11-29'], 'model');
  assert.deepEqual(series.map((one) => one.label), ['m8', 'm7', 'm6', 'm5', 'm4', '3 others']);
  assert.equal(series.reduce((all, one) => all + one.values[0], 0), 36);
  assert.equal(series.at(-1).others, true);
  // One that is alone has its name, instead of being called others.
  assert.equal(stackedSpend(rows.slice(0, 7), ['2026-11-29'], 'model').length, 6);
});

test('a request is called again where it was answered, with what was asked and without a secret', () => {
  const request = JSON.stringify({ model: 'gpt-5', input: 'it\'s $HOME `id`' });
  const { ways, whole } = callAgain('gpt-5', request, '{"id":"r","object":"response"}', 'https://kv.example/p/');
  assert.ok(whole);
  const run = `curl() { printf '%s\\0' "$@"; }; ${ways.curl}`;
  const sent = execFileSync('bash', ['-c', run], { env: { KVCS_KEY: 'sk' } }).toString().split('\0');
  assert.ok(sent.includes('https://kv.example/p/v1/responses'));
  assert.ok(sent.includes('Authorization: Bearer sk'));
  assert.ok(sent.includes(request));
  for (const way of Object.values(ways)) assert.ok(way.includes('KVCS_KEY') && !way.includes('sk'), way);
  // What was cut is no JSON: the model alone is left.
  const cut = callAgain('gpt-5', request.slice(0, 20), '', 'https://kv.example/');
  assert.ok(!cut.whole && cut.ways.JS.includes('gpt-5') && cut.ways.JS.includes('/v1/chat/completions'));
  if (!existsSync('/usr/bin/python3')) return;
  const python = execFileSync('python3', ['-c', `import os, sys, types, json
os.environ["KVCS_KEY"] = "sk"
sent = types.SimpleNamespace(status_code=200, text="")
def post(url, headers, data, timeout):
    sys.stdout.write(url + " " + data.decode())
    return sent
sys.modules["requests"] = types.SimpleNamespace(post=post)
${ways.Python}`]).toString();
  assert.ok(python.startsWith(`https://kv.example/p/v1/responses ${request}`), python);
});

test('the door of a request is told by its answer, or else by its members', () => {
  assert.equal(doorOf({ messages: [] }, 'data: {"id":"x","object":"chat.completion.chunk"}'), '/v1/chat/completions');
  assert.equal(doorOf({ messages: [] }, 'event: message_start\ndata: {"type":"message_start"}'), '/v1/messages');
  assert.equal(doorOf({ input: 'x' }, '{"object":"list","data":[]}'), '/v1/embeddings');
  assert.equal(doorOf({ system: 'x', messages: [] }, ''), '/v1/messages');
  assert.equal(doorOf({ input: 'x', dimensions: 8 }, ''), '/v1/embeddings');
  assert.equal(doorOf({ input: 'x' }, '{"error":{}}'), '/v1/responses');
});

test('a price is moved by its digits and by nothing else', () => {
  for (const [typed, sent] of [['0.1', '0.0000001'], ['0.2', '0.0000002'], ['0.3', '0.0000003'], ['0.30', '0.0000003'], ['1.25', '0.00000125'],
    ['15', '0.000015'], ['.075', '0.000000075'], ['0', '0'], ['0.000001', '0.000000000001'], ['123456789.012345', '123.456789012345'],
    ['1e-3', '0.000000001'], ['1e3', '0.001']]) {
    assert.equal(priceBody(null, { input_cost_per_token: typed }).input_cost_per_token, sent, typed);
  }
  // As the daemon's JSON is read: each decimal of up to 15 digits, there and back.
  for (const perToken of [1e-7, 3e-7, 1.25e-6, 0.000000000001, 123.456789012345, 0.000007, 1.1e-6, 4.35e-6, 2.675e-6]) {
    const shown = perMillion(perToken);
    assert.equal(Number(moved(shown, -6)), perToken);
    assert.ok(!/e|0000001$|9999/.test(shown), shown);
  }
  assert.equal(perMillion(4.35e-6), '4.35');
  assert.equal(plainDecimal(1e21), '1000000000000000000000');
  assert.deepEqual([perMillion(7.5e-8), perMillion(3e-5), perMillion(undefined)].map(priceText), ['$0.075', '$30.00', null]);
});

test('what is no price is refused beside its field, and nothing is guessed', () => {
  for (const typed of ['1,25', '-1', 'abc', '1.2.3', '0x10', 'NaN', '1e9999', '$3', '1 000']) {
    assert.throws(() => priceBody(null, { output_cost_per_token: typed }), (error) => error.fields.output_cost_per_token.includes('is not a decimal'), typed);
  }
  assert.throws(() => priceBody(null, { input_cost_per_token: '0.0000001' }), /has 7 decimals; at most 6 are kept/);
});

test('a changed price keeps what the form has no field for', () => {
  const row = { own: false, model: 'openai/gpt-5', has_ended: true, source: 's', date: 'd', input_cost_per_token: 1e-6, output_cost_per_token: 2e-6,
    cache_read_input_token_cost: 1e-7, cache_creation_input_token_cost: 1.25e-6, input_cost_per_token_above_200k_tokens: 3e-7, max_input_tokens: 400_000,
    search_context_cost_per_query: { low: 0.01 }, supports_reasoning: true, litellm_provider: 'openai' };
  assert.deepEqual(priceBody(row, { input_cost_per_token: '1.5', output_cost_per_token: '2', cache_read_input_token_cost: '', max_input_tokens: '128,000' }), {
    input_cost_per_token: '0.0000015', output_cost_per_token: '0.000002', cache_creation_input_token_cost: '0.00000125',
    input_cost_per_token_above_200k_tokens: '0.0000003', max_input_tokens: '128000', search_context_cost_per_query: { low: 0.01 },
    supports_reasoning: true, litellm_provider: 'openai' });
});

test('a price of one organization hides no price of the others', () => {
  const rows = priceRows([{ model: 'a', org_id: 'o' }, { model: 'b' }], [{ model: 'a' }, { model: 'b' }, { model: 'c' }]);
  assert.deepEqual(rows, [{ model: 'a', org_id: 'o', own: true }, { model: 'b', own: true }, { model: 'a', own: false }, { model: 'c', own: false }]);
});

test('a provider that is changed keeps its headers, its times and its ways', () => {
  const provider = {
    name: 'groq', kind: 'openai_compatible', base_url: 'https://a/v1', auth_header: 'x-key', headers: { 'x-a': '1', 'x-secret': '***' },
    timeout_ms: 5000, stream_options: false, cancel_stops_billing: true, models: ['m'], has_api_key: true,
  };
  const typed = { kind: 'openai_compatible', base_url: 'https://b/v1', api_key: '', models: [] };
  assert.deepEqual(providerBody(provider, typed), {
    kind: 'openai_compatible', base_url: 'https://b/v1', auth_header: 'x-key', headers: { 'x-a': '1' }, timeout_ms: 5000,
    stream_options: false, cancel_stops_billing: true, models: [],
  });
  const { auth_header, base_url } = providerBody({ ...provider, auth_header: null }, { ...typed, base_url: '' });
  assert.deepEqual([auth_header, base_url], [undefined, undefined]);
  assert.deepEqual(providerBody(null, { kind: 'openai', base_url: '', api_key: 'sk', models: [] }), { kind: 'openai', api_key: 'sk', models: [] });
});

test('sums say whose calls they are', () => {
  const names = { a: 'Acme', b: 'Basel' };
  const operator = { operator_role: 'owner', organization_id: 'a' }, admin = { operator_role: null, organization_id: 'a' };
  assert.equal(scopeOf(operator, {}, names), 'all organizations');
  assert.equal(scopeOf(operator, { org_id: 'b' }, names), 'Basel');
  assert.equal(scopeOf(operator, { user_id: 'u' }, names), 'what is chosen here');
  assert.equal(scopeOf(admin, {}, names), 'Acme');
  assert.equal(scopeOf(admin, {}), 'one organization');
});
