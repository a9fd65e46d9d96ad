// Calls of models as they come in, each with its cost, its times, and what was said where that is kept.
import { api, ApiError, type Schema } from '../../api/client';
import { usePages, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { setParams, useParam, usePlace, withParams } from '../../router';
import {
  Code, type Column, Commands, Count, DateRange, Dialog, Duration, Empty, ErrorBox, Facts, FilterBar, FilterChips, instantsOf, LinkButton, Money, NewRows, Page, Pager, Section, Skeleton, State, Table, Time, useRange, prettyJson, whenColumn,
} from '../../ui';
import { callAgain } from './again';
import { scopeOf } from './usage';
import { useOrganizationNames, useUserNames } from './users';

type Row = Schema<'UsageRow'>;
const path = '/admin/usage/requests';
const filters = ['request_id', 'org_id', 'user_id', 'key_id', 'model', 'provider', 'outcome'];
const counts: (keyof Row)[] = ['input_tokens', 'cache_read_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens', 'input_audio_tokens', 'input_image_tokens',
  'output_tokens', 'reasoning_tokens', 'output_audio_tokens', 'output_image_tokens', 'web_searches', 'file_searches', 'code_sessions', 'images_made'];
const stateOf = (row: Row) => <State state={String(row.status)} tone={row.status < 400 ? 'good' : 'bad'} />;

// The same call for somebody with a key: with all that was asked where that is kept.
function Again({ row, request = '', response = '' }: { row: Row; request?: string; response?: string }) {
  const { ways, whole } = callAgain(row.model, request, response, api.url('/'));
  return (
    <Section title="The same call" note={whole ? 'As it was kept: what looks like a secret or a person is left out. The key is read from the environment.'
      : 'The model alone, since what was asked is not kept whole. The key is read from the environment.'}>
      <Commands label="The same call" ways={ways} />
    </Section>
  );
}

function Bodies({ row }: { row: Row }) {
  const id = row.request_id;
  const { data, error } = useQuery(`/admin/ai/bodies/${id}`, (signal) => api.get('/admin/ai/bodies/{request_id}', { path: { request_id: id }, signal }));
  if (error instanceof ApiError && [403, 404].includes(error.status)) {
    return (
      <>
        <p class="muted">What was said is not kept: an organization keeps it by <code>log_bodies</code>.</p>
        <Again row={row} />
      </>
    );
  }
  if (error) return <ErrorBox error={error} />;
  if (!data) return <Skeleton />;
  return (
    <>
      <Again row={row} request={data.request} response={data.response} />
      <Section title="Asked"><pre class="answer" tabIndex={0} aria-label="What was asked">{prettyJson(data.request)}</pre></Section>
      <Section title="Answered"><pre class="answer" tabIndex={0} aria-label="What was answered">{prettyJson(data.response)}</pre></Section>
    </>
  );
}

function Detail({ row }: { row: Row }) {
  const me = useMe();
  const names = useUserNames(row.user_id, row.key_id);
  return (
    <Dialog title={row.model} side wide onClose={() => setParams({ row: null })}>
      <Facts facts={[
        { label: 'Cost', value: <Money usd={row.cost_usd} />, note: row.estimated ? 'estimated' : undefined },
        { label: 'Reserved before', value: <Money usd={row.reserved_usd} /> },
        { label: 'Status', value: stateOf(row) },
        { label: 'First byte', value: <Duration ms={row.first_byte_ms} /> },
        { label: 'Total time', value: <Duration ms={row.total_ms} /> },
        { label: 'When', value: <Time at={row.ts} /> },
        ...counts.filter((name) => row[name] !== 0).map((name) => ({ label: name.replace(/_/g, ' '), value: <Count n={row[name] as number} /> })),
        { label: 'Model provider', value: row.provider },
        { label: 'User', value: names.email ? <span dir="auto">{names.email}</span> : <Code text={row.user_id} />, href: `#/ai/users/${row.user_id}` },
        { label: 'Key', value: names.key ? <span dir="auto">{names.key}</span> : <Code text={row.key_id} /> },
        { label: 'Request', value: <Code text={row.request_id} /> },
        { label: 'Prices', value: <Code text={row.price_version} label="price version" /> },
      ]} />
      {me && mayOperate(me) && <Bodies row={row} />}
    </Dialog>
  );
}

const columns: Column<Row>[] = [
  { key: 'model', label: 'Model', cell: (one) => <span dir="auto">{one.model}</span> },
  { key: 'status', label: 'Status', cell: stateOf, narrow: 'hide' },
  { key: 'cost', label: 'Cost', align: 'right', cell: (one) => <Money usd={one.cost_usd} />, narrow: 'side' },
  { key: 'in', label: 'In', align: 'right', cell: (one) => <Count n={one.input_tokens} />, narrow: 'hide' },
  { key: 'out', label: 'Out', align: 'right', cell: (one) => <Count n={one.output_tokens} />, narrow: 'hide' },
  { key: 'first', label: 'First byte', align: 'right', cell: (one) => <Duration ms={one.first_byte_ms} />, narrow: 'hide' },
  { key: 'total', label: 'Total time', align: 'right', cell: (one) => <Duration ms={one.total_ms} />, narrow: 'sub' },
  { key: 'provider', label: 'Model provider', cell: (one) => one.provider, narrow: 'hide' },
  whenColumn('end'),
];

export default function RequestsPage() {
  const place = usePlace(), { query } = place;
  const [chosen] = useParam('row');
  const range = useRange('7d');
  const filter = Object.fromEntries(filters.map((name) => [name, query.get(name) ?? '']).filter(([, value]) => value !== ''));
  const asked = { ...filter, ...instantsOf(range) };
  const idOf = (one: Row) => `${one.request_id}/${one.attempt}`;
  const pages = usePages<Row>(`${path}?${new URLSearchParams(asked)}`, async (cursor, signal) => {
    const page = await api.ask<Schema<'UsagePage'>>('get', path, { query: { ...asked, limit: 100, cursor }, signal });
    return { rows: page.data.requests, next: page.data.cursor };
  }, { idOf, pollMs: 3000 });
  const me = useMe();
  const organizations = useOrganizationNames();
  const row = pages.rows?.find((one) => idOf(one) === chosen);
  return (
    <Page title="Requests" more={<LinkButton href={api.url(path, { ...asked, format: 'csv' })}>CSV</LinkButton>}
      state={me && <>Each call of a model of {scopeOf(me, filter, organizations)}, with what it cost; new ones are counted here as they end</>}>
      <FilterBar search="model" placeholder="Model, whole" filters={[{
        name: 'outcome', label: 'outcome', choices: [{ value: '', label: 'any' }, { value: 'ok', label: 'answered' }, { value: 'failed', label: 'failed' },
          { value: 'client_error', label: 'failed: refused' }, { value: 'rate_limited', label: 'failed: too many at once' },
          { value: 'provider_error', label: 'failed: at the provider' }, { value: 'timeout', label: 'failed: too late' },
          { value: 'client_gone', label: 'failed: nobody waited' }, { value: 'recovered', label: 'cut off by a restart' }],
      }]}>
        <DateRange fallback="7d" />
        <FilterChips names={filters.filter((name) => !['model', 'outcome'].includes(name))} />
      </FilterBar>
      <NewRows count={pages.fresh} onShow={pages.refresh} />
      <Table label="Requests" rows={pages.rows} columns={columns} idOf={idOf} error={pages.error} onRetry={pages.refresh}
        linkOf={(one) => withParams(place, { row: idOf(one) })}
        empty={<Empty action={<LinkButton kind="primary" href="#/ai/playground">Send a first chat</LinkButton>} command="kvcs admin requests">
          No call fits.</Empty>} />
      <Pager shown={pages.rows?.length ?? 0} hasMore={pages.hasMore} busy={pages.busy} onMore={pages.more} />
      {row && <Detail row={row} />}
    </Page>
  );
}
