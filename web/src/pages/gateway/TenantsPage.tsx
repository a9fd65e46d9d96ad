// Whose agents may call, with which tokens.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { mustBeFree } from '../../api/free';
import { invalidate, useAction, usePages } from '../../api/query';
import { mayOperate, mayTend, useMe } from '../../api/session';
import {
  Button, type Column, Commands, Dialog, Empty, endOfDay, ErrorBox, Field, FilterBar, Form, Page, Pager, Secret, Section, Skeleton, State, Table, Time, toast, told, useSearch,
} from '../../ui';
import { NoTenant, TenantBar } from './TenantBar';
import { tenantsPath, useTenants } from './tenants';

type Token = Schema<'TenantToken'>;
const idOf = (one: Token): string => one.token_id ?? one.key_id;

function Made({ secret, tenant }: { secret: string; tenant: string }) {
  return (
    <>
      <Secret label="The token" text={secret} />
      <Commands label="Use the token" ways={{
        curl: `curl -s ${api.url(`/api/v1/${tenant}/github`)} \\\n  -H "Authorization: Bearer $KVCS_TENANT_TOKEN" \\\n  -d '{"path":"/user"}'`,
      }} />
    </>
  );
}

function TokenDialog({ tenant, onClose }: { tenant: string; onClose: () => void }) {
  const [secret, setSecret] = useState('');
  return (
    <Dialog title="Create a token" onClose={onClose}>
      {secret !== '' ? <Made secret={secret} tenant={tenant} /> : (
        <Form submit="Create token" onCancel={onClose} onSubmit={async ({ name = '', expires_at = '' }) => {
          const made = await api.post('/admin/tenants/{tenant}/tokens', {
            path: { tenant }, body: { ...(name !== '' && { name }), ...(expires_at !== '' && { expires_at: endOfDay('expires_at', expires_at) }) },
          });
          setSecret(made.token ?? '');
          invalidate(`/admin/tenants/${tenant}/tokens`);
        }}>
          <Field name="name" label="Name" maxLength={100} placeholder="support agent" hint="Which agent will use it." />
          <Field name="expires_at" label="Works until the end of" type="date" hint="Left empty, until it is revoked. Days are in UTC." />
        </Form>
      )}
    </Dialog>
  );
}

function Tokens({ tenant, may }: { tenant: string; may: boolean }) {
  const [creating, setCreating] = useState(false);
  const path = '/admin/tenants/{tenant}/tokens';
  const search = useSearch('Filter by name');
  const tokens = usePages<Token>(`/admin/tenants/${tenant}/tokens?${search.q ?? ''}`, async (cursor, signal) => {
    const page = await api.ask<Schema<'TokenPage'>>('get', path, { path: { tenant }, query: { limit: 100, cursor, q: search.q }, signal });
    return { rows: page.data.tokens, next: page.data.cursor };
  }, { idOf, pollMs: 30_000 });
  const revoke = (one: Token) =>
    told(`${one.name || 'The token'} (${one.key_prefix}) is revoked.`,
      () => api.delete('/admin/tenants/{tenant}/tokens/{token_id}', { path: { tenant, token_id: idOf(one) } }), `/admin/tenants/${tenant}/tokens`);
  const columns: Column<Token>[] = [
    { key: 'name', label: 'Name', cell: (one) => <span dir="auto">{one.name || <span class="muted">without a name</span>}</span> },
    { key: 'hint', label: 'Token', cell: (one) => <code>{one.key_prefix}</code>, narrow: 'sub' },
    { key: 'status', label: 'State', cell: (one) => <State state={one.status} />, narrow: 'side' },
    { key: 'used', label: 'Last used', cell: (one) => <Time at={one.last_used_at} missing="never" />, narrow: 'hide' },
    { key: 'ends', label: 'Ends', align: 'right', cell: (one) => <Time at={one.expires_at} missing="when revoked" />, narrow: 'hide' },
    {
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => may && one.status === 'active' && <Button kind="quiet" label={`Revoke ${one.name}`} onClick={() => void revoke(one)}>Revoke</Button>,
    },
  ];
  const create = may && <Button kind="primary" onClick={() => setCreating(true)}>Create a token</Button>;
  return (
    <Section title="Tokens" action={create}>
      {search.bar(tokens)}
      <Table label="Tokens" rows={tokens.rows} columns={columns} idOf={idOf} error={tokens.error} onRetry={tokens.refresh}
        empty={search.empty(tokens, <Empty command={`kvcs gateway token create ${tenant} --name crm-agent`}>Agents of {tenant} call with a token.</Empty>)} />
      <Pager shown={tokens.rows?.length ?? 0} hasMore={tokens.hasMore} busy={tokens.busy} onMore={tokens.more} />
      {creating && <TokenDialog tenant={tenant} onClose={() => setCreating(false)} />}
    </Section>
  );
}

