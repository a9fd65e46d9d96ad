// Reads the events of a streamed chat: text/event-stream (WHATWG HTML, section 9.2) with the JSON of
// Chat Completions in each, and "[DONE]" at the end.
import { curlLine, modelKey } from '../../ui/lines';

export interface ChatDelta { text: string; reasoning: string; refusal: string; finish: string; error: string }
export const isEnd = (data: string): boolean => data === '[DONE]';

// Why an answer that ended is not all that it might have been; '' for one that is whole.
export function wordsOfEnd(finish: string): string {
  if (finish === 'length') return 'Cut off: the bound on its output was reached.';
  if (finish === 'content_filter') return 'Cut off by a filter of the provider.';
  if (finish === 'refusal') return 'The model refused to go on.';
  return ['', 'stop', 'tool_calls', 'function_call'].includes(finish) ? '' : `Ended by the provider: ${finish}.`;
}

// What one event's data says; null for the end and for what is no JSON.
export function readDelta(data: string): ChatDelta | null {
  if (isEnd(data)) return null;
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch {
    return null;
  }
  const root = event as { choices?: { delta?: Record<string, unknown>; finish_reason?: unknown }[]; error?: unknown };
  const choice = root.choices?.[0];
  const text = (name: string): string => {
    const value = choice?.delta?.[name];
    return typeof value === 'string' ? value : '';
  };
  return {
    text: text('content'),
    reasoning: text('reasoning_content') || text('reasoning'),
    refusal: text('refusal'),
    finish: typeof choice?.finish_reason === 'string' ? choice.finish_reason : '',
    error: root.error === undefined ? '' : wordsOfError(root.error),
  };
}

function wordsOfError(error: unknown): string {
  if (typeof error === 'string') return error;
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : JSON.stringify(error);
}

// Splits what arrives into the data of whole events, wherever the pieces are cut.
export class EventReader {
  private rest = '';
  private data: string[] = [];

  take(piece: string): string[] {
    const lines = (this.rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    const events: string[] = [];
    for (const line of lines) {
      if (line === '') {
        if (this.data.length > 0) events.push(this.data.join('\n'));
        this.data = [];
      } else if (line.startsWith('data:')) {
        this.data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
      }
    }
    return events;
  }
}

export interface ChatAsk {
  model: string;
  system: string;
  messages: { role: 'user' | 'assistant'; content: string }[];
  temperature: string;
  maxTokens: string;
}

// The body of POST /v1/chat/completions.
export function chatBody(ask: ChatAsk, stream: boolean): Record<string, unknown> {
  return {
    model: ask.model,
    messages: [...(ask.system.trim() === '' ? [] : [{ role: 'system', content: ask.system }]), ...ask.messages],
    ...(ask.temperature !== '' && { temperature: Number(ask.temperature) }),
    ...(ask.maxTokens !== '' && { max_completion_tokens: Number(ask.maxTokens) }),
    ...(stream && { stream: true }),
  };
}

// The same call with a user's key.
export function chatLines(ask: ChatAsk, base: string): Record<string, string> {
  const body = chatBody(ask, false);
  const json = JSON.stringify(body, null, 2);
  const url = `${base}v1`;
  return {
    curl: curlLine({ url: `${url}/chat/completions`, body: JSON.stringify(body), key: modelKey }),
    Python: `import json, os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(url)}, api_key=os.environ["${modelKey}"])\nbody = json.loads(${JSON.stringify(JSON.stringify(body))})\nanswer = client.chat.completions.create(**body)\nprint(answer.choices[0].message.content)`,
    JS: `import OpenAI from 'openai';\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(url)}, apiKey: process.env.${modelKey} });\nconst answer = await client.chat.completions.create(${json});\nconsole.log(answer.choices[0].message.content);`,
  };
}
