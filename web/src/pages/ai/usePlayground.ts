// A chat that is under way: what was said, what arrives, what it cost as the daemon tells. It is kept in
// memory while the page of the browser lives, for the person and the place that it was begun in.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, ApiError, type Schema } from '../../api/client';
import { identityOf, meStore } from '../../api/session';
import { createStore, useStore } from '../../store';
import { type ChatAsk, chatBody, EventReader, isEnd, readDelta, wordsOfEnd } from './stream';

export interface Turn {
  id: number;
  role: 'user' | 'assistant';
  content: string;
  reasoning?: string;
  // The first word and the end, in ms after the call; the daemon's record of the call.
  firstMs?: number;
  totalMs?: number;
  usage?: Schema<'RequestUsage'>;
  error?: ApiError;
  // Why the answer is not all that it might have been.
  note?: string;
  stopped?: boolean;
  // The daemon refused the call: it is charged for what its record says, and for nothing without one.
  refused?: boolean;
}

// What is typed beside the chat.
export interface Draft {
  text: string;
  system: string;
  temperature: string;
  maxTokens: string;
}

interface Chat {
  whose: string;
  turns: Turn[];
  draft: Draft;
}
const newChat = (whose: string): Chat => ({ whose, turns: [], draft: { text: '', system: '', temperature: '', maxTokens: '' } });
const chatStore = createStore<Chat>(newChat(''));

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
function saidOf(turns: Turn[]): Turn[] {
  return turns.filter((one, at) => one.content !== '' && (one.role === 'assistant' || (turns[at + 1]?.content ?? '') !== ''));
}

const messagesOf = (turns: Turn[]): ChatAsk['messages'] => turns.map(({ role, content }) => ({ role, content }));
// What a call says: the text that is typed after all that was said, else the last call again.
export function messagesToShow(turns: Turn[], text: string): ChatAsk['messages'] {
  if (text.trim() !== '') return [...messagesOf(saidOf(turns)), { role: 'user', content: text }];
  const asked = turns.map((one) => one.role).lastIndexOf('user');
  if (asked < 0) return [{ role: 'user', content: 'Hello' }];
  return messagesOf([...saidOf(turns.slice(0, asked)), ...turns.slice(asked, asked + 1)]);
}

// What the chat cost as far as the daemon has told, and whether that is all of it: a call that was
// stopped before its answer began is charged too, and has no record that the page could ask for.
export function costOf(turns: Turn[]): { usd: number; isWhole: boolean } {
  const answers = turns.filter((one) => one.role === 'assistant');
  return {
    usd: answers.reduce((sum, one) => sum + (one.usage?.cost_usd ?? 0), 0),
    isWhole: answers.every((one) => one.usage !== undefined || one.refused),
  };
}
// A body that breaks has no words of its own.
const brokeOff = () => new ApiError(0, 'The answer broke off before its end. What came of it may be charged.');

let lastId = 0;
export function usePlayground() {
  const whose = identityOf(useStore(meStore));
  const kept = useStore(chatStore);
  const chat = kept.whose === whose ? kept : newChat(whose);
  const { turns } = chat;
  const [busy, setBusy] = useState(false);
  const stopper = useRef<AbortController | null>(null);
  // Nobody reads on, and nobody shall pay for it.
  useEffect(() => () => stopper.current?.abort(), [whose]);
  // What comes late is for the chat that it was asked in, or for nobody.
  const change = (made: (now: Chat) => Partial<Chat>) => {
    const now = chatStore.get().whose === whose ? chatStore.get() : newChat(whose);
    if (identityOf(meStore.get()) === whose) chatStore.set({ ...now, ...made(now) });
  };

  const send = async (ask: ChatAsk, user: string, text: string): Promise<void> => {
    if (busy) return;
    const asked: Turn = { id: ++lastId, role: 'user', content: text };
    const own = ++lastId;
    // Its figures come late, when others may have been said.
    const setTurn = (part: Partial<Turn>) => change((now) => ({ turns: now.turns.map((one) => (one.id === own ? { ...one, ...part } : one)) }));
    change(() => ({ turns: [...turns, asked, { id: own, role: 'assistant', content: '' }] }));
    setBusy(true);
    const stop = new AbortController();
    stopper.current = stop;
    const begun = performance.now();
    const answer = { content: '', reasoning: '' };
    let id = '', finish = '', hasEnded = false;
    try {
      const messages = messagesOf([...saidOf(turns), asked]);
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
          hasEnded ||= isEnd(data);
          const delta = readDelta(data);
          if (delta === null) continue;
          if (delta.error !== '') throw new ApiError(502, delta.error, { requestId: id });
          if (delta.refusal !== '') finish ||= 'refusal';
          if (delta.finish !== '' && finish !== 'refusal') finish = delta.finish;
          delta.text += delta.refusal;
          if (delta.text === '' && delta.reasoning === '') continue;
          if (answer.content === '' && answer.reasoning === '') setTurn({ firstMs: performance.now() - begun });
          answer.content += delta.text;
          answer.reasoning += delta.reasoning;
          setTurn({ ...answer });
        }
      }
      if (!hasEnded && finish === '') throw brokeOff();
      setTurn({ note: wordsOfEnd(finish) });
    } catch (error) {
      if (stop.signal.aborted) setTurn({ stopped: true });
      else setTurn({ error: error instanceof ApiError ? error : brokeOff(), refused: error instanceof ApiError && !error.isSilent });
      if (error instanceof ApiError && error.status >= 500) id = error.requestId;
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
    draft: chat.draft,
    setDraft: (part: Partial<Draft>) => change((now) => ({ draft: { ...now.draft, ...part } })),
    stop: () => stopper.current?.abort(),
    clear: () => {
      stopper.current?.abort();
      stopper.current = null;
      setBusy(false);
      change(() => ({ turns: [] }));
    },
  };
}
