// What was spent on models, when and for whom: operators see everything, an organization's admins what
// is its own, and everybody else what is left of its budget.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { isOperator, mayManage, type Me, useMe } from '../../api/session';
import { href, setParams, useParam, usePlace } from '../../router';
import {
  Budget, Chart, type Column, Count, DateRange, daysOf, Duration, Empty, ErrorBox, Figures, FilterBar, FilterChips, forecast, instantsOf, LinkButton, Meter, Money, Page, Projection, Skeleton, Table, useRange,
} from '../../ui';
import { type Group, groups, headOf, nameOf, requestSeries, scopeOf, stackedSpend, type Sum } from './usage';
import { useOrganizationNames, userName, useUsers } from './users';

const path = '/admin/usage';
// How a group's rows are asked for one by one.
const filterOf: Record<Group, string> = { day: 'from', model: 'model', user: 'user_id', key: 'key_id', provider: 'provider', organization: 'org_id' };

// Operators alone tell organizations apart.
const groupsFor = (me: Me) => (isOperator(me) ? groups : groups.filter((one) => one.value !== 'organization'));

function useSums(group: Group, range: { from: string; to: string }, more: Record<string, string>) {
  const query = { group_by: group, ...instantsOf(range), ...more };
  return useQuery(`${path}?${new URLSearchParams(query)}`, async (signal) =>
    (await api.ask<Schema<'UsageReport'>>('get', path, { query, signal })).data, { pollMs: 30_000 });
}

function Own() {
  const { data, error, refresh } = useQuery('/api/v1/quota', (signal) => api.get('/api/v1/quota', { signal }), { pollMs: 30_000 });
  const use = data?.plan?.ai_usd;
  return (
    <Page title="Usage" state={data?.plan && <>Counts of {data.plan.month}, in UTC</>}>
      {error && <ErrorBox error={error} onRetry={refresh} />}
      {!data && !error && <Skeleton />}
      {use && (
        <Figures figures={[{ label: 'Spent on models', value: <Money usd={use.used} />,
          note: <Budget use={use} operates={false} /> },
        { label: 'If it goes on like this', value: <Money usd={forecast(use.projected)} />, note: <Projection usd={use.projected} allowed={use.allowed} /> }]} />
      )}
    </Page>
  );
}

function Sums({ me }: { me: Me }) {
  const { query } = usePlace();
  const choices = groupsFor(me);
  const [asked] = useParam('group', 'model');
  const range = useRange('month');
  const group = choices.find((one) => one.value === asked)?.value ?? 'model';
  const filter: Record<string, string> = Object.fromEntries(
    ['org_id', 'user_id', 'key_id', 'model', 'provider'].map((name) => [name, query.get(name) ?? '']).filter(([, value]) => value !== ''));
  // What the bars of a day are made of: what the table sums, or models.
  const part = group === 'day' ? 'model' : group;
  const daily = useSums('day', range, { ...filter, split_by: part });
  const sums = useSums(group, range, filter);
  // Users are told by their addresses; ids are what the rows are asked for by.
  const users = useUsers(group === 'user').data;
  const organizations = useOrganizationNames();
  const shown = (row: Sum) => {
    const user = group === 'user' && users?.find((one) => one.user_id === row.user);
    if (user) return userName(user, users ?? [], organizations);
    return (group === 'organization' && organizations?.[row.organization ?? '']) || nameOf(row, group) || '–';
  };
  const days = daysOf(range);
  const times = days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
  const total = (pick: (row: Sum) => number) => daily.data?.usage.reduce((sum, row) => sum + pick(row), 0);
  const budget = daily.data?.budget;
  const rowsOf = (row: Sum) => href('/ai/requests', {
    ...filter, ...(group === 'day' ? { from: row.day, to: row.day } : { from: range.from, to: range.to, [filterOf[group]]: nameOf(row, group) }),
  });
  const columns: Column<Sum>[] = [
    { key: 'name', label: headOf[group], cell: (row) => <span dir="auto">{shown(row)}</span> },
    { key: 'cost', label: 'Spent', align: 'right', cell: (row) => <Money usd={row.cost_usd} />, narrow: 'side' },
    { key: 'requests', label: 'Requests', align: 'right', cell: (row) => <Count n={row.requests} />, narrow: 'sub' },
    { key: 'failures', label: 'Failed', align: 'right', cell: (row) => <Count n={row.failures} />, narrow: 'hide' },
    { key: 'in', label: 'Tokens read', align: 'right', cell: (row) => <Count n={row.input_tokens} short />, narrow: 'hide' },
    { key: 'out', label: 'Tokens written', align: 'right', cell: (row) => <Count n={row.output_tokens} short />, narrow: 'hide' },
    { key: 'mean', label: 'Mean time', align: 'right', cell: (row) => <Duration ms={row.mean_ms} />, narrow: 'hide' },
  ];
  const csv = { group_by: group, ...instantsOf(range), ...filter, format: 'csv' };
  const rows = sums.data && [...sums.data.usage].sort((a, b) => (group === 'day' ? (b.day ?? '').localeCompare(a.day ?? '') : b.cost_usd - a.cost_usd));
  return (
    <Page title="Usage" more={<LinkButton href={api.url(path, csv)}>CSV</LinkButton>}
      state={daily.data && <><Money usd={total((row) => row.cost_usd)} /> in these days, in UTC, of {scopeOf(me, filter, organizations)}</>}>
      <FilterBar>
        <DateRange fallback="month" />
        <label class="filter"><span>sums</span>
          <select value={group} onChange={(event) => setParams({ group: event.currentTarget.value === 'model' ? null : event.currentTarget.value })}>
            {choices.map((one) => <option key={one.value} value={one.value}>{one.label}</option>)}
          </select>
        </label>
        <FilterChips names={Object.keys(filter)} />
      </FilterBar>
      {daily.error && <ErrorBox error={daily.error} onRetry={daily.refresh} />}
      {daily.data && (
        <>
          <Figures figures={[
            { label: 'Spent', value: <Money usd={total((row) => row.cost_usd)} />, href: href('/ai/requests', { ...filter, from: range.from, to: range.to }) },
            { label: 'Requests', value: <Count n={total((row) => row.requests)} />, href: href('/ai/requests', { ...filter, from: range.from, to: range.to }) },
            { label: 'Failed', value: <Count n={total((row) => row.failures)} />, href: href('/ai/requests', { ...filter, from: range.from, to: range.to, outcome: 'failed' }) },
            { label: 'Tokens', value: <Count n={total((row) => row.input_tokens + row.output_tokens)} short /> },
            ...(budget ? [{ label: `Budget of ${budget.month}`, value: <Money usd={budget.limit_usd} />,
              note: <><Meter used={budget.used_usd} allowed={budget.limit_usd} label="Budget" text={<><Money usd={budget.used_usd} /> spent</>} />{' '}
                <Projection usd={budget.projected_usd} allowed={budget.limit_usd} /></> }] : []),
          ]} />
          {daily.data.usage.length > 0 && (
            <div class="charts">
              <Chart title={`Spent by day and ${part}`} unit="usd" kind="bars" by="day" sync="usage" times={times} series={stackedSpend(daily.data.usage, days, part)}
                line={budget ? { value: budget.daily_usd, label: 'Budget over the days of the month' } : undefined} />
              <Chart title="Requests by day" unit="count" kind="bars" by="day" sync="usage" times={times} series={requestSeries(daily.data.usage, days)} />
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
  if (!isOperator(me) && !mayManage(me)) return <Own />;
  return <Sums me={me} />;
}
