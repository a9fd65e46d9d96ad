// What the daemon refuses, in its own words, whatever door the refusal came through.

// `status` 0: no answer at all (the daemon is down, the deadline passed, or the page gave up).
// `code`: a word for programs, such as budget_exceeded; '' where who answered has none (a proxy).
// `field`: the member of the body that the refusal is about; `fields`: the same for several.
// `retryAfterS`: seconds to wait, of the Retry-After header or the body.
export interface Refusal {
  status: number;
  message: string;
  code: string;
  field: string;
  fields: Record<string, string>;
  retryAfterS: number;
  requestId: string;
  details: Record<string, unknown>;
}

export class ApiError extends Error implements Refusal {
  readonly status: number;
  readonly code: string;
  readonly field: string;
  readonly fields: Record<string, string>;
  readonly retryAfterS: number;
  readonly requestId: string;
  readonly details: Record<string, unknown>;

  constructor(status: number, message: string, rest: Partial<Refusal> = {}) {
    super(message);
    this.status = status;
    this.code = rest.code ?? '';
    this.field = rest.field ?? '';
    this.fields = rest.fields ?? {};
    this.retryAfterS = rest.retryAfterS ?? 0;
    this.requestId = rest.requestId ?? '';
    this.details = rest.details ?? {};
  }

  // No answer: whether the call was carried out is not known.
  get isSilent(): boolean {
    return this.status === 0;
  }
  // Somebody else changed the thing since it was read. A 409 may as well be a name that is taken, a thing
  // that is not to be had just now, or a repeat of the own call.
  get isStale(): boolean {
    return this.status === 412 || (this.status === 409 && /\bchanged meanwhile\b/.test(this.message));
  }
  // The daemon has had this call already, and cannot give its answer again.
  get isRepeat(): boolean {
    return this.code.startsWith('idempotency_');
  }
}

// A part of the page that is loaded when it is needed did not come.
export const partMissing = (): ApiError =>
  new ApiError(0, 'A part of this page did not load. The daemon does not answer, or is newer than this page: load the page anew.');

// What the page itself refuses of one field, before it asks the daemon.
export function fieldRefusal(field: string, words: string, status = 400): ApiError {
  return new ApiError(status, words, { field, fields: { [field]: words } });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

// {"error": "words", …} of the portal, the administration and the gateway; {"error": {"message", …}}
// of OpenAI's and Anthropic's dialects.
export function refusalOf(status: number, body: unknown, headers: Headers, path: string): ApiError {
  const said = isRecord(body) ? body : {};
  const inner = isRecord(said['error']) ? said['error'] : said;
  const words = text(said['error']) || text(inner['message']) || text(said['message']);
  const details = isRecord(inner['details']) ? inner['details'] : said;
  const fields: Record<string, string> = {};
  const listed = details['errors'] ?? details['fields'];
  if (isRecord(listed)) {
    for (const [name, value] of Object.entries(listed)) fields[name] = String(value);
  }
  const field = text(details['field']) || text(inner['param']);
  const message = words || `${path} answered ${status} without words.`;
  if (field !== '' && !(field in fields)) fields[field] = message;
  const wait = Number(headers.get('retry-after') ?? said['retry_after'] ?? 0);
  return new ApiError(status, message, {
    code: text(inner['code']) || text(inner['reason']) || text(inner['type']),
    field,
    fields,
    retryAfterS: Number.isFinite(wait) ? wait : 0,
    requestId: headers.get('x-request-id') ?? text(said['request_id']),
    details,
  });
}

// The words of anything that was thrown.
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
