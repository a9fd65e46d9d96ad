// Reading for pages: paint from the last answer, refresh behind it; lists that come in pages. The
// answers are kept in memory alone, and are gone with the session.
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, wordsOf } from './error';

interface Kept {
  data: unknown;
  at: number;
}
const keptMax = 300;
const kept = new Map<string, Kept>();
// Who shows the answer of a key: each joins the question that is under way, or begins one.
const watchers = new Map<string, Set<() => void>>();

// A question that is under way, for all who show its answer.
interface Flight {
  stop: AbortController;
  answer: Promise<unknown>;
  waiting: number;
}
const flights = new Map<string, Flight>();

function keep(key: string, data: unknown): void {
  kept.delete(key);
  kept.set(key, { data, at: Date.now() });
  const oldest = kept.keys().next().value;
  if (kept.size > keptMax && oldest !== undefined) kept.delete(oldest);
}

// Everything that begins with `prefix` is read anew where it is shown, and forgotten elsewhere.
export function invalidate(prefix: string): void {
  for (const key of [...kept.keys()]) {
    if (key.startsWith(prefix) && !watchers.has(key)) kept.delete(key);
  }
  for (const key of [...watchers.keys()]) if (key.startsWith(prefix)) askAnew(key);
}

export function clearCache(): void {
  kept.clear();
  for (const key of [...watchers.keys()]) askAnew(key);
}

function watch(key: string, join: () => void): () => void {
  const all = watchers.get(key) ?? new Set();
  watchers.set(key, all.add(join));
  return () => {
    all.delete(join);
    if (all.size === 0) watchers.delete(key);
  };
}

// Joins the question of `key`, which begins if none is under way. One that nobody waits for any longer is
// given up.
function join(
  key: string,
  fetcher: (signal: AbortSignal) => Promise<unknown>,
): { answer: Promise<unknown>; leave: () => void } {
  const flight = flights.get(key) ?? begin(key, fetcher);
  flight.waiting++;
  const leave = () => {
    if (--flight.waiting > 0) return;
    flight.stop.abort();
    end(key, flight);
  };
  return { answer: flight.answer, leave };
}

function begin(key: string, fetcher: (signal: AbortSignal) => Promise<unknown>): Flight {
  const stop = new AbortController();
  const answer = fetcher(stop.signal)
    .then((data) => {
      // A member that the answer should have, and has not.
      if (data === undefined) throw new ApiError(400, strangeAnswer);
      if (!stop.signal.aborted) keep(key, data);
      return data;
    })
    .finally(() => end(key, flight));
  const flight: Flight = { stop, answer, waiting: 0 };
  flights.set(key, flight);
  return flight;
}

function end(key: string, flight: Flight): void {
  if (flights.get(key) === flight) flights.delete(key);
}

// What is under way may have been answered before the change that this follows: all who show it ask together
// once more.
function askAnew(key: string): void {
  flights.get(key)?.stop.abort();
  flights.delete(key);
  for (const one of [...(watchers.get(key) ?? [])]) one();
}

export interface Query<T> {
  // The last answer; undefined before the first.
  data: T | undefined;
  // Why the last try failed; `data` is then the answer before.
  error: ApiError | undefined;
  // A question is under way.
  busy: boolean;
  // When `data` came, in ms since 1970.
  at: number | undefined;
  refresh: () => void;
  // Puts a changed answer in place, without asking.
  set: (data: T) => void;
}

const strangeAnswer =
  'The daemon sent something else than this page expects. It may be newer than the page; load the page anew.';
// The client words what goes wrong on the way; what is left is the page's own refusal, of members that are
// not as they should be or of what was typed.
const asError = (error: unknown): ApiError =>
  error instanceof ApiError
    ? error
    : new ApiError(400, error instanceof TypeError ? strangeAnswer : wordsOf(error));
const healthKey = '/health';
// A call that got no answer is a reason to ask at once how the daemon is.
function failed(error: unknown, key = ''): ApiError {
  const known = asError(error);
  if (known.isSilent && key !== healthKey) invalidate(healthKey);
  return known;
}
// How long to wait before what failed is asked again by itself: what the daemon says, or longer from try
// to try. Undefined for what stays refused, and where the wait is too long to stay here for it.
const triesMs = [2000, 4000, 8000, 15_000];
const longestWaitS = 600;
function waitMs({ retryAfterS, isSilent, status }: ApiError, tries: number): number | undefined {
  if (retryAfterS > longestWaitS) return undefined;
  if (retryAfterS > 0) return Math.max(1, retryAfterS) * 1000;
  if (!isSilent && ![502, 503, 504].includes(status)) return undefined;
  return triesMs[Math.min(tries, triesMs.length - 1)];
}
const isHidden = (): boolean => typeof document !== 'undefined' && document.hidden;
// A page that nobody has touched for this long stops polling until somebody does.
const idleMs = 10 * 60_000;
let touchedAt = Date.now();
if (typeof addEventListener === 'function') {
  for (const event of ['pointerdown', 'keydown', 'wheel']) {
    addEventListener(
      event,
      () => {
        touchedAt = Date.now();
      },
      { passive: true },
    );
  }
}

