// The same use of an unmodified client twice: straight at the scripted provider, and through kvcs
// with only the base URL and the key changed. What the client saw, what the provider was asked and
// how often must be equal; what kvcs books must be what the provider bills.
import assert from 'node:assert/strict';
import { Daemon } from './daemon.mjs';
import { kKeys, kModels, priceRow, Provider } from './ai_provider.mjs';

// Every difference that is meant, with its reason. Anything else fails the test that finds it.
// `adds`: kvcs may only add it, not change or drop what is there straight.
const kDifferences = [
  {
    name: 'unencoded',
    at: /^asked\.\d+\.headers\.accept-encoding$/,
    why: 'kvcs reads the usage out of an answer and therefore asks for it unencoded.',
  },
  {
    name: 'usage is asked for',
    at: /^asked\.\d+\.body\.stream_options(\.include_usage)?$/,
    why: 'kvcs asks for the usage of every chat stream, and cuts it for clients that did not ask.',
  },
  {
    name: 'calls are bounded',
    at: /^asked\.\d+\.body\.max_tool_calls$/,
    adds: true,
    why: "The provider's own tools cost by the call, so that a request without a bound gets one.",
  },
  {
    name: 'both names of an id',
    at: /^error\.(.*\.)?request-id$/,
    adds: true,
    why: "kvcs gives the provider's id of a request under Anthropic's name for it too.",
  },
  {
    name: 'client software',
    at: /^asked\.\d+\.headers\.(user-agent|x-stainless-[a-z-]+|x-app|accept-language|sec-fetch-mode)$/,
    why: "What software a user runs is the user's; no provider answers by it.",
  },
  {
    name: 'accounts',
    at: /^asked\.\d+\.headers\.openai-(organization|project)$/,
    why: "The account at the provider is the operator's, not the user's.",
  },
  {
    name: 'browser access',
    at: /^asked\.\d+\.headers\.anthropic-dangerous-direct-browser-access$/,
    why: "It speaks of a browser that holds the key; the provider's key is held by kvcs.",
  },
];

// What the `openai` SDK calls the id of a request; Anthropic's reads another header, which passes.
export const kOpenAiRequestId = [
  {
    name: 'request id',
    at: /^(value|error)\.(.*\.)?(_request_id|requestID)$/,
    why: "x-request-id names the row in the ledger of kvcs; the provider's is x-upstream-request-id.",
  },
];

export const kOwnModels = [
  {
    name: 'own models',
    at: /^asked|^error\.(message|code|param|requestID|request-id)/,
    why: 'kvcs lists what the key can call, and answers that itself.',
  },
];
export const kOtherRoutes = [
  {
    name: 'other routes',
    at: /^asked|^error\.(message|code|param|type|requestID|request-id)/,
    why: 'A route that kvcs does not have is refused by it, not by the provider.',
  },
];
export const kNoAnswer = [
  {
    name: 'no answer',
    at: /^error\./,
    why: 'Straight there is no answer; kvcs answers that there was none.',
  },
];
export const kCutStream = [
  {
    name: 'a cut stream',
    at: /^error\./,
    why: 'Straight the connection breaks; kvcs tells it in an event of the dialect.',
  },
];

// Headers of the transport, and the two that bear keys.
const kNotCompared = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'te',
  'authorization',
  'x-api-key',
  'x-request-id',
]);

const plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
// Path → leaf of a JSON value, so that a difference has a name.
function leaves(value, path = '', out = new Map()) {
  if (value !== null && typeof value === 'object' && Object.keys(value).length > 0) {
    for (const [name, member] of Object.entries(value))
      leaves(member, path ? `${path}.${name}` : name, out);
  } else {
    out.set(path, JSON.stringify(value));
  }
  return out;
}

// Two texts from shortly before where they part.
function apart(left, right) {
  let from = 0;
  while (left !== undefined && right !== undefined && left[from] === right[from]) ++from;
  from = Math.max(0, from - 60);
  return `${left?.slice(from, from + 250)} | ${right?.slice(from, from + 250)}`;
}

// What a client's error tells its user.
export function errorFacts(failure) {
  const members = [
    'name',
    'status',
    'statusCode',
    'code',
    'type',
    'param',
    'isRetryable',
    'request_id',
    'requestID',
    'reason',
  ];
  const facts = { class: failure.constructor.name, message: failure.message };
  for (const member of members) {
    if (failure[member] !== undefined && typeof failure[member] !== 'function')
      facts[member] = plain(failure[member]);
  }
  for (const header of ['retry-after', 'retry-after-ms', 'x-should-retry', 'request-id']) {
    const value = failure.headers?.get?.(header) ?? failure.responseHeaders?.[header];
    if (value) facts[header] = value;
  }
  if (failure.cause instanceof Error) facts.cause = failure.cause.message;
  if (failure.lastError instanceof Error) facts.last = errorFacts(failure.lastError);
  return facts;
}

export class Pair {
  constructor() {
    this.provider = new Provider();
    this.daemon = new Daemon();
    this.seen = new Set(); // Names of the differences that occurred.
    this.users = 0;
  }

