// One wrapper around fetch: a deadline, JSON, and an error that says what went wrong.
import type { HealthAnswer, Me, Snapshot, StatusAnswer } from './types';

const deadlineMs = 4000;
// A password is hashed on the way, and others may wait for that too.
const postDeadlineMs = 30_000;

export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Fetch = (path: string, init: RequestInit) => Promise<Response>;

// `accepted` are the statuses whose body is the answer.
async function getJson(fetcher: Fetch, path: string, accepted: number[]): Promise<unknown> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), deadlineMs);
  try {
    const response = await fetcher(path, {
      headers: { accept: 'application/json' },
      cache: 'no-store',
      signal: stop.signal,
    });
    if (!accepted.includes(response.status)) {
      throw new ApiError(response.status, `${path} answered ${response.status}`);
    }
    return await response.json();
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (stop.signal.aborted) throw new ApiError(0, `no answer from ${path} within ${deadlineMs / 1000} s`);
    throw new ApiError(0, `no usable answer from ${path}`);
  } finally {
    clearTimeout(timer);
  }
}

// Sends a JSON object; the daemon's own words are the failure's. In a session that is to change
// something `csrf` is its token.
export async function postJson(
  fetcher: Fetch, path: string, body: object, csrf?: string,
): Promise<Record<string, unknown>> {
  return ask(fetcher, path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json', accept: 'application/json',
      ...(csrf !== undefined && { 'x-csrf-token': csrf }),
    },
    body: JSON.stringify(body),
  });
}

// The object that is at a path, for whoever is signed in.
export async function getObject(fetcher: Fetch, path: string): Promise<Record<string, unknown>> {
  return ask(fetcher, path, { headers: { accept: 'application/json' }, cache: 'no-store' });
}

async function ask(
  fetcher: Fetch, path: string, init: RequestInit,
): Promise<Record<string, unknown>> {
  let response: Response;
  try {
    response = await fetcher(path, { ...init, signal: AbortSignal.timeout(postDeadlineMs) });
  } catch {
    throw new ApiError(0, 'The daemon does not answer. Is kvcs serve running?');
  }
  const answer: unknown = await response.json().catch(() => null);
  const said = isRecord(answer) ? answer : {};
  if (!response.ok) {
    const words = typeof said['error'] === 'string' ? said['error'] : `${path} answered ${response.status}`;
    throw new ApiError(response.status, words);
  }
  return said;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readHealth(body: unknown): HealthAnswer {
  if (!isRecord(body) || typeof body['status'] !== 'string') {
    throw new ApiError(0, '/health did not answer as a kvcs does');
  }
  const services: Record<string, string> = {};
  if (isRecord(body['services'])) {
    for (const [name, state] of Object.entries(body['services'])) services[name] = String(state);
  }
  return { ...(body as object), status: body['status'], services };
}

export async function readSnapshot(fetcher: Fetch): Promise<Snapshot> {
  const health = readHealth(await getJson(fetcher, '/health', [200, 503]));
  const status = await getJson(fetcher, '/api/v1/status', [200]).catch(() => null);
  return { health, status: isRecord(status) ? (status as StatusAnswer) : null };
}

// Who is signed in; null for nobody, also when that cannot be told.
export async function readMe(fetcher: Fetch): Promise<Me | null> {
  const me = await getJson(fetcher, '/api/v1/me', [200]).catch(() => null);
  if (!isRecord(me) || me['kind'] !== 'person' || typeof me['csrf_token'] !== 'string') return null;
  return { name: String(me['name']), csrf_token: me['csrf_token'] };
}
