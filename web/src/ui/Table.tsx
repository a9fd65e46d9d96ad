// Rows of things of one kind: sorted by their heads, moved through with j and k, chosen for a bulk
// action, and drawn only where they are seen when there are many.
import type { ComponentChildren } from 'preact';
import { useCallback, useRef } from 'preact/hooks';
import { useShortcut } from '../router';
import { ErrorBox, Skeleton } from './feedback';
import { formatCount } from './format';
import { useWindow } from './window';

// `sort`: what the list is sorted by when the head is clicked ("name" and "-name" the other way
// round). `narrow`: where the cell stands in a two-line row under 720 px.
export interface Column<T> {
  key: string;
  label: string;
  cell: (row: T) => ComponentChildren;
  sort?: string;
  align?: 'left' | 'right';
  narrow?: 'title' | 'side' | 'sub' | 'end' | 'hide';
  width?: string;
  // Words that break into lines and make their row higher; for lists that are always drawn whole.
  wraps?: boolean;
}

export interface TableProps<T> {
  label: string;
  // Undefined: not there yet.
  rows: T[] | undefined;
  columns: Column<T>[];
  idOf: (row: T) => string;
  // What a row is called, for the name of its box.
  nameOf?: (row: T) => string;
  // Where a row leads to; its first cell is the link, and the row can be clicked.
  linkOf?: (row: T) => string | undefined;
  sort?: string;
  onSort?: (sort: string) => void;
  // Chosen ids; with `onSelect` each row has a box, and `bulk` says what can be done with them.
  selected?: string[];
  onSelect?: (ids: string[]) => void;
  bulk?: (ids: string[]) => ComponentChildren;
  empty?: ComponentChildren;
  error?: unknown;
  onRetry?: () => void;
}

const places = ['title', 'side', 'sub', 'end'] as const;
const placeOf = <T,>(column: Column<T>, at: number): string =>
  column.narrow ?? places[at] ?? 'hide';

function Head<T>({
  column,
  sort,
  onSort,
}: {
  column: Column<T>;
  sort: string;
  onSort: ((sort: string) => void) | undefined;
}) {
  const by = column.sort;
  const state =
    by !== undefined && sort === by
      ? 'ascending'
      : by !== undefined && sort === `-${by}`
        ? 'descending'
        : undefined;
  return (
    <th
      role="columnheader"
      scope="col"
      class={column.align}
      aria-sort={state}
      style={column.width ? { width: column.width } : undefined}
    >
      {by !== undefined && onSort ? (
        <button
          type="button"
          class="sort"
          onClick={() => onSort(state === 'ascending' ? `-${by}` : by)}
        >
          {column.label}
          <span aria-hidden="true">
            {state === 'ascending' ? ' ↑' : state === 'descending' ? ' ↓' : ''}
          </span>
        </button>
      ) : (
        column.label || <span class="visually-hidden">Actions</span>
      )}
    </th>
  );
}

// A row that is not as the document says takes nothing else along.
function cellOf<T>(column: Column<T>, row: T): ComponentChildren {
  try {
    return column.cell(row);
  } catch {
    return (
      <span class="muted" title="The daemon sent something else than was expected.">
        –
      </span>
    );
  }
}

// Moves a cursor through the rows and puts the focus on its link.
function useCursor(
  count: number,
  body: { current: HTMLElement | null },
  scrollTo: (at: number) => void,
) {
  const cursor = useRef(-1);
  const move = useCallback(
    (by: number) => {
      if (count === 0) return;
      cursor.current = Math.min(count - 1, Math.max(0, cursor.current + by));
      scrollTo(cursor.current);
      requestAnimationFrame(() => {
        const row = body.current?.querySelector<HTMLElement>(`[data-at="${cursor.current}"]`);
        (row?.querySelector<HTMLElement>('a.row-link') ?? row)?.focus();
      });
    },
    [count, scrollTo],
  );
  useShortcut(
    'j',
    'Next row',
    useCallback(() => move(1), [move]),
  );
  useShortcut(
    'k',
    'Row before',
    useCallback(() => move(-1), [move]),
  );
  return cursor;
}

