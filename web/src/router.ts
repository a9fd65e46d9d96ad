// Where the page is: the part of the address behind '#', a path and a query. Filters, ranges and
// selections are kept in that query, so that a link leads back to the same view.
import { createContext } from 'preact';
import { useCallback, useContext, useEffect, useState } from 'preact/hooks';
import { createStore, useStore } from './store';

// "#/artifacts/x?tab=layers" → {path: "/artifacts/x", query: tab=layers}.
export interface Place {
  path: string;
  query: URLSearchParams;
}
export type QueryValues = Record<string, string | number | boolean | null | undefined>;

export function parseHash(hash: string): Place {
  const text = hash.replace(/^#/, '');
  const mark = text.indexOf('?');
  const path = (mark < 0 ? text : text.slice(0, mark)).replace(/\/+$/, '');
  return {
    path: path.startsWith('/') ? path : '/' + path,
    query: new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1)),
  };
}

// The address of a page for a link: href('/artifacts', {q: 'x'}) → "#/artifacts?q=x". Values that
// are empty, null or false are left out.
export function href(path: string, query: QueryValues = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '' && value !== false) {
      search.set(name, String(value));
    }
  }
  const text = search.toString();
  return `#${path}${text === '' ? '' : `?${text}`}`;
}

// "/artifacts/:id" and "/artifacts/a%20b" → {id: "a b"}; null where they do not match. A last part
// ":rest*" takes all that is left.
export function matchPath(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split('/').filter(Boolean);
  const parts = path.split('/').filter(Boolean);
  const params: Record<string, string> = {};
  for (const [at, part] of wanted.entries()) {
    if (part.endsWith('*') && part.startsWith(':')) {
      params[part.slice(1, -1)] = parts.slice(at).map(decode).join('/');
      return params;
    }
    const given = parts[at];
    if (given === undefined) return null;
    if (part.startsWith(':')) params[part.slice(1)] = decode(given);
    else if (part !== given) return null;
  }
  return parts.length === wanted.length ? params : null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const hashStore = createStore<string>(typeof location === 'undefined' ? '' : location.hash);
if (typeof addEventListener === 'function') {
  addEventListener('hashchange', () => hashStore.set(location.hash));
}

// `to`: "#/path?…" as `href` makes it. `replace`: the back button skips what was before.
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(history.state, '', to);
  else history.pushState(null, '', to);
  hashStore.set(location.hash);
}

// The place of the page that is drawn: while the next one is on its way, the one before keeps its own.
export const PlaceContext = createContext<Place | null>(null);
export function usePlace(): Place {
  const place = parseHash(useStore(hashStore));
  return useContext(PlaceContext) ?? place;
}

// A value of the address's query, and how to change it: const [sort, setSort] = useParam('sort',
// 'newest'). The fallback is never written into the address. Typing does not fill the history.
export function useParam(name: string, fallback = ''): [string, (value: string) => void] {
  const value = usePlace().query.get(name) ?? fallback;
  const set = useCallback(
    (next: string) => {
      setParams({ [name]: next === fallback ? null : next });
    },
    [name, fallback],
  );
  return [value, set];
}

// Ids that are chosen in a list, in the address as far as they are few.
export function useSelection(name = 'selected'): [string[], (ids: string[]) => void] {
  const [text, setText] = useParam(name);
  const [many, setMany] = useState<string[] | null>(null);
  const set = useCallback(
    (ids: string[]) => {
      setMany(ids.length > selectionMax ? ids : null);
      setText(ids.length > selectionMax ? '' : ids.join(','));
    },
    [setText],
  );
  return [many ?? text.split(',').filter(Boolean), set];
}
const selectionMax = 50;

// Changes several values of the query at once; null takes one out. `of`: the path of the page that asks;
// nothing is changed once another one is gone to.
export function setParams(
  values: QueryValues,
  options: { replace?: boolean; of?: string } = { replace: true },
): void {
  const { path, query } = parseHash(location.hash);
  if (options.of !== undefined && options.of !== path) return;
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null || value === '' || value === false)
      query.delete(name);
    else query.set(name, String(value));
  }
  navigate(href(path, Object.fromEntries(query)), options);
}

// The address of a place with some values of its query changed, for links.
export const withParams = ({ path, query }: Pick<Place, 'path' | 'query'>, values: QueryValues): string =>
  href(path, { ...Object.fromEntries(query), ...values });

// The tab's title.
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === '' ? 'kvcs' : `${title} · kvcs`;
  }, [title]);
}

// ---- keyboard -----------------------------------------------------------------------------

// A shortcut as the list under `?` shows it.
export interface Shortcut {
  keys: string;
  text: string;
  run: () => void;
}
const shortcuts = new Set<Shortcut>();
export const allShortcuts = (): Shortcut[] => [...shortcuts];

// `keys`: "c", "/", "g a" (one after the other), "mod+k" (Ctrl or ⌘). Letters do nothing while
// somebody types, and none does under a dialog. null: none just now.
export function useShortcut(keys: string, text: string, run: (() => void) | null): void {
  useEffect(() => {
    if (run === null) return;
    const shortcut = { keys, text, run };
    shortcuts.add(shortcut);
    return () => {
      shortcuts.delete(shortcut);
    };
  }, [keys, text, run]);
}

const sequenceMs = 1200;
export function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  // A box that is ticked takes no letters.
  const fields = 'input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]';
  return Boolean(element?.closest?.(fields));
}

// Whether a key is part of composing a word, as of Japanese. Safari reports the Enter that ends it when the
// composition is over, and by this code alone.
export const isComposing = (event: KeyboardEvent): boolean => event.isComposing || event.keyCode === 229;

export function installShortcuts(): () => void {
  let first = '';
  let firstAt = 0;
  const listen = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.altKey) return;
    const mod = event.ctrlKey || event.metaKey;
    if ((!mod && isTyping(event.target)) || document.querySelector('dialog[open]')) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const keys = mod ? `mod+${key}` : key;
    const sequence = event.timeStamp - firstAt < sequenceMs ? `${first} ${keys}` : '';
    // The last one that was set up stands for the innermost part of the page.
    const found =
      [...shortcuts].reverse().find((one) => one.keys === sequence) ??
      [...shortcuts].reverse().find((one) => one.keys === keys);
    first = keys;
    firstAt = event.timeStamp;
    if (!found) return;
    event.preventDefault();
    found.run();
  };
  addEventListener('keydown', listen);
  return () => removeEventListener('keydown', listen);
}
