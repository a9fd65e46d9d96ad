// A model provider that answers from a script, for the tests of unmodified clients: chat
// completions, responses, embeddings, messages and the lists of models. It keeps every request,
// counts the inferences and makes its own bill, by rules that share nothing with kvcs.
//
// An answer of a script is what ai_answers.mjs describes, and may say how it is sent:
//   status, error           an error of that type in the words of the dialect
//   status, body            any other body: a text as it is, else JSON
//   headers                 more headers of a normal answer
//   stream, billed          events as they are, instead of those of the answer; billed all the same
//   type                    another content type; null leaves it out
//   gzip                    compressed, though nobody asked
//   drop                    the connection closes without an answer
//   delayMs                 time before the head
//   chop                    written in pieces of so many bytes
//   cut                     the connection breaks after so many events
//   hold                    waits for release() before the head ('head') or after so many events
//   done, zeroDelta, finish oddities of streams, see ai_answers.mjs
//   free                    nothing is billed
import { createServer } from 'node:http';
import { constants, createGzip, gunzipSync, gzipSync } from 'node:zlib';
import * as says from './ai_answers.mjs';

// Pico-USD a token; a search is in nano-USD a call.
const claude = { owner: 'anthropic', context: 1_000_000, search: 10_000_000n };
const gpt = { owner: 'openai', context: 400_000, search: 10_000_000n };
export const kModels = {
  'gpt-4o-mini': { ...gpt, fresh: 150_000n, cached: 75_000n, output: 600_000n, most: 16_384 },
  'gpt-5': {
    ...gpt,
    fresh: 1_250_000n,
    cached: 125_000n,
    output: 10_000_000n,
    most: 128_000,
    reasons: true,
  },
  'text-embedding-3-small': { ...gpt, fresh: 20_000n, output: 0n, mode: 'embedding' },
  'claude-haiku-4-5': {
    ...claude,
    fresh: 1_000_000n,
    cached: 100_000n,
    write: 1_250_000n,
    write1h: 2_000_000n,
    output: 5_000_000n,
    most: 64_000,
    reasons: true,
  },
  'claude-opus-4-8': {
    ...claude,
    fresh: 5_000_000n,
    cached: 500_000n,
    write: 6_250_000n,
    write1h: 10_000_000n,
    output: 25_000_000n,
    most: 128_000,
    reasons: true,
  },
};
// What Claude Code asks when nothing is said.
kModels['claude-opus-5-5'] = kModels['claude-opus-4-8'];
export const kKeys = { openai: 'sk-the-key-at-openai', anthropic: 'sk-ant-the-key-at-anthropic' };

// The row of a price table that says the same to kvcs.
export function priceRow(name) {
  const model = kModels[name];
  const usd = (pico) => Number(pico) / 1e12;
  const search = Number(model.search) / 1e9;
  return {
    litellm_provider: model.owner,
    mode: model.mode ?? 'chat',
    max_input_tokens: model.context,
    ...(model.most ? { max_output_tokens: model.most } : {}),
    input_cost_per_token: usd(model.fresh),
    output_cost_per_token: usd(model.output),
    ...(model.cached ? { cache_read_input_token_cost: usd(model.cached) } : {}),
    ...(model.write
      ? {
          cache_creation_input_token_cost: usd(model.write),
          cache_creation_input_token_cost_above_1hr: usd(model.write1h),
        }
      : {}),
    ...(model.reasons ? { supports_reasoning: true } : {}),
    search_context_cost_per_query: {
      search_context_size_low: search,
      search_context_size_medium: search,
      search_context_size_high: search,
    },
  };
}

// What an answer costs, in nano-USD, rounded up once.
export function bill(name, answer) {
  const model = kModels[name];
  const used = { ...says.kUsage, ...answer.usage };
  let pico = 0n;
  const add = (kind, tokens) => {
    pico += BigInt(tokens ?? 0) * (model[kind] ?? model.fresh);
  };
  if (answer.iterations) {
    // Each is a call of the model; the usage beside them repeats the last.
    for (const one of answer.iterations) {
      add('fresh', one.input_tokens);
      add('output', one.output_tokens);
    }
  } else {
    for (const kind of ['fresh', 'cached', 'write', 'write1h', 'output']) add(kind, used[kind]);
    add('output', used.reasoning);
  }
  return (pico + 999n) / 1000n + BigInt(answer.searches ?? 0) * model.search;
}

