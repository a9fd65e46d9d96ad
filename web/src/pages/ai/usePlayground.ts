// A chat that is under way: what was said, what arrives, what it cost as the daemon tells.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Schema, wordsOf } from '../../api/client';
import { type ChatAsk, chatBody, EventReader, readDelta } from './stream';

export interface Turn {
  id: number;
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

// What was said so far, as the next question takes it along: a question that got no answer is not said.
export function saidOf(turns: Turn[]): Turn[] {
  return turns.filter((one, at) => one.content !== '' && (one.role === 'assistant' || (turns[at + 1]?.content ?? '') !== ''));
}

let lastId = 0;
export function usePlayground() {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [busy, setBusy] = useState(false);
  const stopper = useRef<AbortController | null>(null);
  // Nobody reads on, and nobody shall pay for it.
  useEffect(() => () => stopper.current?.abort(), []);

  const send = async (ask: ChatAsk, user: string, text: string): Promise<void> => {
    if (busy) return;
    const asked: Turn = { id: ++lastId, role: 'user', content: text };
    const own = ++lastId;
    // Its figures come late, when others may have been said.
    const setTurn = (change: Partial<Turn>) => setTurns((all) => all.map((one) => (one.id === own ? { ...one, ...change } : one)));
    setTurns([...turns, asked, { id: own, role: 'assistant', content: '' }]);
    setBusy(true);
    const stop = new AbortController();
    stopper.current = stop;
    const begun = performance.now();
    const answer = { content: '', reasoning: '' };
    let id = '';
    try {
      const messages = [...saidOf(turns), asked].map(({ role, content }) => ({ role, content }));
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
          if (answer.content === '' && answer.reasoning === '') setTurn({ firstMs: performance.now() - begun });
          answer.content += delta.text;
          answer.reasoning += delta.reasoning;
          setTurn({ ...answer });
        }
      }
    } catch (error) {
      setTurn(stop.signal.aborted ? { stopped: true } : { error: wordsOf(error) });
    } finally {
      setTurn({ totalMs: performance.now() - begun });
      if (stopper.current === stop) {
        setBusy(false);
        stopper.current = null;
      }
    }
    if (id !== '') {
      const usage = await usageOf(id, user);
      if (usage) setTurn({ usage });
    }
  };
  return {
    turns, busy, send,
    stop: () => stopper.current?.abort(),
    clear: () => {
      stopper.current?.abort();
      stopper.current = null;
      setBusy(false);
      setTurns([]);
    },
  };
}
