// What was spent on models, when and for whom: operators see everything, others their own organization.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { isOperator, useMe } from '../../api/session';
import { href, setParams, useParam, usePlace } from '../../router';
import {
  Chart, type Column, Count, DateRange, daysOf, Duration, Empty, ErrorBox, Figures, FilterBar, LinkButton, Meter, Money, Page, Skeleton, Table, useRange,
} from '../../ui';
import { daySeries, type Group, groups, nameOf, type Sum } from './usage';

const path = '/admin/usage';
// How a group's rows are asked for one by one.
const filterOf: Record<Group, string> = { day: 'from', model: 'model', user: 'user_id', key: 'key_id', provider: 'provider', organization: 'org_id' };

function useSums(group: Group, range: { from: string; to: string }, filter: Record<string, string>) {
  const query = { group_by: group, from: `${range.from}T00:00:00Z`, to: `${range.to}T23:59:59.999Z`, ...filter };
  return useQuery(`${path}?${new URLSearchParams(query)}`, async (signal) =>
    (await api.ask<Schema<'UsageReport'>>('get', path, { query, signal })).data.usage, { pollMs: 30_000 });
}

function Own() {
  const { data, error, refresh } = useQuery('/api/v1/quota', (signal) => api.get('/api/v1/quota', { signal }), { pollMs: 30_000 });
  const use = data?.plan?.ai_usd;
  return (
    <Page title="Usage" state={data?.plan && <>Counts of {data.plan.month}, in UTC</>}>
      {error && <ErrorBox error={error} onRetry={refresh} />}
      {!data && !error && <Skeleton />}
      {use && (
        <Figures figures={[{ label: 'Spent on models', value: <Money usd={use.used} />, href: href('/ai/users'),
          note: <Meter used={use.used} allowed={use.allowed} label="Budget" text={<>of <Money usd={use.allowed} /></>} /> },
        { label: 'At the month’s end', value: <Money usd={use.projected} />, note: 'if it goes on like this' }]} />
      )}
    </Page>
  );
}

function Everything() {
  const { query } = usePlace();
  const [asked] = useParam('group', 'model');
  const range = useRange('month');
  const group = groups.find((one) => one.value === asked)?.value ?? 'model';
  const filter: Record<string, string> = Object.fromEntries(
    ['org_id', 'user_id', 'key_id', 'model', 'provider'].map((name) => [name, query.get(name) ?? '']).filter(([, value]) => value !== ''));
  const daily = useSums('day', range, filter);
  const sums = useSums(group, range, filter);
  const days = daysOf(range);
  const times = days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
  const total = (pick: (row: Sum) => number) => daily.data?.reduce((sum, row) => sum + pick(row), 0);
  const rowsOf = (row: Sum) => href('/ai/requests', {
    ...filter, ...(group === 'day' ? { from: row.day, to: row.day } : { from: range.from, to: range.to, [filterOf[group]]: nameOf(row, group) }),
  });
  const columns: Column<Sum>[] = [
    { key: 'name', label: groups.find((one) => one.value === group)?.label.replace('by ', '') ?? group, cell: (row) => <span dir="auto">{nameOf(row, group) || '–'}</span> },
    { key: 'cost', label: 'Spent', align: 'right', cell: (row) => <Money usd={row.cost_usd} />, narrow: 'side' },
    { key: 'requests', label: 'Requests', align: 'right', cell: (row) => <Count n={row.requests} />, narrow: 'sub' },
    { key: 'failures', label: 'Failed', align: 'right', cell: (row) => <Count n={row.failures} />, narrow: 'hide' },
    { key: 'in', label: 'Tokens read', align: 'right', cell: (row) => <Count n={row.input_tokens} short />, narrow: 'hide' },
    { key: 'out', label: 'Tokens written', align: 'right', cell: (row) => <Count n={row.output_tokens} short />, narrow: 'hide' },
    { key: 'mean', label: 'Mean time', align: 'right', cell: (row) => <Duration ms={row.mean_ms} />, narrow: 'hide' },
  ];
  const csv = { group_by: group, from: `${range.from}T00:00:00Z`, to: `${range.to}T23:59:59.999Z`, ...filter, format: 'csv' };
  const rows = sums.data && [...sums.data].sort((a, b) => (group === 'day' ? (b.day ?? '').localeCompare(a.day ?? '') : b.cost_usd - a.cost_usd));
  const series = daySeries(daily.data ?? [], days);
  return (
    <Page title="Usage" more={<LinkButton href={api.url(path, csv)}>CSV</LinkButton>}
      state={daily.data && <><Money usd={total((row) => row.cost_usd)} /> in these days, in UTC</>}>
      <FilterBar>
        <DateRange fallback="month" />
        <label class="filter"><span>sums</span>
          <select value={group} onChange={(event) => setParams({ group: event.currentTarget.value === 'model' ? null : event.currentTarget.value })}>
            {groups.map((one) => <option key={one.value} value={one.value}>{one.label}</option>)}
          </select>
        </label>
        {Object.entries(filter).map(([name, value]) => (
          <button key={name} type="button" class="button quiet" onClick={() => setParams({ [name]: null })}>{name.replace('_id', '')}: {value} ×</button>
        ))}
      </FilterBar>
      {daily.error && <ErrorBox error={daily.error} onRetry={daily.refresh} />}
      {daily.data && (
        <>
          <Figures figures={[
            { label: 'Spent', value: <Money usd={total((row) => row.cost_usd)} />, href: href('/ai/requests', { ...filter, from: range.from, to: range.to }) },
            { label: 'Requests', value: <Count n={total((row) => row.requests)} />, href: href('/ai/requests', { ...filter, from: range.from, to: range.to }) },
            { label: 'Failed', value: <Count n={total((row) => row.failures)} />, href: href('/ai/requests', { ...filter, from: range.from, to: range.to, outcome: 'error' }) },
            { label: 'Tokens', value: <Count n={total((row) => row.input_tokens + row.output_tokens)} short /> },
          ]} />
          {daily.data.length > 0 && (
            <div class="charts">
              <Chart title="Spent by day" unit="usd" kind="bars" by="day" sync="usage" times={times} series={series.spent} />
              <Chart title="Requests by day" unit="count" kind="bars" by="day" sync="usage" times={times} series={series.requests} />
            </div>
          )}
        </>
      )}
      <Table label="Sums" rows={rows} columns={columns} idOf={(row) => nameOf(row, group)} linkOf={rowsOf} error={sums.error} onRetry={sums.refresh}
        empty={<Empty action={<LinkButton kind="primary" href={href('/ai/playground')}>Send a first chat</LinkButton>} command="kvcs admin usage">
          Nothing was called in these days.</Empty>} />
    </Page>
  );
}

export default function UsagePage() {
  const me = useMe();
  if (!me) return null;
  return isOperator(me) ? <Everything /> : <Own />;
}
