// What a list is filtered by; every choice stands in the address, so that it can be sent and gone
// back from.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Pages } from '../api/query';
import { setParams, usePlace, useShortcut } from '../router';

// One of few; the first choice is "all" and has the value ''.
export interface Filter {
  name: string;
  label: string;
  choices: { value: string; label: string }[];
}

const typingMs = 200;

// `search`: the name in the address of what is typed; left out: no such field. `/` goes there.
export function FilterBar({
  search,
  placeholder = 'Filter…',
  max = 500,
  filters = [],
  children,
}: {
  search?: string;
  placeholder?: string;
  // How many characters may be typed.
  max?: number;
  filters?: Filter[];
  children?: ComponentChildren;
}) {
  const { query } = usePlace();
  const set = [...(search ? [search] : []), ...filters.map((one) => one.name)].filter((name) =>
    query.get(name),
  );
  return (
    <div class="filter-bar" role="search">
      {search && <SearchField name={search} placeholder={placeholder} max={max} />}
      {filters.map((filter) => (
        <label key={filter.name} class="filter">
          <span>{filter.label}</span>
          <select
            value={query.get(filter.name) ?? ''}
            onChange={(event) => setParams({ [filter.name]: event.currentTarget.value })}
          >
            {filter.choices.map((one) => (
              <option key={one.value} value={one.value}>
                {one.label}
              </option>
            ))}
          </select>
        </label>
      ))}
      {children}
      {set.length > 0 && (
        <button
          type="button"
          class="button quiet"
          onClick={() => setParams(Object.fromEntries(set.map((name) => [name, null])))}
        >
          Clear
        </button>
      )}
    </div>
  );
}

const fewRows = 8;
// The rows that fit what is typed, as ?q=, of a list that is in the page whole. `bar`: its field, once there is
// something to choose from. `empty`: in the place of the rows; `nothing` where there are none at all.
export function useTyped<T>(
  rows: T[] | undefined,
  textOf: (row: T) => string,
  placeholder: string,
): { rows: T[] | undefined; bar: ComponentChildren; empty: (nothing: ComponentChildren) => ComponentChildren } {
  const q = (usePlace().query.get('q') ?? '').toLocaleLowerCase();
  const count = rows?.length ?? 0;
  return {
    rows: q === '' ? rows : rows?.filter((row) => textOf(row).toLocaleLowerCase().includes(q)),
    bar: (q !== '' || count > fewRows) && <FilterBar search="q" placeholder={placeholder} />,
    empty: (nothing) => (q === '' || count === 0 ? nothing : <p class="muted">No row fits.</p>),
  };
}

// As many characters as the daemon takes of `q`.
const searchMax = 100;
export interface Search {
  // What the daemon is asked for: undefined for nothing.
  q: string | undefined;
  // The field, once there is something to choose from.
  bar: (pages: Pick<Pages<unknown>, 'rows' | 'hasMore'>) => ComponentChildren;
  // In the place of the rows; `nothing` where nothing is searched for.
  empty: (pages: Pick<Pages<unknown>, 'hasMore'>, nothing: ComponentChildren) => ComponentChildren;
}
// A list that the daemon searches for what is typed, as ?q=. The key and the question of its pages have `q`.
export function useSearch(placeholder: string): Search {
  const q = (usePlace().query.get('q') ?? '').trim();
  // A field that somebody has seen stays, so that it is not taken from under their fingers.
  const isSeen = useRef(false);
  return {
    q: q === '' ? undefined : q,
    bar: ({ rows, hasMore }) => {
      isSeen.current ||= q !== '' || hasMore || (rows?.length ?? 0) > fewRows;
      return isSeen.current && <FilterBar search="q" placeholder={placeholder} max={searchMax} />;
    },
    empty: ({ hasMore }, nothing) => {
      if (q === '') return nothing;
      return <p class="muted">{hasMore ? 'No row fits so far; “Show more” looks further.' : 'No row fits.'}</p>;
    },
  };
}

// What a link filters by that has no field of its own: said, and taken away by a click.
export function FilterChips({ names }: { names: string[] }) {
  const { query } = usePlace();
  return (
    <>
      {names.map((name) => {
        const value = query.get(name) ?? '';
        if (value === '') return null;
        return (
          <button
            key={name}
            type="button"
            class="button quiet"
            onClick={() => setParams({ [name]: null })}
          >
            {name.replace('_id', '')}: {value} ×
          </button>
        );
      })}
    </>
  );
}

function SearchField({ name, placeholder, max }: { name: string; placeholder: string; max: number }) {
  const { path, query } = usePlace();
  const given = query.get(name) ?? '';
  const [text, setText] = useState(given);
  const field = useRef<HTMLInputElement>(null);
  const sent = useRef(given);
  // Somebody went back, or cleared it.
  useEffect(() => {
    if (given !== sent.current) setText(given);
    sent.current = given;
  }, [given]);
  useEffect(() => {
    if (text === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = text;
      setParams({ [name]: text }, { replace: true, of: path });
    }, typingMs);
    return () => clearTimeout(timer);
  }, [text, name, path]);
  const focus = useRef(() => field.current?.focus());
  useShortcut('/', 'Filter the list', focus.current);
  return (
    <input
      ref={field}
      class="filter-text"
      type="search"
      value={text}
      placeholder={placeholder}
      aria-label={placeholder}
      autocomplete="off"
      spellcheck={false}
      maxLength={max}
      onInput={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') event.currentTarget.blur();
      }}
    />
  );
}
