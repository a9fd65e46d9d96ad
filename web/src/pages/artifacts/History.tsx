// What has happened to one artifact, as the organization's audit has it.
import { api, type Schema } from '../../api/client';
import { usePages } from '../../api/query';
import { Code, type Column, Pager, Section, Table, Time } from '../../ui';

type Event = Schema<'ArtifactEvent'>;
const path = '/api/v1/artifacts/{id}/history';

const words: Record<Event['action'], string> = {
  confirm: 'stored',
  update: 'described anew',
  visibility: 'shown to others',
  move: 'moved to another project',
  delete: 'deleted',
  restore: 'restored, as private',
  purge: 'ended for good',
  share: 'share link made',
  unshare: 'share link withdrawn',
};
const wordsOf = (one: Event): string =>
  one.action === 'visibility' && one.value !== null ? `made ${one.value}` : words[one.action];

const columns: Column<Event>[] = [
  { key: 'what', label: 'What', cell: wordsOf },
  {
    key: 'who',
    label: 'By',
    cell: (one) =>
      one.name === null ? <Code text={one.actor} /> : <span dir="auto">{one.name}</span>,
    narrow: 'sub',
  },
  {
    key: 'at',
    label: 'When',
    align: 'right',
    cell: (one) => <Time at={one.at} />,
    narrow: 'side',
  },
];

export function History({ id }: { id: string }) {
  const list = usePages<Event>(
    `/api/v1/artifacts/${id}/history`,
    async (cursor, signal) => {
      const page = await api.get(path, {
        path: { id },
        query: { limit: 10, ...(cursor !== undefined && { cursor }) },
        signal,
      });
      return { rows: page.history, next: page.cursor };
    },
    { idOf: (one) => one.id },
  );
  return (
    <Section title="History">
      <Table
        label="History of the artifact"
        rows={list.rows}
        columns={columns}
        idOf={(one) => one.id}
        error={list.error}
        onRetry={list.refresh}
        empty={<p class="muted">Nothing has been written down.</p>}
      />
      {list.hasMore && (
        <Pager
          shown={list.rows?.length ?? 0}
          hasMore={list.hasMore}
          busy={list.busy}
          onMore={list.more}
        />
      )}
    </Section>
  );
}