const kRoutes = {
  '/v1/chat/completions': { whole: says.chatWhole, events: says.chatEvents },
  '/v1/responses': { whole: says.responseWhole, events: says.responseEvents },
  '/v1/embeddings': { whole: says.embeddingsWhole },
  '/v1/messages': { whole: says.messageWhole, events: says.messageEvents, anthropic: true },
};
const problem = (anthropic, type, message) =>
  anthropic
    ? { type: 'error', error: { type, message } }
    : { error: { message, type, param: null, code: null } };

export class Provider {
  constructor() {
    this.refuses = []; // Members of a body that it answers 422 to, as strict servers do.
    this.server = createServer((request, response) => {
      this.#receive(request, response);
    });
    this.server.on('upgrade', (request, socket) => {
      this.requests.push(this.#record(request, ''));
      socket.end('HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    });
    this.begin([]);
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }
  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  // A new script: the answers to the inferences to come, in order; a function makes one of a body,
  // and a function instead of a list makes all of them.
  begin(answers) {
    this.answers = typeof answers === 'function' ? answers : [...answers];
    this.requests = [];
    this.inferences = 0;
    this.billed = 0n;
    this.open = new Set();
    this.released = new Promise((resolve) => {
      this.release = resolve;
    });
    this.asked = new Promise((resolve) => {
      this.wasAsked = resolve;
    }); // Of an inference.
  }
  // Resolves when no request is under way.
  async idle() {
    while (this.open.size > 0) await Promise.all(this.open);
  }

  #record(request, text) {
    const headers = {};
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      const name = request.rawHeaders[i].toLowerCase();
      headers[name] =
        headers[name] === undefined
          ? request.rawHeaders[i + 1]
          : `${headers[name]}, ${request.rawHeaders[i + 1]}`;
    }
    let json = null;
    try {
      json = JSON.parse(text);
    } catch {
      /* No JSON: `text` has it. */
    }
    return { method: request.method, path: request.url, headers, text, json };
  }

  #receive(request, response) {
    const open = this.open;
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const ended = new Promise((resolve) => response.on('close', resolve));
      const body = Buffer.concat(chunks);
      const coded = request.headers['content-encoding'] === 'gzip';
      const record = this.#record(request, (coded ? gunzipSync(body) : body).toString());
      record.ended = ended;
      this.requests.push(record);
      const answered = this.#answer(record, response).then(() => ended);
      open.add(answered);
      answered.finally(() => open.delete(answered));
    });
  }

  #send(response, status, body, headers = {}) {
    const text = JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(headers['content-encoding'] === 'gzip' ? gzipSync(text) : text);
  }

  async #answer(record, response) {
    const [path] = record.path.split('?');
    const anthropic =
      path.startsWith('/v1/messages') || record.headers['anthropic-version'] !== undefined;
    const number = this.requests.length;
    const always = anthropic
      ? { 'request-id': `req_provider_${number}`, 'anthropic-ratelimit-requests-remaining': '99' }
      : {
          'x-request-id': `req_provider_${number}`,
          'openai-processing-ms': '7',
          'openai-version': '2020-10-01',
          'x-ratelimit-remaining-requests': '99',
        };
    const refuse = (status, type, message) =>
      this.#send(response, status, problem(anthropic, type, message), always);
    const keys = [
      record.headers.authorization?.replace(/^Bearer /i, ''),
      record.headers['x-api-key'],
    ];
    const wanted = anthropic ? kKeys.anthropic : kKeys.openai;
    if (!keys.includes(wanted))
      return refuse(401, 'authentication_error', `Incorrect API key provided: ${keys.join(' ')}`);
    if (path.startsWith('/v1/models'))
      return this.#models(path, anthropic, response, refuse, always);
    if (path === '/v1/messages/count_tokens')
      return this.#send(response, 200, { input_tokens: 11 }, always);
    const route = kRoutes[path];
    if (!route || record.method !== 'POST')
      return refuse(404, 'not_found_error', `No route ${record.method} ${path}.`);
    if (!record.json) return refuse(400, 'invalid_request_error', 'The body is no JSON.');
    const extra = this.refuses.find((member) => record.json[member] !== undefined);
    if (extra) return refuse(422, 'extra_forbidden', `Extra inputs are not permitted: ${extra}`);
    const name = record.json.model;
    if (kModels[name] === undefined)
      return refuse(404, 'not_found_error', `The model '${name}' does not exist`);
    let answer = typeof this.answers === 'function' ? this.answers : this.answers.shift();
    if (typeof answer === 'function') answer = answer(record.json);
    if (!answer)
      return this.#send(response, 500, problem(anthropic, 'api_error', 'No answer is scripted.'), {
        'x-should-retry': 'false',
      });
    ++this.inferences;
    this.wasAsked();
    return this.#infer(route, record, response, answer, { ...always, ...answer.headers });
  }

  async #infer(route, record, response, answer, headers) {
    // Work that is done is billed, whether or not the client waits for it.
    const fails = answer.status !== undefined || answer.drop;
    if (!fails && !answer.free && (answer.billed || !answer.stream))
      this.billed += bill(record.json.model, answer);
    if (answer.delayMs) await new Promise((resolve) => setTimeout(resolve, answer.delayMs));
    if (answer.hold === 'head') await this.released;
    if (response.destroyed) return undefined;
    if (answer.drop) return response.destroy();
    if (answer.error)
      return this.#send(
        response,
        answer.status,
        problem(route.anthropic, answer.error, `It is ${answer.error}.`),
        headers,
      );
    if (typeof answer.body === 'string') {
      response.writeHead(answer.status, headers);
      return response.end(answer.body);
    }
    if (answer.status) {
      const coding = answer.gzip ? { 'content-encoding': 'gzip' } : {};
      return this.#send(response, answer.status, answer.body, { ...headers, ...coding });
    }
    return this.#speak(route, record, response, answer, headers);
  }

  async #speak(route, record, response, answer, headers) {
    const streamed = record.json.stream === true && route.events;
    const parts =
      answer.stream ??
      (streamed
        ? route.events(answer, record.json)
        : [JSON.stringify(route.whole(answer, record.json))]);
    const type =
      answer.type !== undefined
        ? answer.type
        : streamed
          ? 'text/event-stream; charset=utf-8'
          : 'application/json';
    response.writeHead(200, {
      ...headers,
      ...(type === null ? {} : { 'content-type': type }),
      ...(answer.gzip ? { 'content-encoding': 'gzip' } : {}),
    });
    const gzip = answer.gzip ? createGzip() : null;
    gzip?.pipe(response);
    // Compressed too, each event leaves at once.
    const write = (text) =>
      new Promise((resolve) => {
        if (gzip) {
          gzip.write(text, () => gzip.flush(constants.Z_SYNC_FLUSH, resolve));
          return;
        }
        const bytes = Buffer.from(text);
        const size = answer.chop ?? bytes.length;
        for (let i = size; i < bytes.length; i += size) response.write(bytes.subarray(i - size, i));
        response.write(bytes.subarray(Math.floor((bytes.length - 1) / size) * size), resolve);
      });
    for (let i = 0; i < parts.length; ++i) {
      if (answer.cut === i) return response.destroy();
      if (answer.hold === i) await this.released;
      if (response.destroyed) return undefined;
      // Node 18 does not tell of a write that came too late.
      await Promise.race([write(parts[i]), record.ended]);
    }
    return (gzip ?? response).end();
  }

  #models(path, anthropic, response, refuse, headers) {
    const names = Object.keys(kModels).filter(
      (name) => (kModels[name].owner === 'anthropic') === anthropic,
    );
    const shape = (id) =>
      anthropic
        ? { type: 'model', id, display_name: id, created_at: '2025-10-01T00:00:00Z' }
        : { id, object: 'model', created: 1700000000, owned_by: 'openai' };
    const id = decodeURIComponent(path.slice('/v1/models/'.length));
    if (path === '/v1/models') {
      const list = names.map(shape);
      return this.#send(
        response,
        200,
        anthropic
          ? { data: list, has_more: false, first_id: list[0].id, last_id: list.at(-1).id }
          : { object: 'list', data: list },
        headers,
      );
    }
    return names.includes(id)
      ? this.#send(response, 200, shape(id), headers)
      : refuse(
          404,
          anthropic ? 'not_found_error' : 'invalid_request_error',
          `The model '${id}' does not exist`,
        );
  }
}
