// How the daemon is, at the right of the top bar: a word and a shape, from GET /health.
import { api, type Schema } from '../api/client';
import { type Query, useQuery } from '../api/query';
import { isOperator, useMe } from '../api/session';
import { href } from '../router';
import { State } from '../ui';

export type Health = Schema<'Health'>;
const pollMs = 15_000;

// /health answers 503 with the same body when something is down.
export async function readHealth(signal?: AbortSignal): Promise<Health> {
  try {
    return await api.get('/health', { signal });
  } catch (error) {
    const details = (error as { details?: Record<string, unknown> }).details;
    if (details && typeof details['status'] === 'string') return details as unknown as Health;
    throw error;
  }
}

// Monitors know the databases as d1; people do not.
export const partName = (name: string): string => (name === 'd1' ? 'databases' : name);

export function useHealth(): Query<Health> {
  return useQuery('/health', readHealth, { pollMs });
}

export function HealthMark() {
  const me = useMe();
  const { data, error } = useHealth();
  const word = error ? 'not reachable' : data?.mode === 'frozen' ? 'tools frozen' : data?.status;
  if (word === undefined) return <span class="health" />;
  const tone = error ? 'bad' : word === 'tools frozen' ? 'warn' : undefined;
  const inside = (
    <State state={word} {...(tone && { tone })}>
      <span class="health-word">{word}</span>
    </State>
  );
  return me && isOperator(me) ? (
    <a class="health" href={href('/ops')} aria-label={`Health: ${word}`}>
      {inside}
    </a>
  ) : (
    <span class="health" role="status" aria-label={`Health: ${word}`}>
      {inside}
    </span>
  );
}
