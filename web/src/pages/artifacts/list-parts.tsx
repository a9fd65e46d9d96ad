// What the list of artifacts is made of: its columns, its filters, and the sentence above it.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { href, usePlace } from '../../router';
import {
  Badge,
  Bytes,
  type Column,
  Count,
  counted,
  type Filter,
  formatBytes,
  Meter,
  Time,
} from '../../ui';
import { type Artifact, modelOf, schemeOf } from './words';

export const columns: Column<Artifact>[] = [
  {
    key: 'name',
    label: 'Name',
    sort: 'name',
    cell: (one) => (
      <span class="artifact-name" title={one.name}>
        {one.name}
      </span>
    ),
  },
  {
    key: 'model',
    label: 'Model',
    cell: (one) => (
      <span class="artifact-model" dir="auto" title={modelOf(one)}>
        {modelOf(one)}
      </span>
    ),
    narrow: 'sub',
  },
  {
    key: 'tokens',
    label: 'Tokens',
    align: 'right',
    cell: (one) => <Count n={one.num_tokens} />,
    narrow: 'hide',
  },
  {
    key: 'size',
    label: 'Size',
    sort: 'size',
    align: 'right',
    cell: (one) => <Bytes bytes={one.size_bytes} />,
    narrow: 'side',
  },
  { key: 'scheme', label: 'Values', cell: (one) => <code>{schemeOf(one)}</code>, narrow: 'hide' },
  {
    key: 'visibility',
    label: 'Visibility',
    narrow: 'end',
    cell: (one) =>
      one.status === 'pending' ? (
        <Badge tone="warn">unfinished</Badge>
      ) : (
        <Badge tone={one.visibility === 'public' ? 'info' : 'none'}>{one.visibility}</Badge>
      ),
  },
  {
    key: 'project',
    label: 'Project',
    cell: (one) => <span dir="auto">{one.project}</span>,
    narrow: 'hide',
  },
  {
    key: 'created',
    label: 'Created',
    sort: 'created',
    align: 'right',
    cell: (one) => <Time at={one.created_at} />,
    narrow: 'hide',
  },
];

// The sentence under the title: how many, and how full it is.
export function Fullness({ total, least }: { total: number | undefined; least: boolean }) {
  const quota = useQuery<Schema<'Quota'>>(
    '/api/v1/quota',
    (signal) => api.get('/api/v1/quota', { signal }),
    { pollMs: 60_000 },
  );
  const used = quota.data?.used.storage_bytes;
  const allowed = quota.data?.quota.storage_bytes;
  return (
    <>
      {total !== undefined && (
        <span>
          {counted(total, 'artifact')}
          {least && ' or more'}
        </span>
      )}
      {used !== undefined && total !== undefined && ' · '}
      {used !== undefined && (
        <a class="plain-link" href={href('/artifacts', { sort: '-size' })}>
          <Meter
            used={used}
            allowed={allowed}
            label="Storage used"
            text={
              allowed === undefined || allowed === null
                ? formatBytes(used)
                : `${formatBytes(used)} of ${formatBytes(allowed)}`
            }
          />
        </a>
      )}
      {(quota.data?.deleted.artifacts ?? 0) > 0 && (
        <>
          {' · '}
          <a class="plain-link" href={href('/artifacts/deleted')}>
            {formatBytes(quota.data?.deleted.storage_bytes ?? 0)} recently deleted
          </a>
        </>
      )}
    </>
  );
}

export function useFilters(projects: string[]): Filter[] {
  const { query } = usePlace();
  const found = useQuery('/api/v1/artifacts/models', (signal) =>
    api.get('/api/v1/artifacts/models', { query: { limit: 200 }, signal }),
  );
  const models = (found.data?.models ?? []).map(({ model, artifacts }) => ({
    value: model,
    label: `${model} (${artifacts})`,
  }));
  const asked = query.get('model') ?? '';
  const plain = (value: string) => ({ value, label: value });
  if (asked !== '' && !models.some(({ value }) => value === asked)) models.push(plain(asked));
  return [
    {
      name: 'model',
      label: 'Model',
      choices: [{ value: '', label: 'all' }, ...models],
    },
    {
      name: 'visibility',
      label: 'Visibility',
      choices: [{ value: '', label: 'all' }, plain('private'), plain('public')],
    },
    {
      name: 'status',
      label: 'State',
      choices: [
        { value: '', label: 'stored' },
        { value: 'pending', label: 'unfinished' },
        { value: 'all', label: 'all' },
      ],
    },
    ...(projects.length > 1
      ? [
          {
            name: 'project',
            label: 'Project',
            choices: [{ value: '', label: 'all' }, ...projects.map(plain)],
          },
        ]
      : []),
  ];
}
