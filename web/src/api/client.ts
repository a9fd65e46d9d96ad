// The one way to the daemon: calls typed by path and method, with the session's CSRF token, a
// deadline, and refusals as ApiError. A session that ends in the middle of a call is begun anew on
// top of the page (`onSignedOut`), and the call goes on after that.
import { noteServerTime } from '../clock';
import { ApiError, refusalOf } from './error';
import type { AnswerOf, BodyOf, Method, NamesOf, PathOf, QueryOf } from './paths';

export { ApiError, isRecord, wordsOf } from './error';
export type { Schema } from './paths';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

const deadlineMs = 15_000;
// A password is hashed on the way, and a provider may be asked.
const writeDeadlineMs = 60_000;

type Values = Record<string, string | number | boolean | null | undefined>;

// `path`: what stands for the names in braces. `ifMatch`: the ETag of what was read; the daemon
// refuses with 409 or 412 when somebody else has changed it since. `timeoutMs` 0: no deadline. `reads`: it
// changes nothing, as every GET, and as a search, a look-up or a preview that has a body.
export interface Options<P extends string = string, Q = Values, B = unknown> {
  path?: Record<NamesOf<P>, string>;
  query?: Q;
  body?: B;
  ifMatch?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  reads?: boolean;
}
// What changes something is not given up half way; a question is.
type Whole = { signal?: undefined; reads?: false } | { reads: true };

interface How {
  timeoutMs: number;
  reads: boolean;
  // The deadline is for the body too.
  whole: boolean;
}

// An answer with what stands in its head.
export interface Tagged<T> {
  data: T;
  etag: string;
  status: number;
  headers: Headers;
}

// The head of an answer, whose body may still be on its way. `end`: it is read, and nothing waits for it
// any more. `explain`: why reading it failed.
interface Begun {
  response: Response;
  end: () => void;
  explain: (error: unknown) => Error;
}

export interface ClientSettings {
  fetcher?: Fetch;
  base?: string;
  // The CSRF token of the session, '' without one.
  csrf?: () => string;
  // The session has ended: true when the call shall be tried again, because somebody signed in.
  // `isRead`: the call asked for something and changed nothing.
  onSignedOut?: (isRead: boolean) => Promise<boolean>;
  // The CSRF token is no longer the session's (another tab signed in): reads it anew; true when the call
  // shall be tried again, because it is still the same person's.
  onStaleCsrf?: () => Promise<boolean>;
  // A change was asked for and no whole answer came: what is shown may not be so any more.
  onUnknown?: () => void;
}

// The address of this page without its hash and file, so that everything works under a prefix.
export function pageBase(): string {
  return typeof document === 'undefined'
    ? 'http://localhost/'
    : new URL('.', document.baseURI).href;
}

export function fillPath(path: string, values: Record<string, string> = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined || value === '') throw new Error(`${path} needs "${name}"`);
    return encodeURIComponent(value);
  });
}

