// What the daemon found in its own records each morning, and what was decided about it.
import { api, ApiError, type Schema } from '../../api/client';
import { usePages, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { serverNow } from '../../clock';
import { useParam } from '../../router';
import { Button, type Column, Empty, ErrorBox, Field, FilterBar, NewRows, Page, Pager, Section, Skeleton, State, Table, Time } from '../../ui';
import { decide, type Decision, decisionsPath as path } from './decisions';

function Words({ date }: { date: string }) {
  const { data, error } = useQuery(`/admin/briefings/${date}`, async (signal) =>
    (await api.ask<Record<string, unknown>>('get', '/admin/briefings/{date}', { path: { date }, signal })).data);
  if (error instanceof ApiError && error.status === 404) return <p class="muted">{error.message}</p>;
  if (error) return <ErrorBox error={error} />;
  if (!data) return <Skeleton />;
  const text = typeof data['text'] === 'string' ? data['text'] : typeof data['markdown'] === 'string' ? data['markdown'] : JSON.stringify(data, null, 2);
  return <pre class="answer" tabIndex={0} aria-label={`Briefing of ${date}`}>{text}</pre>;
}

export default function BriefingsPage() {
  const me = useMe();
  const today = new Date(serverNow()).toISOString().slice(0, 10);
  const [date, setDate] = useParam('date', today);
  const [status] = useParam('status');
  const [severity] = useParam('severity');
  const decisions = usePages<Decision>(`${path}?${status}&${severity}`, async (cursor, signal) => {
    const page = await api.ask<Schema<'DecisionPage'>>('get', path, { query: { limit: 50, cursor, status, severity }, signal });
    return { rows: page.data.decisions, next: page.data.cursor };
  }, { idOf: (one) => one.id, pollMs: 60_000 });
  const may = Boolean(me && mayOperate(me));
  const columns: Column<Decision>[] = [
    { key: 'what', label: 'Suggestion', cell: (one) => <span dir="auto">{one.suggestion}</span> },
    { key: 'subject', label: 'About', cell: (one) => <span dir="auto">{one.subject}</span>, narrow: 'sub' },
    { key: 'severity', label: 'Weight', cell: (one) => <State state={one.severity} />, narrow: 'hide' },
    { key: 'status', label: 'Decision', cell: (one) => <State state={one.status} tone={one.status === 'proposed' ? 'info' : one.status === 'rejected' ? 'none' : 'good'} />, narrow: 'side' },
    { key: 'ts', label: 'Found', align: 'right', cell: (one) => <Time at={one.ts} />, narrow: 'hide' },
    {
      key: 'decide', label: '', align: 'right', narrow: 'end',
      cell: (one) => may && one.status === 'proposed' && (
        <><Button kind="quiet" onClick={() => void decide(one, 'accepted')}>Accept</Button>
          <Button kind="quiet" onClick={() => void decide(one, 'rejected')}>Reject</Button></>
      ),
    },
  ];
  // Of more rows than are loaded nobody knows how many wait.
  const open = decisions.rows?.filter((one) => one.status === 'proposed').length ?? 0;
  const words = open === 0 ? (decisions.hasMore ? undefined : 'Nothing waits for a decision') : `${open}${decisions.hasMore ? '+' : ''} of them ${open === 1 ? 'waits' : 'wait'} for a decision`;
  return (
    <Page title="Briefings" state={decisions.rows && words}>
      <FilterBar filters={[
        { name: 'status', label: 'decision', choices: [{ value: '', label: 'any' }, ...['proposed', 'accepted', 'rejected', 'applied'].map((one) => ({ value: one, label: one }))] },
      ]} />
      <NewRows count={decisions.fresh} onShow={decisions.refresh} />
      <Table label="Decisions" rows={decisions.rows} columns={columns} idOf={(one) => one.id} error={decisions.error} onRetry={decisions.refresh}
        empty={<Empty command="kvcs gateway decision list">Nothing was found that wants a decision.</Empty>} />
      <Pager shown={decisions.rows?.length ?? 0} hasMore={decisions.hasMore} busy={decisions.busy} onMore={decisions.more} />
      <Section title="The briefing of a day">
        <div class="form"><Field name="date" label="Day, in UTC" type="date" value={date} max={today} onInput={(event) => { if (event.currentTarget.value) setDate(event.currentTarget.value); }} /></div>
        <Words date={date} />
      </Section>
    </Page>
  );
}
