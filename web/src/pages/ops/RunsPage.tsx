// Past runs of the daemon's jobs.
import type { Schema } from '../../api/client';
import { type Column, State, tookColumn, whenColumn } from '../../ui';
import { Ledger } from './Ledger';

type Row = Schema<'JobRun'>;
const columns: Column<Row>[] = [
  { key: 'job', label: 'Job', cell: (one) => one.job },
  { key: 'result', label: 'Result', cell: (one) => <State state={one.result} tone={one.result === 'ok' ? 'good' : 'bad'} />, narrow: 'side' },
  { key: 'detail', label: 'Detail', cell: (one) => <span class="clip" dir="auto">{one.detail}</span>, narrow: 'sub' },
  tookColumn((one) => one.duration_ms),
  whenColumn('end'),
];

export default function RunsPage() {
  return (
    <Ledger<Row> title="Past runs" state="What each run of a job did" path="/admin/job-runs" member="job_runs" columns={columns}
      idOf={(one) => `${one.job} ${one.ts}`} typed={{ name: 'job', label: 'Job, whole (backup)' }} empty="No job ran in these days." />
  );
}
