// The last half hour and the last day at a glance, as the daemon itself has kept them.
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { href, setParams, useParam } from '../../router';
import { Chart, Count, Empty, ErrorBox, Figures, FilterBar, LinkButton, Money, Page, Section, Skeleton } from '../../ui';
import { type History, lastOf, planes, sumOf } from './history';

const path = '/admin/metrics/history';
const sync = 'metrics';

function Plane({ history, name, title }: { history: History; name: keyof History['planes']; title: string }) {
  const plane = history.planes[name];
  const { times } = history;
  const answered = plane.requests.map((all, at) => (all === null ? null : all - (plane.refused[at] ?? 0) - (plane.errors[at] ?? 0)));
  if (sumOf(plane.requests) === 0) return <Section title={title}><p class="muted">No request in this time.</p></Section>;
  return (
    <Section title={title}>
      <div class="charts">
        <Chart title="Requests" unit="count" kind="bars" by="time" sync={sync} times={times} series={[
          { label: 'Answered', values: answered }, { label: 'Refused', values: plane.refused, tone: 'warn' },
          { label: 'Failed', values: plane.errors, tone: 'bad' }]} />
        <Chart title="Time to the last byte" unit="ms" log by="time" sync={sync} times={times} series={[
          { label: 'p50', values: plane.p50_ms }, { label: 'p95', values: plane.p95_ms }, { label: 'p99', values: plane.p99_ms }]} />
      </div>
    </Section>
  );
}

export default function MetricsPage() {
  const [range] = useParam('range', '30m');
  const asked = range === '24h' ? '24h' : '30m';
  const { data, error, refresh } = useQuery(`${path}?${asked}`, async (signal) =>
    (await api.ask<History>('get', path, { query: { range: asked }, signal })).data, { pollMs: asked === '30m' ? 10_000 : 60_000 });
  return (
    <Page title="Metrics" state="Kept in memory, and gone when the daemon stops; /metrics has everything for Prometheus"
      more={<LinkButton href={api.url('/metrics')}>For Prometheus</LinkButton>}>
      <FilterBar>
        <label class="filter"><span>time</span>
          <select value={asked} onChange={(event) => setParams({ range: event.currentTarget.value === '30m' ? null : event.currentTarget.value })}>
            <option value="30m">the last 30 minutes</option><option value="24h">the last 24 hours</option>
          </select>
        </label>
      </FilterBar>
      {error && <ErrorBox error={error} onRetry={refresh} />}
      {!data && !error && <Skeleton lines={6} />}
      {data && data.times.length === 0 && <Empty>The daemon has just begun; the first figures come in some seconds.</Empty>}
      {data && data.times.length > 0 && (
        <>
          <Figures figures={[
            { label: 'Requests', value: <Count n={planes.reduce((sum, one) => sum + sumOf(data.planes[one.name].requests), 0)} /> },
            { label: 'Failed', value: <Count n={planes.reduce((sum, one) => sum + sumOf(data.planes[one.name].errors), 0)} />, href: href('/ops/errors') },
            { label: 'Spent on models', value: <Money usd={sumOf(data.spend_usd)} />, href: href('/ai') },
            { label: 'Connections now', value: <Count n={lastOf(data.connections)} /> },
          ]} />
          {planes.map((one) => <Plane key={one.name} history={data} {...one} />)}
          <Section title="Models and storage">
            <div class="charts">
              <Chart title="Tokens a second" unit="per_s" by="time" sync={sync} times={data.times} series={[
                { label: 'Read', values: data.input_tokens_per_s }, { label: 'Written', values: data.output_tokens_per_s }]} />
              <Chart title="Spent in each step" unit="usd" kind="bars" by="time" sync={sync} times={data.times} series={[{ label: 'Spent', values: data.spend_usd }]} />
              <Chart title="Storage" unit="bytes" by="time" sync={sync} times={data.times} series={[{ label: 'Artifacts', values: data.storage_bytes }]} />
              <Chart title="Open connections" unit="count" by="time" sync={sync} times={data.times} series={[{ label: 'Connections', values: data.connections }]} />
            </div>
          </Section>
        </>
      )}
    </Page>
  );
}