// `key`: names the answer, with everything it depends on ("/api/v1/artifacts?q=x"); null asks for
// nothing. Whoever asks the same at the same time waits for one answer. `pollMs`: asks again that long
// after each answer while the page is seen and used. `later`: asks for the first time only then. What may
// soon go well is asked again without it, too.
export function useQuery<T>(
  key: string | null,
  fetcher: (signal: AbortSignal) => Promise<T>,
  options: { pollMs?: number; later?: boolean } = {},
): Query<T> {
  const [, draw] = useState(0);
  const state = useRef<{ key: string | null; error: ApiError | undefined; busy: boolean }>({
    key,
    error: undefined,
    busy: key !== null,
  });
  if (state.current.key !== key) state.current = { key, error: undefined, busy: key !== null };
  const latest = useRef(fetcher);
  latest.current = fetcher;
  const { pollMs, later = false } = options;

  useEffect(() => {
    if (key === null) return;
    let mine: ReturnType<typeof join> | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const isShown = () => state.current.key === key;
    let tries = 0;
    const again = (afterMs: number | undefined) => {
      clearTimeout(timer);
      if (afterMs === undefined) return;
      timer = setTimeout(() => {
        if (isHidden() || Date.now() - touchedAt > idleMs) again(afterMs);
        else ask();
      }, afterMs);
    };
    const follow = () => {
      clearTimeout(timer);
      const current = join(key, latest.current);
      mine?.leave();
      mine = current;
      if (isShown()) {
        state.current.busy = true;
        draw((n) => n + 1);
      }
      current.answer
        .then(
          () => {
            if (mine !== current) return undefined;
            tries = 0;
            if (isShown()) state.current.error = undefined;
            return pollMs;
          },
          (error: unknown) => {
            if (mine !== current) return undefined;
            const known = failed(error, key);
            if (isShown()) state.current.error = known;
            return waitMs(known, tries++) ?? pollMs;
          },
        )
        .then((afterMs) => {
          if (mine !== current) return;
          mine = null;
          if (isShown()) {
            state.current.busy = false;
            draw((n) => n + 1);
          }
          again(afterMs);
        });
    };
    const ask = () => (flights.has(key) ? follow() : askAnew(key));
    const unwatch = watch(key, follow);
    if (later) again(pollMs);
    else ask();
    return () => {
      unwatch();
      mine?.leave();
      mine = null;
      clearTimeout(timer);
    };
  }, [key, pollMs, later]);

  const found = key === null ? undefined : kept.get(key);
  const set = useCallback(
    (data: T) => {
      if (key !== null) keep(key, data);
      draw((n) => n + 1);
    },
    [key],
  );
  return {
    data: found?.data as T | undefined,
    error: state.current.error,
    busy: state.current.busy,
    at: found?.at,
    refresh: () => {
      if (key !== null) askAnew(key);
    },
    set,
  };
}

// One page of a list: its rows, and the cursor of the next page, null or '' after the last.
export interface Slice<T> {
  rows: T[];
  next: string | null | undefined;
  total?: number;
}

export interface Pages<T> {
  // Undefined before the first answer.
  rows: T[] | undefined;
  total: number | undefined;
  error: ApiError | undefined;
  busy: boolean;
  hasMore: boolean;
  more: () => void;
  refresh: () => void;
  // How many rows arrived above since; `refresh` shows them.
  fresh: number;
  // Takes rows out or changes them at once, until the next answer.
  edit: (change: (rows: T[]) => T[]) => void;
}

interface PagesState<T> {
  rows: T[];
  next: string | null | undefined;
  total: number | undefined;
}

// A page of a list without its rows is no answer, and what is nothing is no row.
function checked<T>(slice: Slice<T>): Slice<T> {
  if (!Array.isArray(slice.rows)) {
    throw new ApiError(400, strangeAnswer);
  }
  return { ...slice, rows: slice.rows.filter((row) => row !== null && row !== undefined) };
}

