// A call through the gateway as it is sent, and as the same line in other languages.
import { shellWord } from '../../ui/format';

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

// What POST /api/v1/{tenant}/{provider} is sent. Throws when the body is meant as JSON and is none.
export function callBody(draft: CallDraft): Record<string, unknown> {
  const query = readQuery(draft.query);
  return {
    path: draft.path,
    method: draft.method,
    ...(Object.keys(query).length > 0 && { query }),
    ...(draft.account !== '' && { account_id: draft.account }),
    ...(draft.body.trim() !== '' && { body: bodyOf(draft.body) }),
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
  return {
    curl: `curl -s ${shellWord(url)} \\\n  -H "Authorization: Bearer $KVCS_TENANT_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d ${shellWord(body)}`,
    Python: `import os, requests\n\nanswer = requests.post(\n    ${JSON.stringify(url)},\n    headers={"Authorization": f"Bearer {os.environ['KVCS_TENANT_TOKEN']}"},\n    data=${JSON.stringify(body)},\n    timeout=60,\n)\nprint(answer.status_code, answer.text)`,
    JS: `const answer = await fetch(${JSON.stringify(url)}, {\n  method: 'POST',\n  headers: { authorization: \`Bearer \${process.env.KVCS_TENANT_TOKEN}\`, 'content-type': 'application/json' },\n  body: JSON.stringify(${body}),\n});\nconsole.log(answer.status, await answer.text());`,
  };
}
