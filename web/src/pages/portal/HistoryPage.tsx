// Who changed what in the organization, the newest first.
import { api, type Schema } from '../../api/client';
import { usePages } from '../../api/query';
import { useParam } from '../../router';
import { wordsOfChange } from './changes';
import { Badge, Code, type Column, Empty, FilterBar, NewRows, Page, Pager, Table, Time } from '../../ui';

type Entry = Schema<'HistoryEntry'>;
const path = '/api/v1/audit';

const columns: Column<Entry>[] = [
  {
    key: 'what', label: 'What',
    cell: (one) => {
      const { verb, thing, id } = wordsOfChange(one);
      return <>{verb} <b>{thing}</b>{id !== '' && <> <Code text={id} /></>}</>;
    },
  },
  { key: 'who', label: 'By', cell: (one) => (one.name === null ? <Code text={one.actor} /> : <span dir="auto">{one.name}</span>), narrow: 'sub' },
  { key: 'address', label: 'From', cell: (one) => (one.address === null ? null : <code>{one.address}</code>), narrow: 'hide' },
  { key: 'request', label: 'Request', cell: (one) => (one.request_id === '' ? null : <Code text={one.request_id} />), narrow: 'hide' },
  { key: 'at', label: 'When', align: 'right', cell: (one) => <Time at={one.at} />, narrow: 'side' },
];

export default function HistoryPage() {
  const [q] = useParam('q');
  const entries = usePages<Entry>(path, async (cursor, signal) => {
    const page = await api.get(path, { query: { limit: 100, ...(cursor !== undefined && { cursor }) }, signal });
    return { rows: page.audit, next: page.cursor };
  }, { idOf: (one) => one.id, pollMs: 30_000 });
  const words = q.toLocaleLowerCase();
  const rows = entries.rows?.filter((one) =>
    `${one.action} ${one.subject} ${one.name ?? one.actor} ${one.address ?? ''}`.toLocaleLowerCase().includes(words));
  return (
    <Page title="History" state="Each change of the organization, with who made it and from where">
      <FilterBar search="q" placeholder="Filter what is shown" />
      <NewRows count={entries.fresh} onShow={entries.refresh} />
      <Table label="History" rows={rows} columns={columns} idOf={(one) => one.id} error={entries.error} onRetry={entries.refresh}
        empty={<Empty>{q === '' ? 'Nothing was changed yet.' : <>Nothing shown fits <Badge>{q}</Badge>.</>}</Empty>} />
      <Pager shown={rows?.length ?? 0} hasMore={entries.hasMore} busy={entries.busy} onMore={entries.more} />
    </Page>
  );
}
