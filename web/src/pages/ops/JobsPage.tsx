// What the daemon does by itself, when it last did and how that went; each can be run now.
import { api, type Schema } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { href } from '../../router';
import { Button, type Column, counted, Duration, ErrorBox, LinkButton, Page, State, Table, Time, toast } from '../../ui';

type Job = Schema<'Job'>;
const path = '/admin/jobs';

// One that has never ended a run has no duration, result or failures to tell.
const hasRun = (one: Job): boolean => one.last_result !== '';
// What the last runs were, over all jobs.
export function stateOf(jobs: Pick<Job, 'last_result'>[]): string {
  const ran = jobs.filter((one) => one.last_result !== '');
  const failing = ran.filter((one) => one.last_result !== 'ok').length;
  if (failing > 0) return `The last run of ${failing} of ${counted(jobs.length, 'job')} failed`;
  const waiting = jobs.length - ran.length;
  return `${counted(jobs.length, 'job')}; no last run failed${waiting > 0 ? `, and ${waiting} ${waiting === 1 ? 'has' : 'have'} not run yet` : ''}`;
}

export default function JobsPage() {
  const me = useMe();
  const { data, error, refresh } = useQuery(path, (signal) => api.get(path, { signal }), { pollMs: 5000 });
  const start = useAction(async (job: string) => {
    const { started } = await api.post('/admin/jobs/{job}/run', { path: { job } });
    toast(started ? `${job} has begun.` : `${job} runs already.`);
    invalidate(path);
  });
  const columns: Column<Job>[] = [
    { key: 'job', label: 'Job', cell: (one) => one.job },
    { key: 'schedule', label: 'When', cell: (one) => one.schedule, narrow: 'sub' },
    {
      key: 'result', label: 'Last run', narrow: 'side',
      cell: (one) => (one.running ? <State state="running" tone="info" /> : !hasRun(one) ? <span class="muted">has not run yet</span>
        : <State state={one.last_result} tone={one.last_result === 'ok' ? 'good' : 'bad'} />),
    },
    { key: 'at', label: 'Begun', cell: (one) => <Time at={one.last_started_at} missing="never" />, narrow: 'hide' },
    { key: 'took', label: 'Took', align: 'right', cell: (one) => <Duration ms={hasRun(one) ? one.last_duration_ms : null} />, narrow: 'hide' },
    { key: 'next', label: 'Next', align: 'right', cell: (one) => <Time at={one.next_at} missing="when asked" />, narrow: 'hide' },
    {
      key: 'failures', label: 'Failures', align: 'right', narrow: 'hide',
      cell: (one) => (hasRun(one) ? <a href={href('/ops/runs', { job: one.job })}>{one.failures} of {one.runs}</a> : <Duration ms={null} />),
    },
    {
      key: 'run', label: '', align: 'right', narrow: 'end',
      cell: (one) => me && mayOperate(me) && (
        <Button kind="quiet" busy={start.busy} disabled={one.running} label={`Run now: ${one.job}`} onClick={() => void start.run(one.job)}>
          Run now</Button>
      ),
    },
  ];
  return (
    <Page title="Jobs" more={<LinkButton href={href('/ops/runs')}>Past runs</LinkButton>}
      state={data && stateOf(data.jobs)}>
      {start.error && <ErrorBox error={start.error} />}
      <Table label="Jobs" rows={data?.jobs} columns={columns} idOf={(one) => one.job} error={error} onRetry={refresh} />
    </Page>
  );
}