  async start() {
    await this.provider.start();
    await this.daemon.start();
    this.records = {}; // Of the providers in kvcs.
    for (const kind of ['openai', 'anthropic']) {
      this.records[kind] = { kind, base_url: this.provider.url, api_key: kKeys[kind] };
      await this.admin('PUT', `/admin/ai/providers/${kind}`, this.records[kind]);
    }
    for (const name of Object.keys(kModels)) {
      await this.admin(
        'PUT',
        `/admin/ai/prices/${encodeURIComponent(`${kModels[name].owner}/${name}`)}`,
        priceRow(name),
      );
    }
    return this;
  }
  async stop() {
    if (this.daemon.process) await this.daemon.stop();
    this.daemon.remove();
    this.provider.stop();
  }

  async admin(method, path, body) {
    const reply = await this.daemon.admin(method, path, body);
    assert.ok(
      reply.status < 300,
      `${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`,
    );
    return reply.body;
  }
  async user(limit = 10_000) {
    const email = `user${++this.users}@example.com`;
    const { user_id } = await this.admin('POST', '/admin/users', {
      email,
      monthly_limit_usd: limit,
      org_id: this.daemon.credentials.organization_id,
    });
    return {
      id: user_id,
      key: (await this.admin('POST', `/admin/users/${user_id}/api-keys`, { name: 'client' }))
        .api_key,
    };
  }

  // What a client is given. `openai` and `anthropic` are options of the SDKs; `leaves()` is a
  // signal that aborts once the provider has a request.
  #place(url, keyOf) {
    const leaves = () => {
      const abort = new AbortController();
      this.provider.asked.then(() => abort.abort());
      return abort.signal;
    };
    return {
      url,
      key: keyOf,
      leaves,
      openai: { baseURL: `${url}/v1`, apiKey: keyOf('openai') },
      anthropic: { baseURL: url, apiKey: keyOf('anthropic') },
    };
  }
  straight() {
    return this.#place(this.provider.url, (kind) => kKeys[kind]);
  }
  through(user) {
    return this.#place(this.daemon.url, () => user.key);
  }

  // `asks` makes of a request {path, headers, body} what is compared of it, or null: nothing.
  async #observe({ answers = [], run, asks = (one) => one }, place) {
    this.provider.begin(answers);
    const seen = {};
    try {
      seen.value = plain(await run(place));
    } catch (failure) {
      if (failure instanceof assert.AssertionError) throw failure;
      seen.error = errorFacts(failure);
      seen.stack = failure.stack;
    }
    this.provider.release();
    await this.provider.idle();
    const leaked = this.provider.requests.find((one) =>
      JSON.stringify([one.headers, one.text]).includes('gw_live_'),
    );
    assert.equal(leaked, undefined, 'a key of kvcs reached the provider');
    const asked = this.provider.requests
      .map(({ method, path, headers, json }) =>
        asks({
          method,
          path,
          body: json,
          headers: Object.fromEntries(
            Object.entries(headers)
              .filter(([name]) => !kNotCompared.has(name))
              .sort(),
          ),
        }),
      )
      .filter(Boolean);
    return { ...seen, asked, inferences: this.provider.inferences, billed: this.provider.billed };
  }

  // Runs `use.run(place)` twice against `use.answers`. `books`: 'exact' (what the provider billed),
  // 'at least' (an estimate of what was cut off), 'more' (an estimate of what the provider does not
  // even tell), or 'any'. `differs`: more differences of this use, {at, why}. Resolves with both
  // observations.
  async both(use) {
    const { books = 'exact', differs = [] } = use;
    const straight = await this.#observe(use, this.straight());
    const user = await this.user(use.limit);
    const through = await this.#observe(use, this.through(user));
    const found = this.#differences(straight, through, differs);
    if (found.length > 0)
      assert.fail(
        `differences (straight | through):\n${found.join('\n')}\n${through.stack ?? straight.stack ?? ''}`,
      );
    await this.#compareBooks(user, through, books);
    return { straight, through, user };
  }

  #differences(straight, through, more) {
    const facts = ({ value, error, asked, inferences }) =>
      leaves(plain({ value, error, asked, inferences }));
    const [left, right] = [facts(straight), facts(through)];
    const found = [];
    // Where only one of them failed, that says all.
    if (Boolean(straight.error) !== Boolean(through.error)) {
      const said = (one) => (one.error ? JSON.stringify(one.error) : 'succeeded');
      return [`${said(straight)} | ${said(through)}`];
    }
    for (const path of new Set([...left.keys(), ...right.keys()])) {
      if (left.get(path) === right.get(path)) continue;
      const meant = [...more, ...kDifferences].find(
        (one) => one.at.test(path) && !(one.adds && left.has(path)),
      );
      if (meant) this.seen.add(meant.name ?? meant.why);
      else found.push(`${path}: ${apart(left.get(path), right.get(path))}`);
    }
    return found;
  }

  // What the month of a user has cost, in nano-USD, once nothing is reserved.
  async spent(user) {
    for (const end = Date.now() + 40_000; Date.now() < end;) {
      const used = await this.admin('GET', `/admin/users/${user.id}/usage`);
      if (used.reserved_usd === 0) return BigInt(Math.round(used.current_usage_usd * 1e9));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('a reservation is left');
  }

  async #compareBooks(user, { billed }, books) {
    const booked = await this.spent(user);
    if (books === 'exact')
      assert.equal(booked, billed, `booked ${booked} nano-USD, billed ${billed}`);
    if (books === 'more') assert.ok(booked > billed, `booked ${booked} nano-USD, billed ${billed}`);
    if (books === 'at least')
      assert.ok(booked >= billed, `booked ${booked} nano-USD, billed ${billed}`);
  }
}