function CreateTenant({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Set a tenant up" onClose={onClose}>
      <Form submit="Set up" onCancel={onClose} onSubmit={async ({ tenant = '', name = '' }) => {
        await mustBeFree(api.get('/admin/tenants/{tenant}', { path: { tenant } }), 'tenant', tenant);
        await api.put('/admin/tenants/{tenant}', { path: { tenant }, body: name === '' ? {} : { name } });
        invalidate(tenantsPath);
        onClose();
      }}>
        <Field name="tenant" label="Tenant" required maxLength={64} spellcheck={false} hint="An organization has the tenant of its first name in addresses." />
        <Field name="name" label="Name to show" maxLength={200} />
      </Form>
    </Dialog>
  );
}

export default function TenantsPage() {
  const me = useMe();
  const tenants = useTenants();
  const [creating, setCreating] = useState(false);
  const change = useAction(async (stop: boolean) => {
    const path = { tenant: tenants.chosen };
    await (stop ? api.post('/admin/tenants/{tenant}/suspend', { path }) : api.post('/admin/tenants/{tenant}/resume', { path }));
    invalidate(tenantsPath);
    toast(stop ? 'Suspended: its tokens are refused from now on.' : 'Works again.');
  });
  const purge = useAction(async () => {
    const { purged } = await api.delete('/admin/cache', { query: { tenant: tenants.chosen } });
    toast(`${purged} kept answers are gone.`);
  });
  if (tenants.error && !tenants.all) return <Page title="Tenants and tokens"><ErrorBox error={tenants.error} onRetry={tenants.refresh} /></Page>;
  if (!tenants.all) return <Page title="Tenants and tokens"><Skeleton lines={5} /></Page>;
  const tenant = tenants.all.find((one) => one.tenant_id === tenants.chosen);
  const operates = Boolean(me && mayOperate(me));
  const create = operates && <Button onClick={() => setCreating(true)}>Set a tenant up</Button>;
  if (!tenant) return <Page title="Tenants and tokens" more={create}><NoTenant />{creating && <CreateTenant onClose={() => setCreating(false)} />}</Page>;
  return (
    <Page title="Tenants and tokens" more={create} state={<><bdi>{tenant.name || tenant.tenant_id}</bdi>: <State state={tenant.status} tone={tenant.status === 'active' ? 'good' : 'warn'} /></>}>
      <FilterBar><TenantBar tenants={tenants} /></FilterBar>
      {(change.error ?? purge.error) && <ErrorBox error={change.error ?? purge.error} />}
      <Tokens key={tenant.tenant_id} tenant={tenant.tenant_id} may={Boolean(me && mayTend(me, tenant.tenant_id))} />
      {operates && (
        <Section title="Operators" note="Answers that were kept to spare the service are told apart by tenant, service and account.">
          <div class="form-actions">
            <Button busy={purge.busy} onClick={() => void purge.run()}>Forget kept answers</Button>
            <Button kind={tenant.status === 'active' ? 'danger' : 'plain'} busy={change.busy} onClick={() => void change.run(tenant.status === 'active')}>
              {tenant.status === 'active' ? 'Suspend the tenant' : 'Let it call again'}</Button>
          </div>
        </Section>
      )}
      {creating && <CreateTenant onClose={() => setCreating(false)} />}
    </Page>
  );
}
