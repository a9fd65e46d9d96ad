// Accounts of services whose credentials are expired, about to be, or refused.
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { href } from '../../router';
import { type Column, ErrorBox, formatCount, Section, State, Table, Time } from '../../ui';
import type { Account } from '../gateway/accounts';

const path = '/admin/accounts/attention';
const linkOf = (row: Account) =>
  href('/gateway', { tenant: row.tenant, q: `${row.provider} ${row.account_id}` });
const columns: Column<Account>[] = [
  { key: 'account', label: 'Account', cell: (row) => `${row.provider} / ${row.account_id}` },
  { key: 'state', label: 'State', cell: (row) => <State state={row.state} /> },
  {
    key: 'error',
    label: 'Last error',
    cell: (row) => <span title={row.last_error}>{row.last_error}</span>,
  },
  {
    key: 'expires',
    label: 'Expires',
    align: 'right',
    cell: (row) => <Time at={row.expires_at} missing="never" />,
  },
];

export function Attention() {
  const list = useQuery(path, (signal) => api.get(path, { signal }), { pollMs: 60_000 });
  if (list.error && !list.data) return <ErrorBox error={list.error} onRetry={list.refresh} />;
  if (!list.data || list.data.accounts.length === 0) return null;
  const { accounts, total } = list.data;
  return (
    <Section
      title="Service tokens that need attention"
      note={total > accounts.length && `The first ${accounts.length} of ${formatCount(total)}.`}
      action={<a href={href('/gateway')}>All accounts</a>}
    >
      <Table
        label="Accounts that need attention"
        rows={accounts}
        columns={columns}
        linkOf={linkOf}
        idOf={(row) => `${row.tenant}/${row.provider}/${row.account_id}`}
      />
    </Section>
  );
}
