// A call through the gateway as it is sent, and as the same line in other languages.
import { httpLines } from '../../ui/lines';

export interface CallDraft {
  tenant: string;
  provider: string;
  account: string;
  method: string;
  path: string;
  query: string;
  body: string;
  user: string;
}

// "a=1\nb=two words" → {a: '1', b: 'two words'}; a name that stands twice has a list.
export function readQuery(text: string): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  for (const line of text.split(/[\n&]/)) {
    const [name = '', ...rest] = line.split('=');
    const key = name.trim();
    if (key === '') continue;
    const value = rest.join('=').trim();
    const before = out[key];
    out[key] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return out;
}

export const takesBody = (method: string): boolean => !['GET', 'HEAD'].includes(method);

// What POST /api/v1/{tenant}/{provider} is sent. Throws when the body is meant as JSON and is none.
export function callBody(draft: CallDraft): Record<string, unknown> {
  const query = readQuery(draft.query);
  return {
    path: draft.path,
    method: draft.method,
    ...(Object.keys(query).length > 0 && { query }),
    ...(draft.account !== '' && { account_id: draft.account }),
    ...(takesBody(draft.method) && draft.body.trim() !== '' && { body: bodyOf(draft.body) }),
  };
}

function bodyOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

// The same call for an agent, which has a tenant token.
export function callLines(draft: CallDraft, base: string): Record<string, string> {
  let body: string;
  try {
    body = JSON.stringify(callBody(draft));
  } catch {
    return {};
  }
  const url = `${base}api/v1/${encodeURIComponent(draft.tenant)}/${encodeURIComponent(draft.provider)}`;
  return httpLines({ url, body, key: 'KVCS_TENANT_TOKEN' });
}