export function queryString(query: Values = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.append(name, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

export class Client {
  private readonly settings: ClientSettings;
  constructor(settings: ClientSettings = {}) {
    this.settings = settings;
  }

  // Calls can be told to ask for a sign-in after the client was made.
  configure(more: ClientSettings): void {
    Object.assign(this.settings, more);
  }

  // The absolute address of a path, for links, downloads and commands.
  url(path: string, query?: Values): string {
    const base = this.settings.base ?? pageBase();
    return new URL(path.replace(/^\//, ''), base).href + queryString(query);
  }

  async get<P extends PathOf<'get'>>(path: P, options?: Options<P, QueryOf<P, 'get'>>) {
    return (await this.ask<AnswerOf<P, 'get'>>('get', path, options)).data;
  }
  async post<P extends PathOf<'post'>>(
    path: P,
    options?: Options<P, QueryOf<P, 'post'>, BodyOf<P, 'post'>> & Whole,
  ) {
    return (await this.ask<AnswerOf<P, 'post'>>('post', path, options)).data;
  }
  async put<P extends PathOf<'put'>>(
    path: P,
    options?: Options<P, QueryOf<P, 'put'>, BodyOf<P, 'put'>> & Whole,
  ) {
    return (await this.ask<AnswerOf<P, 'put'>>('put', path, options)).data;
  }
  async patch<P extends PathOf<'patch'>>(
    path: P,
    options?: Options<P, QueryOf<P, 'patch'>, BodyOf<P, 'patch'>> & Whole,
  ) {
    return (await this.ask<AnswerOf<P, 'patch'>>('patch', path, options)).data;
  }
  async delete<P extends PathOf<'delete'>>(
    path: P,
    options?: Options<P, QueryOf<P, 'delete'>, BodyOf<P, 'delete'>> & Whole,
  ) {
    return (await this.ask<AnswerOf<P, 'delete'>>('delete', path, options)).data;
  }
  // A thing with its ETag, which `ifMatch` of a later change carries.
  async getTagged<P extends PathOf<'get'>>(
    path: P,
    options?: Options<P, QueryOf<P, 'get'>>,
  ): Promise<Tagged<AnswerOf<P, 'get'>>> {
    return this.ask<AnswerOf<P, 'get'>>('get', path, options);
  }

  // Any path, also one that the document has not; T is the caller's claim.
  async ask<T>(method: Method, path: string, options: Options = {}): Promise<Tagged<T>> {
    const reads = options.reads ?? method === 'get';
    return this.noteUnknown(this.answer<T>(method, path, options, reads), reads);
  }

  private async answer<T>(
    method: Method,
    path: string,
    options: Options,
    reads: boolean,
  ): Promise<Tagged<T>> {
    const url = this.url(fillPath(path, options.path), options.query);
    const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    if (options.ifMatch !== undefined) headers['if-match'] = options.ifMatch;
    const { response, end, explain } = await this.send(
      url,
      {
        method: method.toUpperCase(),
        headers,
        cache: 'no-store',
        ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
        ...(options.signal && { signal: options.signal }),
      },
      {
        timeoutMs: options.timeoutMs ?? (method === 'get' ? deadlineMs : writeDeadlineMs),
        reads,
        whole: true,
      },
    );
    const text = await response
      .text()
      .catch((error: unknown) => {
        throw explain(error);
      })
      .finally(end);
    const data = parseBody(text, response.headers.get('content-type') ?? '', reads);
    if (reads && (data === null || data === undefined)) {
      throw new ApiError(0, `The answer of ${fillPath(path, options.path)} has nothing in it.`);
    }
    return {
      data: data as T,
      etag: response.headers.get('etag') ?? '',
      status: response.status,
      headers: response.headers,
    };
  }

  // The response itself, for streams, CSV and uploads; refusals are thrown like everywhere.
  // `path` may be a path of the daemon or an absolute address.
  // The deadline is for its head; the signal of `init` ends the body too.
  async raw(path: string, init: RequestInit = {}, timeoutMs = 0): Promise<Response> {
    const url = /^https?:/.test(path) ? path : this.url(path);
    const reads = !isChange(init);
    return (await this.noteUnknown(this.send(url, init, { timeoutMs, reads, whole: false }), reads)).response;
  }

  private async noteUnknown<T>(answer: Promise<T>, reads: boolean): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      const isUnknown = error instanceof ApiError && (error.isSilent || error.isRepeat);
      if (isUnknown && !reads) this.settings.onUnknown?.();
      throw error;
    }
  }

  // The same call as often as it takes: after a sign-in, and while the first of two is under way.
  private async send(url: string, asked: RequestInit, how: How): Promise<Begun> {
    const init = asked.method === 'POST' && !how.reads ? withKey(asked) : asked;
    let begun = await this.onceAnswered(url, init, how);
    if (begun.response.status === 401) {
      const error = await readRefusal(begun, url);
      if (!isSignedOut(error, url) || !(await this.settings.onSignedOut?.(how.reads))) throw error;
      begun = await this.onceAnswered(url, init, how);
    }
    if (begun.response.ok) return begun;
    const error = await readRefusal(begun, url);
    if (!isStaleCsrf(error) || !(await this.settings.onStaleCsrf?.())) throw error;
    begun = await this.onceAnswered(url, init, how);
    if (begun.response.ok) return begun;
    throw await readRefusal(begun, url);
  }

  // A browser sends a request again by itself when the connection ends without an answer. The daemon may
  // be at the first one still, whose answer is waited for.
  private async onceAnswered(url: string, init: RequestInit, how: How): Promise<Begun> {
    const giveUpAt = Date.now() + (how.timeoutMs || writeDeadlineMs);
    for (;;) {
      const begun = await this.once(url, init, how);
      if (begun.response.status !== 409) return begun;
      const error = await readRefusal(begun, url);
      if (error.code !== 'idempotency_in_progress' || Date.now() >= giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterS * 1000));
    }
  }

  private async once(
    url: string,
    init: RequestInit,
    { timeoutMs, reads, whole }: How,
  ): Promise<Begun> {
    const stop = new AbortController();
    const timer = timeoutMs > 0 ? setTimeout(() => stop.abort(), timeoutMs) : undefined;
    const follow = () => stop.abort();
    init.signal?.addEventListener('abort', follow);
    if (init.signal?.aborted) stop.abort();
    const end = () => {
      clearTimeout(timer);
      init.signal?.removeEventListener('abort', follow);
    };
    const explain = (error: unknown, otherwise: string): Error => {
      if (init.signal?.aborted) return error instanceof Error ? error : new Error(String(error));
      const isLate = `No answer within ${timeoutMs / 1000} s.${outcome(reads)}`;
      return new ApiError(0, stop.signal.aborted ? isLate : otherwise);
    };
    const csrf = this.settings.csrf?.() ?? '';
    const headers = new Headers(init.headers);
    if (isChange(init) && csrf !== '') headers.set('x-csrf-token', csrf);
    try {
      const fetcher: Fetch = this.settings.fetcher ?? ((to, what) => fetch(to, what));
      const response = await fetcher(url, {
        credentials: 'same-origin',
        ...init,
        headers,
        signal: stop.signal,
      });
      noteServerTime(response.headers.get('date'));
      if (!whole) clearTimeout(timer);
      return { response, end, explain: (error) => explain(error, brokeOff(reads)) };
    } catch (error) {
      end();
      throw explain(error, silent + outcome(reads));
    }
  }
}

// By its method alone.
const isChange = ({ method = 'GET' }: RequestInit): boolean => method !== 'GET' && method !== 'HEAD';

// One key for each click, whatever becomes of it on the way: the daemon does once what comes twice. There is
// no randomUUID on pages without https.
function withKey(init: RequestInit): RequestInit {
  const headers = new Headers(init.headers);
  if (!headers.has('idempotency-key')) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    headers.set('idempotency-key', Array.from(bytes, (one) => one.toString(16).padStart(2, '0')).join(''));
  }
  return { ...init, headers };
}

