// Short words at the bottom of the page about what was just done, with Undo where the daemon keeps
// the thing.
import { useEffect } from 'preact/hooks';
import { wordsOf } from '../api/error';
import { invalidate } from '../api/query';
import { identityOf, meStore } from '../api/session';
import { usePlace, useShortcut } from '../router';
import { createStore, useStore } from '../store';

interface Shown {
  id: number;
  text: string;
  tone: 'info' | 'bad';
  undo: (() => Promise<unknown>) | undefined;
  about: string;
}
const shown = createStore<Shown[]>([]);
let lastId = 0;
const plainMs = 5000;
const undoMs = 10_000;
const shownMax = 4;

const drop = (id: number) => shown.set(shown.get().filter((one) => one.id !== id));

// What was said to somebody is nobody else's; what was done in one place is not taken back in another.
let before = meStore.get();
meStore.subscribe(() => {
  const me = meStore.get();
  if (me?.person_id !== before?.person_id) shown.set([]);
  else if (identityOf(me) !== identityOf(before)) {
    shown.set(shown.get().filter((one) => !one.undo));
  }
  before = me;
});

// toast('Artifact deleted.', { undo: () => api.post(…) }). Plain present or past, no exclamation. A failure
// stands until it is put away, the same is tried again (`about` names it), or another page is gone to.
export function toast(
  text: string,
  options: { tone?: 'info' | 'bad'; undo?: () => Promise<unknown>; about?: string } = {},
): void {
  const { tone = 'info', undo, about = '' } = options;
  const one: Shown = { id: ++lastId, text, tone, undo, about };
  const before = shown.get().filter((old) => about === '' || old.about !== about || old.tone !== 'bad');
  // Of too many the oldest goes that cannot be taken back.
  const out = before.length < shownMax ? undefined : (before.find((old) => !old.undo) ?? before[0]);
  shown.set([...before.filter((old) => old !== out), one]);
  if (tone !== 'bad') setTimeout(() => drop(one.id), undo ? undoMs : plainMs);
}

// What failed on a page that is left stays no longer than other words.
export function ageFailures(): void {
  for (const one of shown.get()) if (one.tone === 'bad') setTimeout(() => drop(one.id), plainMs);
}

// What is under way, by its words: a second click on the same does nothing.
const underWay = new Set<string>();
// Does `act` and says `text`, or why it was refused; then everything under `path` is read anew.
export async function told(
  text: string,
  act: () => Promise<unknown>,
  path: string,
  undo?: () => Promise<unknown>,
): Promise<boolean> {
  if (underWay.has(text)) return false;
  underWay.add(text);
  try {
    await act();
    const back = async () => {
      await undo?.();
      invalidate(path);
    };
    toast(text, { about: text, ...(undo && { undo: back }) });
    return true;
  } catch (error) {
    toast(wordsOf(error), { about: text, tone: 'bad' });
    return false;
  } finally {
    underWay.delete(text);
    invalidate(path);
  }
}

export function Toasts() {
  const all = useStore(shown);
  const { path } = usePlace();
  useEffect(ageFailures, [path]);
  const takeBack = async (one: Shown) => {
    drop(one.id);
    try {
      await one.undo?.();
      toast('Undone.');
    } catch (error) {
      toast(wordsOf(error), { tone: 'bad' });
    }
  };
  const last = [...all].reverse().find((one) => one.undo);
  useShortcut('u', 'Undo what was done last', last ? () => void takeBack(last) : null);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {all.map((one) => (
        <div key={one.id} class={`toast ${one.tone}`}>
          <span>{one.text}</span>
          {one.undo && (
            <button type="button" class="button quiet" onClick={() => void takeBack(one)}>
              Undo
            </button>
          )}
          <button
            type="button"
            class="button quiet"
            aria-label="Dismiss"
            onClick={() => drop(one.id)}
          >
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
