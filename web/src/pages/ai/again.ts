// A request of the list as a call that can be made again: where it went is told by how it was answered.
import { isRecord } from '../../api/error';
import { httpLines, modelKey } from '../../ui/lines';

const doors: [RegExp, string][] = [
  [/"object"\s*:\s*"chat\.completion/, '/v1/chat/completions'],
  [/"object"\s*:\s*"response"|"type"\s*:\s*"response\./, '/v1/responses'],
  [/"type"\s*:\s*"message(_start)?"/, '/v1/messages'],
  [/"object"\s*:\s*"(list|embedding)"/, '/v1/embeddings'],
];

// By the answer, or where that says nothing by what was asked.
export function doorOf(request: Record<string, unknown>, response: string): string {
  const told = doors.find(([mark]) => mark.test(response.slice(0, 4000)))?.[1];
  if (told !== undefined) return told;
  if ('system' in request || 'stop_sequences' in request || 'thinking' in request) return '/v1/messages';
  if ('messages' in request || !('input' in request)) return '/v1/chat/completions';
  return 'encoding_format' in request || 'dimensions' in request ? '/v1/embeddings' : '/v1/responses';
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

// `request`, `response`: as they were kept, '' where they were not. `whole`: the lines have all that was asked.
export function callAgain(model: string, request: string, response: string, base: string): { ways: Record<string, string>; whole: boolean } {
  const kept = parsed(request);
  const body = kept ?? { model, messages: [{ role: 'user', content: '…' }] };
  const url = base.replace(/\/$/, '') + doorOf(body, kept ? response : '');
  return { ways: httpLines({ url, body: JSON.stringify(body), key: modelKey }), whole: kept !== null };
}
