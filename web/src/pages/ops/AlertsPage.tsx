// What the daemon told, or wanted to tell, and how far that came.
import type { Schema } from '../../api/client';
import { type Column, State, whenColumn } from '../../ui';
import { Ledger } from './Ledger';

type Row = Schema<'Alert'>;
const columns: Column<Row>[] = [
  { key: 'event', label: 'Event', cell: (one) => one.event },
  { key: 'subject', label: 'About', cell: (one) => <span dir="auto">{one.subject}</span>, narrow: 'sub' },
  { key: 'channel', label: 'Channel', cell: (one) => one.channel, narrow: 'hide' },
  {
    key: 'status', label: 'Delivery', narrow: 'side',
    cell: (one) => <State state={one.status} tone={one.status === 'delivered' ? 'good' : one.status === 'failed' ? 'bad' : 'info'} />,
  },
  { key: 'tries', label: 'Tries', align: 'right', cell: (one) => one.attempts, narrow: 'hide' },
  { key: 'error', label: 'Why not', cell: (one) => <span class="clip" dir="auto">{one.error}</span>, narrow: 'hide' },
  whenColumn('end'),
];

export default function AlertsPage() {
  return (
    <Ledger<Row> title="Alerts" state="What was told, to which channel, and whether it arrived" path="/admin/alerts" member="alerts"
      columns={columns} idOf={(one) => one.id} typed={{ name: 'event', label: 'Event, whole (token.expired)' }}
      filters={[{
        name: 'status', label: 'delivery',
        choices: [{ value: '', label: 'any' }, ...['pending', 'delivered', 'failed', 'suppressed'].map((one) => ({ value: one, label: one }))],
      }]}
      empty="Nothing was worth an alert in these days." />
  );
}
