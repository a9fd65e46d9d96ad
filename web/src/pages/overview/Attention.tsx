// Accounts of services whose credentials are expired, about to be, or refused.
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { href } from '../../router';
import { type Column, ErrorBox, Section, State, Table, Time } from '../../ui';
import { type Account, needsSomebody } from '../gateway/accounts';

const tenantsMax = 8;

async function readAccounts(signal: AbortSignal): Promise<Account[]> {
  const { tenants } = await api.get('/admin/tenants', { query: { limit: tenantsMax }, signal });
  const lists = await Promise.allSettled(
    tenants.map((one) =>
      api.get('/admin/tenants/{tenant}/accounts', { path: { tenant: one.tenant_id }, signal }),
    ),
  );
  // One tenant that cannot be read hides none of the others; where none can be, that is said.
  const refused = lists.find((list) => list.status === 'rejected');
  if (refused?.status === 'rejected' && lists.every((list) => list.status === 'rejected')) {
    throw refused.reason;
  }
  return lists
    .flatMap((list) => (list.status === 'fulfilled' ? list.value.accounts : []))
    .filter(needsSomebody);
}

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
  const list = useQuery('/admin/tenants#attention', readAccounts, { pollMs: 60_000 });
  if (list.error && !list.data) return <ErrorBox error={list.error} onRetry={list.refresh} />;
  if (!list.data || list.data.length === 0) return null;
  return (
    <Section
      title="Service tokens that need attention"
      action={<a href={href('/gateway')}>All accounts</a>}
    >
      <Table
        label="Accounts that need attention"
        rows={list.data}
        columns={columns}
        linkOf={linkOf}
        idOf={(row) => `${row.tenant}/${row.provider}/${row.account_id}`}
      />
    </Section>
  );
}