interface RowProps<T> {
  row: T;
  at: number;
  columns: Column<T>[];
  link: string | undefined;
  name: string | undefined;
  // Undefined where rows cannot be chosen.
  chosen: boolean | undefined;
  onChoose: (on: boolean, range: boolean) => void;
  onFocus: () => void;
}
function Row<T>({ row, at, columns, link, name, chosen, onChoose, onFocus }: RowProps<T>) {
  return (
    <tr
      role="row"
      data-at={at}
      aria-rowindex={at + 2}
      tabIndex={link ? undefined : -1}
      class={`row${link ? ' linked' : ''}`}
      aria-selected={chosen}
      onFocusIn={onFocus}
      onClick={(event) => {
        if (link) followRow(event, link);
      }}
    >
      {chosen !== undefined && (
        <td role="cell" class="box">
          <input
            type="checkbox"
            aria-label={`Choose row ${at + 1}${name ? `: ${name}` : ''}`}
            checked={chosen}
            onClick={(event) => onChoose(event.currentTarget.checked, event.shiftKey)}
          />
        </td>
      )}
      {columns.map((column, nth) => (
        <td
          key={column.key}
          role="cell"
          class={`${column.align ?? ''} at-${placeOf(column, nth)}${column.wraps ? ' wraps' : ''}`}
          data-label={column.label}
        >
          {nth === 0 && link ? (
            <a class="row-link" href={link} dir="auto">
              {cellOf(column, row)}
            </a>
          ) : (
            cellOf(column, row)
          )}
        </td>
      ))}
    </tr>
  );
}

interface HeadRowProps<T> {
  props: TableProps<T>;
  all: boolean;
  onAll: () => void;
}
function HeadRow<T>({ props, all, onAll }: HeadRowProps<T>) {
  return (
    <tr role="row">
      {props.onSelect && (
        <th role="columnheader" class="box">
          <input type="checkbox" aria-label="Choose all rows" checked={all} onChange={onAll} />
        </th>
      )}
      {props.columns.map((column) => (
        <Head key={column.key} column={column} sort={props.sort ?? ''} onSort={props.onSort} />
      ))}
    </tr>
  );
}

// The rows that are not drawn, as room.
function Gap({ height }: { height: number }) {
  if (height <= 0) return null;
  return (
    <tr class="gap" aria-hidden="true" style={{ height: `${height}px` }}>
      <td />
    </tr>
  );
}

export function Table<T>(props: TableProps<T>) {
  const { rows, columns, idOf, linkOf, selected = [], onSelect } = props;
  const count = rows?.length ?? 0;
  const body = useRef<HTMLTableSectionElement>(null);
  const seen = useWindow(count, body);
  const cursor = useCursor(count, body, seen.scrollTo);
  const chosen = new Set(selected);
  const last = useRef(-1);

  const failed = props.error ? <ErrorBox error={props.error} onRetry={props.onRetry} /> : null;
  if (rows === undefined) return failed ?? <Skeleton lines={6} />;
  if (rows.length === 0)
    return (
      <>
        {failed}
        {props.empty ?? <p class="muted">None.</p>}
      </>
    );

  const choose = (at: number, on: boolean, range: boolean) => {
    const from = range && last.current >= 0 ? Math.min(last.current, at) : at;
    const to = range && last.current >= 0 ? Math.max(last.current, at) : at;
    const next = new Set(chosen);
    for (const row of rows.slice(from, to + 1)) {
      if (on) next.add(idOf(row));
      else next.delete(idOf(row));
    }
    last.current = at;
    onSelect?.([...next]);
  };
  const all = rows.length > 0 && rows.every((row) => chosen.has(idOf(row)));
  return (
    <div class="table-box">
      {failed}
      {onSelect && selected.length > 0 && (
        <div class="bulk" role="region" aria-label="Chosen rows">
          <b>{formatCount(selected.length)} chosen</b>
          {props.bulk?.(selected)}
          <button type="button" class="button quiet" onClick={() => onSelect([])}>
            Clear
          </button>
        </div>
      )}
      <table class="table" role="table" aria-label={props.label} aria-rowcount={rows.length + 1}>
        <thead role="rowgroup">
          <HeadRow props={props} all={all} onAll={() => onSelect?.(all ? [] : rows.map(idOf))} />
        </thead>
        <tbody role="rowgroup" ref={body}>
          <Gap height={seen.above} />
          {rows.slice(seen.from, seen.to).map((row, offset) => {
            const at = seen.from + offset;
            return (
              <Row
                key={idOf(row)}
                row={row}
                at={at}
                columns={columns}
                link={linkOf?.(row)}
                name={props.nameOf?.(row)}
                chosen={onSelect ? chosen.has(idOf(row)) : undefined}
                onChoose={(on, range) => choose(at, on, range)}
                onFocus={() => {
                  cursor.current = at;
                }}
              />
            );
          })}
          <Gap height={seen.below} />
        </tbody>
      </table>
    </div>
  );
}

// A click anywhere in a row follows its link, but not one on something that does its own work, nor
// the end of marking a text.
function followRow(event: MouseEvent, link: string): void {
  if ((event.target as HTMLElement).closest('a, button, input, select, label, [role=menu]')) return;
  if (getSelection()?.toString() || event.button !== 0) return;
  if (event.ctrlKey || event.metaKey) window.open(link);
  else location.hash = link;
}