// A search looks at so many rows a page, and may find none among them: the next one is asked for at once, up
// to this many.
const emptyPagesMax = 20;
async function fetchRows<T>(
  fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<Slice<T>>,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<Slice<T>> {
  let slice = checked(await fetchPage(cursor, signal));
  for (let asked = 1; asked < emptyPagesMax && slice.rows.length === 0 && slice.next && !signal.aborted; asked++) {
    slice = checked(await fetchPage(slice.next, signal));
  }
  return slice;
}

// `idOf` tells rows apart; with `pollMs` the first page is asked for again and new rows are counted.
export function usePages<T>(
  key: string | null,
  fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<Slice<T>>,
  options: { idOf?: (row: T) => string; pollMs?: number } = {},
): Pages<T> {
  const [moreBusy, setMoreBusy] = useState(false);
  const [moreError, setMoreError] = useState<ApiError | undefined>(undefined);
  const first = useQuery<PagesState<T>>(key, async (signal) => {
    const slice = await fetchRows(fetchPage, undefined, signal);
    return { rows: slice.rows, next: slice.next, total: slice.total };
  });
  const { idOf, pollMs } = options;
  const peek = useQuery<string[]>(
    key !== null && pollMs !== undefined && idOf ? `${key}#peek` : null,
    async (signal) => checked(await fetchPage(undefined, signal)).rows.map((row) => idOf!(row)),
    pollMs === undefined ? {} : { pollMs, later: true },
  );
  const { data } = first;
  // While a filter's answer is on its way the rows of before stay, so that nothing jumps.
  const list = key?.split('?')[0];
  const before = useRef<{ list: string | undefined; data: PagesState<T> } | null>(null);
  if (data) before.current = { list, data };
  const shown =
    data ??
    (first.error === undefined && before.current?.list === list ? before.current?.data : undefined);
  const fresh = useMemo(() => {
    if (!data || !peek.data || !idOf || (peek.at ?? 0) < (first.at ?? 0)) return 0;
    const known = new Set(data.rows.map(idOf));
    return peek.data.filter((id) => !known.has(id)).length;
  }, [data, peek.data]);
  const fetchRef = useRef(fetchPage);
  fetchRef.current = fetchPage;

  // What is shown by now, also to what began before.
  const latest = useCallback(
    () => (key === null ? undefined : (kept.get(key)?.data as PagesState<T> | undefined)),
    [key],
  );
  const asking = useRef<AbortController | null>(null);
  useEffect(() => {
    setMoreBusy(false);
    setMoreError(undefined);
    return () => {
      asking.current?.abort();
      asking.current = null;
    };
  }, [key]);
  const more = useCallback(() => {
    const cursor = latest()?.next;
    if (!cursor || asking.current) return;
    const current = new AbortController();
    asking.current = current;
    setMoreBusy(true);
    setMoreError(undefined);
    fetchRows(fetchRef.current, cursor, current.signal)
      .then((slice) => {
        const now = latest();
        // The list was read anew meanwhile: this is no longer what follows it.
        if (current.signal.aborted || now?.next !== cursor) return;
        const known = new Set(idOf ? now.rows.map(idOf) : []);
        const added = idOf ? slice.rows.filter((row) => !known.has(idOf(row))) : slice.rows;
        first.set({ rows: [...now.rows, ...added], next: slice.next, total: slice.total ?? now.total });
      })
      .catch((error: unknown) => {
        if (!current.signal.aborted) setMoreError(failed(error));
      })
      .finally(() => {
        if (asking.current !== current) return;
        asking.current = null;
        setMoreBusy(false);
      });
  }, [key]);
  return {
    rows: shown?.rows,
    total: shown?.total,
    error: first.error ?? moreError,
    busy: first.busy || moreBusy,
    hasMore: Boolean(data?.next),
    more,
    refresh: first.refresh,
    fresh,
    edit: (change) => {
      const now = latest();
      if (now) first.set({ ...now, rows: change(now.rows) });
    },
  };
}

export interface Action<A extends unknown[]> {
  run: (...args: A) => Promise<boolean>;
  busy: boolean;
  error: ApiError | undefined;
  clear: () => void;
}

// Something that a button does: busy while it runs, its refusal beside it. `run` resolves with
// whether it went well, and does nothing while it runs already.
export function useAction<A extends unknown[]>(act: (...args: A) => Promise<unknown>): Action<A> {
  const [state, setState] = useState<{ busy: boolean; error: ApiError | undefined }>({
    busy: false,
    error: undefined,
  });
  const running = useRef(false);
  const latest = useRef(act);
  latest.current = act;
  const run = useCallback(async (...args: A) => {
    if (running.current) return false;
    running.current = true;
    setState({ busy: true, error: undefined });
    try {
      await latest.current(...args);
      setState({ busy: false, error: undefined });
      return true;
    } catch (error) {
      setState({ busy: false, error: failed(error) });
      return false;
    } finally {
      running.current = false;
    }
  }, []);
  return { run, ...state, clear: () => setState({ busy: false, error: undefined }) };
}
