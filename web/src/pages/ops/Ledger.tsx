// Rows that the daemon keeps of what happened: filtered by what the address says, the newest first,
// each with all its members on the side, and as CSV.
import type { ComponentChildren } from 'preact';
import { api } from '../../api/client';
import { usePages } from '../../api/query';
import { setParams, useParam, usePlace, withParams } from '../../router';
import {
  type Column, DateRange, Dialog, Empty, Facts, type Filter, FilterBar, FilterChips, instantsOf, LinkButton, NewRows, Page, Pager, Table, useRange,
} from '../../ui';

const detailParam = 'row';

// What a row has of a member, as text for the detail.
function shown(value: unknown): ComponentChildren {
  if (value === null || value === undefined || value === '') return <span class="muted">–</span>;
  return typeof value === 'object' ? <pre class="wrap">{JSON.stringify(value, null, 2)}</pre> : <span dir="auto" class="wrap">{String(value)}</span>;
}

function Detail<T extends object>({ title, row, links }: { title: string; row: T; links: ((row: T) => ComponentChildren) | undefined }) {
  return (
    <Dialog title={title} side onClose={() => setParams({ [detailParam]: null })}>
      <Facts facts={Object.entries(row).map(([label, value]) => ({ label: label.replace(/_/g, ' '), value: shown(value) }))} />
      {links?.(row)}
    </Dialog>
  );
}

export interface LedgerProps<T extends object> {
  title: string;
  state: ComponentChildren;
  path: '/admin/errors' | '/admin/alerts' | '/admin/audit' | '/admin/job-runs' | '/admin/outbox-dead';
  // The member of the answer that has the rows.
  member: string;
  columns: Column<T>[];
  idOf: (row: T) => string;
  // Names of query members that are typed, and those that are chosen.
  typed: { name: string; label: string };
  // How many characters may be typed.
  max?: number;
  filters?: Filter[];
  // Names that links alone filter by.
  linked?: string[];
  empty: string;
  action?: ComponentChildren;
  links?: (row: T) => ComponentChildren;
  children?: ComponentChildren;
}

export function Ledger<T extends object>(props: LedgerProps<T>) {
  const place = usePlace(), { query } = place;
  const [row] = useParam(detailParam);
  const range = useRange('7d');
  const names = [props.typed.name, ...(props.filters ?? []).map((one) => one.name), ...(props.linked ?? [])];
  const asked = Object.fromEntries(names.map((name) => [name, query.get(name) ?? '']).filter(([, value]) => value !== ''));
  const when = instantsOf(range);
  const key = `${props.path}?${new URLSearchParams({ ...asked, ...when })}`;
  const pages = usePages<T>(key, async (cursor, signal) => {
    const answer = await api.ask<Record<string, unknown>>('get', props.path, {
      query: { ...asked, ...when, limit: 100, cursor }, signal,
    });
    return { rows: answer.data[props.member] as T[], next: answer.data['cursor'] as string | null };
  }, { idOf: props.idOf, pollMs: 15_000 });
  const chosen = pages.rows?.find((one) => props.idOf(one) === row);
  const csv = <LinkButton href={api.url(props.path, { ...asked, ...when, format: 'csv' })}>CSV</LinkButton>;
  return (
    <Page title={props.title} state={props.state} more={csv} action={props.action}>
      {props.children}
      <FilterBar search={props.typed.name} placeholder={props.typed.label} {...(props.max !== undefined && { max: props.max })} filters={props.filters ?? []}>
        <DateRange fallback="7d" />
        <FilterChips names={props.linked ?? []} />
      </FilterBar>
      <NewRows count={pages.fresh} onShow={pages.refresh} />
      <Table label={props.title} rows={pages.rows} columns={props.columns} idOf={props.idOf} error={pages.error} onRetry={pages.refresh}
        linkOf={(one) => withParams(place, { [detailParam]: props.idOf(one) })}
        empty={<Empty>{props.empty}</Empty>} />
      <Pager shown={pages.rows?.length ?? 0} hasMore={pages.hasMore} busy={pages.busy} onMore={pages.more} />
      {chosen && <Detail title={props.title} row={chosen} links={props.links} />}
    </Page>
  );
}
