// A chat that is under way: what was said, what arrives, what it cost as the daemon tells.
import { useRef, useState } from 'preact/hooks';
import { api, type Schema, wordsOf } from '../../api/client';
import { type ChatAsk, chatBody, EventReader, readDelta } from './stream';

export interface Turn {
  role: 'user' | 'assistant';
  content: string;
  reasoning?: string;
  // The first word and the end, in ms after the call; the daemon's record of the call.
  firstMs?: number;
  totalMs?: number;
  usage?: Schema<'RequestUsage'>;
  error?: string;
  stopped?: boolean;
}

// The record is written when the call is settled, a moment after its end.
async function usageOf(id: string, user: string): Promise<Schema<'RequestUsage'> | undefined> {
  for (let attempt = 0; attempt < 6; attempt++) {
    try {
      return (await api.ask<Schema<'RequestUsage'>>('get', '/v1/usage/{request_id}', {
        path: { request_id: id }, headers: { 'x-kvcs-user': user },
      })).data;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 250 * (attempt + 1)));
    }
  }
  return undefined;
}

export function usePlayground() {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [busy, setBusy] = useState(false);
  const stopper = useRef<AbortController | null>(null);
  const setLast = (change: Partial<Turn>) => setTurns((all) => all.map((one, at) => (at === all.length - 1 ? { ...one, ...change } : one)));

  const send = async (ask: ChatAsk, user: string, text: string): Promise<void> => {
    if (busy) return;
    const said: Turn[] = [...turns.filter((one) => one.error === undefined || one.content !== ''), { role: 'user', content: text }];
    setTurns([...said, { role: 'assistant', content: '' }]);
    setBusy(true);
    const stop = new AbortController();
    stopper.current = stop;
    const begun = performance.now();
    const answer = { content: '', reasoning: '' };
    let id = '';
    try {
      const messages = said.map(({ role, content }) => ({ role, content }));
      const response = await api.raw('/v1/chat/completions', {
        method: 'POST', body: JSON.stringify(chatBody({ ...ask, messages }, true)), signal: stop.signal,
        headers: { 'content-type': 'application/json', accept: 'text/event-stream', 'x-kvcs-user': user },
      });
      id = response.headers.get('x-request-id') ?? '';
      const reader = response.body?.getReader();
      const decoder = new TextDecoder();
      const events = new EventReader();
      for (;;) {
        const piece = await reader?.read();
        if (!piece || piece.done) break;
        for (const data of events.take(decoder.decode(piece.value, { stream: true }))) {
          const delta = readDelta(data);
          if (delta === null) continue;
          if (delta.error !== '') throw new Error(delta.error);
          if (delta.text === '' && delta.reasoning === '') continue;
          if (answer.content === '' && answer.reasoning === '') setLast({ firstMs: performance.now() - begun });
          answer.content += delta.text;
          answer.reasoning += delta.reasoning;
          setLast({ ...answer });
        }
      }
    } catch (error) {
      setLast(stop.signal.aborted ? { stopped: true } : { error: wordsOf(error) });
    } finally {
      setLast({ totalMs: performance.now() - begun });
      setBusy(false);
      stopper.current = null;
    }
    if (id !== '') {
      const usage = await usageOf(id, user);
      if (usage) setLast({ usage });
    }
  };
  return {
    turns, busy, send,
    stop: () => stopper.current?.abort(),
    clear: () => { stopper.current?.abort(); setTurns([]); },
  };
}
