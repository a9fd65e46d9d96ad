// A tenant's accounts at other services: their state, what comes next, and one click to mend them.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { invalidate, useQuery } from '../../api/query';
import { mayTend, useMe } from '../../api/session';
import { href, useParam, useShortcut } from '../../router';
import {
  Button, type Column, Confirm, counted, Empty, ErrorBox, FilterBar, Menu, Notice, Page, Skeleton, State, Table, Time, toast, told,
} from '../../ui';
import { type Account, accountPath, fitsState, isEnding, isGood } from './accounts';
import { ConnectDialog } from './ConnectDialog';
import { ExpiryStrip } from './ExpiryStrip';
import { NoTenant, TenantBar } from './TenantBar';
import { useTenants } from './tenants';

const placeOf = (one: Account) => ({ tenant: one.tenant, provider: one.provider, account: one.account_id });

const refreshNow = (one: Account) =>
  told(`${one.provider}/${one.account_id} has a fresh token.`, () => api.post(`${accountPath}/refresh`, { path: placeOf(one) }), '/admin/tenants/');

function columnsOf(may: boolean, act: { connect: (one: Account) => void; remove: (one: Account) => void }): Column<Account>[] {
  return [
    { key: 'provider', label: 'Service', cell: (one) => <>{one.provider}{one.account_id !== 'default' && <span class="muted"> / {one.account_id}</span>}</> },
    {
      key: 'state', label: 'State', narrow: 'side',
      cell: (one) => <State state={one.state} {...(isGood(one) && { tone: 'good' as const })} />,
    },
    { key: 'expires', label: 'Token expires', cell: (one) => <Time at={one.expires_at} missing="does not" />, narrow: 'sub' },
    { key: 'next', label: 'Next refresh', cell: (one) => <Time at={one.next_refresh_at} missing={one.expires_at === null ? 'not needed' : 'none'} />, narrow: 'hide' },
    { key: 'used', label: 'Last used', cell: (one) => <Time at={one.last_used_at} missing="never" />, narrow: 'hide' },
    { key: 'error', label: 'Last error', cell: (one) => one.last_error && <span class="clip tone-bad" dir="auto" title={one.last_error}>{one.last_error}</span>, narrow: 'hide' },
    {
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => (
        <Menu label={`Change ${one.provider}/${one.account_id}`} button="Change" kind="quiet" align="right" items={[
          { label: 'Try a call', href: href('/gateway/console', { tenant: one.tenant, provider: one.provider, account: one.account_id }) },
          ...(may ? [
            { label: 'Refresh the token now', run: () => void refreshNow(one) },
            { label: 'Connect anew', run: () => act.connect(one) },
            { label: 'Remove', danger: true, run: () => act.remove(one) },
          ] : []),
        ]} />
      ),
    },
  ];
}

export default function AccountsPage() {
  const tenants = useTenants();
  const [q] = useParam('q');
  const [state] = useParam('state');
  const [asked, setAsked] = useParam('connect');
  const [connecting, setConnecting] = useState<{ provider?: string; account?: string } | null>(null);
  const [removed, setRemoved] = useState<Account | null>(null);
  const tenant = tenants.chosen;
  const me = useMe();
  const may = Boolean(me && mayTend(me, tenant));
  const { data, error, refresh } = useQuery(tenant === '' ? null : `/admin/tenants/${tenant}/accounts`,
    (signal) => api.get('/admin/tenants/{tenant}/accounts', { path: { tenant }, signal }), { pollMs: 15_000 });
  useShortcut('c', 'Connect an account', tenant !== '' && may ? () => setConnecting({}) : null);
  if (tenants.error && !tenants.all) return <Page title="Accounts"><ErrorBox error={tenants.error} onRetry={tenants.refresh} /></Page>;
  if (!tenants.all) return <Page title="Accounts"><Skeleton lines={5} /></Page>;
  if (tenants.all.length === 0) return <Page title="Accounts"><NoTenant /></Page>;
  const words = q.toLocaleLowerCase();
  const rows = data?.accounts.filter((one) => `${one.provider} ${one.account_id}`.toLocaleLowerCase().includes(words) && fitsState(one, state));
  const attention = data?.accounts.filter((one) => fitsState(one, 'attention')).length ?? 0;
  const connect = may && <Button kind="primary" onClick={() => setConnecting({})}>Connect an account</Button>;
  return (
    <Page title="Accounts" action={connect}
      state={data && <>{data.truncated ? `${data.accounts.length}+ accounts` : counted(data.accounts.length, 'account')}{attention > 0 && <>, <a href={href('/gateway', { tenant, state: 'attention' })}>{attention}{data.truncated && '+'} {attention === 1 ? 'needs' : 'need'} attention</a></>}</>}>
      {data && data.accounts.length > 0 && <ExpiryStrip accounts={data.accounts.filter(isEnding)} />}
      <FilterBar search="q" placeholder="Filter by service or name" filters={[{
        name: 'state', label: 'state', choices: [{ value: '', label: 'any' }, { value: 'attention', label: 'needs attention' },
          { value: 'soon', label: 'ends within 15 minutes' }, { value: 'expiring', label: 'ends within 7 days' }, { value: 'expired', label: 'expired' }],
      }]}><TenantBar tenants={tenants} /></FilterBar>
      {data?.truncated && <Notice tone="warn">There are more accounts than the daemon answers at once; filter by service with the API.</Notice>}
      <Table label="Accounts" rows={rows} idOf={(one) => `${one.provider}/${one.account_id}`} error={error} onRetry={refresh}
        columns={columnsOf(may, { connect: (one) => setConnecting({ provider: one.provider, account: one.account_id }), remove: setRemoved })}
        empty={<Empty action={connect} command={`kvcs gateway account connect ${tenant} github`}>No account fits. Agents of {tenant} call services through accounts that are connected here.</Empty>} />
      {(connecting || (asked !== '' && may)) && (
        <ConnectDialog tenant={tenant} {...(connecting ?? { provider: asked })} onClose={() => { setConnecting(null); setAsked(''); }} />
      )}
      {removed && (
        <Confirm title={`Remove ${removed.provider}/${removed.account_id}`} typed={removed.account_id} action="Remove" onClose={() => setRemoved(null)}
          onConfirm={async () => {
            const gone = await api.delete(accountPath, { path: placeOf(removed), query: { revoke: 'true' } });
            invalidate('/admin/tenants/');
            toast(gone.revoked ? 'Removed, and revoked at the service.' : 'Removed here. Whether the token still works at the service is not known: revoke it there.');
          }}>
          Its credential is deleted, and revoked at the service where the service has a way to. Calls with it fail from now on.
        </Confirm>
      )}
    </Page>
  );
}
