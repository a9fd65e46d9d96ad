// Backups: made now, and how the last ones went.
import type { Schema } from '../../api/client';
import { api } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { Button, type Column, Duration, Empty, ErrorBox, Page, State, Table, Time, toast } from '../../ui';

type Run = Schema<'JobRun'>;
const path = '/admin/job-runs';
const columns: Column<Run>[] = [
  { key: 'ts', label: 'When', cell: (one) => <Time at={one.ts} /> },
  { key: 'result', label: 'Result', cell: (one) => <State state={one.result} tone={one.result === 'ok' ? 'good' : 'bad'} />, narrow: 'side' },
  { key: 'detail', label: 'Detail', cell: (one) => <span dir="auto">{one.detail}</span>, narrow: 'sub' },
  { key: 'took', label: 'Took', align: 'right', cell: (one) => <Duration ms={one.duration_ms} />, narrow: 'end' },
];

export default function BackupsPage() {
  const me = useMe();
  const { data, error, refresh } = useQuery(`${path}?job=backup`, async (signal) =>
    (await api.ask<Schema<'JobRunPage'>>('get', path, { query: { job: 'backup', limit: 100 }, signal })).data, { pollMs: 5000 });
  const begin = useAction(async () => {
    const { started } = await api.post('/admin/backup');
    toast(started ? 'A backup has begun.' : 'A backup runs already.');
    invalidate(path);
  });
  const rows = data?.job_runs;
  const last = rows?.find((one) => one.result === 'ok');
  const make = me && mayOperate(me) && <Button kind="primary" busy={begin.busy} onClick={() => void begin.run()}>Make a backup now</Button>;
  return (
    <Page title="Backups" action={make} state={rows && (last ? <>The last one that was made whole is of <Time at={last.ts} /></> : 'None was made yet')}>
      {begin.error && <ErrorBox error={begin.error} />}
      <Table label="Backups" rows={rows} columns={columns} idOf={(one) => one.ts} error={error} onRetry={refresh}
        empty={<Empty action={make} command="kvcs admin backup">A backup is a folder that `kvcs restore` makes a whole appliance of.</Empty>} />
    </Page>
  );
}
