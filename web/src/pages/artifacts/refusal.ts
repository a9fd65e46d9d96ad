// Refusals of the artifact store, {"error": "Bad Request", "details": ["name: has 0 bytes; …"]}, as
// words that stand beside their field.
import { ApiError } from '../../api/client';

// What a call throws, with the words that are in `details`.
export function refusalOf(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error;
  const given = error.details['details'];
  const said = (Array.isArray(given) ? given : []).filter(
    (one): one is string => typeof one === 'string',
  );
  if (said.length === 0) return error;
  const fields: Record<string, string> = {};
  for (const one of said) {
    const [, field, words] = /^([a-z_]+): (.+)$/s.exec(one) ?? [];
    if (field !== undefined && words !== undefined) fields[field] = one;
  }
  const { status, code, retryAfterS, requestId, details } = error;
  return new ApiError(status, said.join(' '), { code, fields, retryAfterS, requestId, details });
}

export async function inWords<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw refusalOf(error);
  }
}
