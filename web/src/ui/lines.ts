// One HTTP call as a shell, Python and JavaScript write it. The secret stays out: each way reads it
// from the environment.
import { shellWord } from './format';

export interface Line {
  url: string;
  // JSON as text, sent as it is.
  body: string;
  // The variable of the environment with the key.
  key: string;
}

// The variable that calls of models read a user's key from, in every command that the pages show.
export const modelKey = 'KVCS_KEY';

export const curlLine = ({ url, body, key }: Line): string =>
  `curl -s ${shellWord(url)} \\\n  -H "Authorization: Bearer $${key}" \\\n  -H 'Content-Type: application/json' \\\n  -d ${shellWord(body)}`;

export function httpLines(line: Line): Record<string, string> {
  const { url, body, key } = line;
  const word = (text: string) => JSON.stringify(text);
  return {
    curl: curlLine(line),
    Python: `import os, requests\n\nanswer = requests.post(\n    ${word(url)},\n    headers={"Authorization": "Bearer " + os.environ[${word(key)}], "Content-Type": "application/json"},\n    data=${word(body)}.encode(),\n    timeout=600,\n)\nprint(answer.status_code, answer.text)`,
    JS: `const answer = await fetch(${word(url)}, {\n  method: 'POST',\n  headers: { authorization: \`Bearer \${process.env.${key}}\`, 'content-type': 'application/json' },\n  body: ${word(body)},\n});\nconsole.log(answer.status, await answer.text());`,
  };
}
