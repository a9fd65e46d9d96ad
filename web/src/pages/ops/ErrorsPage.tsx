// Calls of the tool gateway that failed, with why.
import type { Schema } from '../../api/client';
import { href } from '../../router';
import { type Column, State, tookColumn, whenColumn } from '../../ui';
import { Ledger } from './Ledger';

type Row = Schema<'ErrorRow'>;
const columns: Column<Row>[] = [
  { key: 'code', label: 'What', cell: (one) => <State state={one.code} tone="bad" /> },
  { key: 'message', label: 'Words', cell: (one) => <span dir="auto" class="clip">{one.message}</span>, narrow: 'sub' },
  { key: 'where', label: 'Where', cell: (one) => <>{one.tenant} → {one.provider}</>, narrow: 'hide' },
  { key: 'status', label: 'Status', align: 'right', cell: (one) => one.status, narrow: 'hide' },
  tookColumn((one) => one.latency_ms),
  whenColumn('side'),
];

export default function ErrorsPage() {
  return (
    <Ledger<Row> title="Errors" state="Calls that failed, as their callers were told" path="/admin/errors" member="errors"
      columns={columns} idOf={(one) => one.id} typed={{ name: 'code', label: 'Code, whole (account_not_found)' }}
      linked={['request_id', 'tenant', 'provider']}
      empty="No call failed in these days."
      links={(one) => (
        <p><a href={href('/ops/errors', { request_id: one.request_id })}>All of this request</a></p>
      )} />
  );
}
