// Who changed what in the organization, the newest first.
import { api } from '../../api/client';
import { usePages } from '../../api/query';
import { type Entry, wordsOfActor, wordsOfChange } from './changes';
import { Code, type Column, Empty, NewRows, Page, Pager, Table, Time, useSearch } from '../../ui';

const path = '/api/v1/audit';

function Actor({ entry }: { entry: Entry }) {
  const { text, id } = wordsOfActor(entry);
  return <><span dir="auto">{text}</span>{id !== '' && <> <Code text={id} /></>}</>;
}
const columns: Column<Entry>[] = [
  {
    key: 'what', label: 'What',
    cell: (one) => {
      const { verb, thing, name, isId } = wordsOfChange(one);
      return <>{verb} <b>{thing}</b>{name !== '' && <> {isId ? <Code text={name} /> : <span dir="auto">{name}</span>}</>}</>;
    },
  },
  { key: 'who', label: 'By', cell: (one) => <Actor entry={one} />, narrow: 'sub' },
  { key: 'address', label: 'From', cell: (one) => (one.address === null ? null : <code>{one.address}</code>), narrow: 'hide' },
  { key: 'request', label: 'Request', cell: (one) => (one.request_id === '' ? null : <Code text={one.request_id} />), narrow: 'hide' },
  { key: 'at', label: 'When', align: 'right', cell: (one) => <Time at={one.at} />, narrow: 'side' },
];

export default function HistoryPage() {
  const search = useSearch('Filter by name, thing or address');
  const entries = usePages<Entry>(`${path}?${search.q ?? ''}`, async (cursor, signal) => {
    const page = await api.get(path, { query: { limit: 100, ...(cursor !== undefined && { cursor }), ...(search.q !== undefined && { q: search.q }) }, signal });
    return { rows: page.audit, next: page.cursor };
  }, { idOf: (one) => one.id, pollMs: 30_000 });
  return (
    <Page title="History" state="Each change of the organization, with who made it and from where">
      {search.bar(entries)}
      <NewRows count={entries.fresh} onShow={entries.refresh} />
      <Table label="History" rows={entries.rows} columns={columns} idOf={(one) => one.id} error={entries.error} onRetry={entries.refresh}
        empty={search.empty(entries, <Empty>Nothing was changed yet.</Empty>)} />
      <Pager shown={entries.rows?.length ?? 0} hasMore={entries.hasMore} busy={entries.busy} onMore={entries.more} />
    </Page>
  );
}