const silent = 'The daemon does not answer. Is kvcs serve running?';
// A call that only reads leaves nothing done.
const outcome = (reads: boolean): string => (reads ? '' : ' Whether it was done is not known.');
const brokeOff = (reads: boolean): string => `The answer broke off.${outcome(reads)}`;
// No body is undefined; half of one, and a page of HTML, are no answers.
function parseBody(text: string, type: string, reads: boolean): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    const elsewhere = `Something else than the daemon answered, with a page of HTML.${outcome(reads)}`;
    throw new ApiError(0, type.startsWith('text/html') ? elsewhere : brokeOff(reads));
  }
}

// A password that is wrong, the question who is signed in, and a service that refuses an account are not
// the end of the session.
const isSignedOut = ({ code }: ApiError, url: string): boolean =>
  code !== 'UPSTREAM_ERROR' && !/\/auth\/(login|reset|register|setup|session)\b/.test(new URL(url).pathname);

// The portal's refusals have no code: there its words tell.
const isStaleCsrf = ({ status, code, message }: ApiError): boolean =>
  status === 403 &&
  (code.toLowerCase() === 'csrf_token_missing' || message.startsWith('X-CSRF-Token must be '));

async function readRefusal({ response, end }: Begun, url: string): Promise<ApiError> {
  const body: unknown = await response
    .json()
    .catch(() => null)
    .finally(end);
  return refusalOf(response.status, body, response.headers, new URL(url).pathname);
}

// The client of the page.
export const api = new Client();
