// How the two gateways answered in the last half hour: times of requests, and each provider's state.
import { api, type Schema } from '../../api/client';
import { type Query, useQuery } from '../../api/query';
import { href } from '../../router';
import { type Column, Count, Duration, ErrorBox, Section, Skeleton, State, Table } from '../../ui';

type Summary = Schema<'MetricsSummary'>;
type Door = Schema<'PlaneSummary'> & { name: 'ai' | 'gateway' };
type Provider = Schema<'ProviderSummary'>;
const doorNames = { ai: 'Models', gateway: 'Tools' };

const doorColumns: Column<Door>[] = [
  { key: 'name', label: 'Calls of', cell: (row) => doorNames[row.name] },
  { key: 'requests', label: 'Requests', align: 'right', cell: (row) => <><Count n={row.requests} /><span class="narrow-word"> requests</span></>, narrow: 'side' },
  { key: 'errors', label: 'Failed', align: 'right', cell: (row) => <Count n={row.errors + row.refused} />, narrow: 'hide' },
  { key: 'p50', label: 'p50', align: 'right', cell: (row) => <Duration ms={row.p50_ms} />, narrow: 'hide' },
  { key: 'p95', label: 'p95', align: 'right', cell: (row) => <Duration ms={row.p95_ms} />, narrow: 'sub' },
  { key: 'p99', label: 'p99', align: 'right', cell: (row) => <><span class="narrow-word">p99 </span><Duration ms={row.p99_ms} /></>, narrow: 'end' },
];

const providerColumns: Column<Provider>[] = [
  { key: 'name', label: 'Provider', cell: (row) => <span dir="auto">{row.provider}</span> },
  { key: 'state', label: 'State', cell: (row) => <State state={row.state} />, narrow: 'side' },
  { key: 'door', label: 'Calls of', cell: (row) => doorNames[row.door], narrow: 'sub' },
  { key: 'requests', label: 'Requests', align: 'right', cell: (row) => <Count n={row.requests} />, narrow: 'hide' },
  { key: 'failures', label: 'Errors of its own', align: 'right', cell: (row) => <><Count n={row.failures} /><span class="narrow-word"> errors of its own</span></>, narrow: 'end' },
];
// The rows of what failed: of models the requests, of tools the errors that were kept.
const rowsOf = (row: Provider) =>
  row.door === 'ai' ? href('/ai/requests', { provider: row.provider }) : href('/ops/errors', { provider: row.provider });

// The last half hour; `wanted`: operators alone see it.
export function useSummary(wanted: boolean): Query<Summary> {
  return useQuery<Summary>(
    wanted ? '/admin/metrics/summary' : null,
    (signal) => api.get('/admin/metrics/summary', { query: { range: '30m' }, signal }),
    { pollMs: 30_000 },
  );
}

export function Gateways({ summary }: { summary: Query<Summary> }) {
  const { data, error, refresh } = summary;
  const doors: Door[] | undefined = data && [
    { ...data.planes.ai, name: 'ai' },
    { ...data.planes.gateway, name: 'gateway' },
  ];
  return (
    <Section title="Gateways in the last half hour" note="Failed: answered 400 and above. Errors of its own: a provider's 500 and above, and silence." action={<a href={href('/ops/metrics')}>Over time</a>}>
      {error && !data && <ErrorBox error={error} onRetry={refresh} />}
      {!data && !error && <Skeleton lines={3} />}
      {data && (
        <div class="charts">
          <Table label="Times of answers" rows={doors} columns={doorColumns} idOf={(row) => row.name} linkOf={() => href('/ops/metrics')} />
          <Table label="Providers" rows={data.providers} columns={providerColumns} idOf={(row) => `${row.door}/${row.provider}`} linkOf={rowsOf}
            empty={<p class="muted">No provider was asked in this time.</p>} />
        </div>
      )}
    </Section>
  );
}
