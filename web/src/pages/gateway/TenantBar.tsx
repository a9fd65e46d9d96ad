// Which tenant a page is about; and what to do while there is none.
import { api } from '../../api/client';
import { invalidate, useAction } from '../../api/query';
import { useMe } from '../../api/session';
import { href, useParam } from '../../router';
import { Button, Empty, ErrorBox, LinkButton } from '../../ui';
import { type Tenants, tenantsPath } from './tenants';

export function TenantBar({ tenants }: { tenants: Tenants }) {
  const isSearched = tenants.hasMore || tenants.find !== '';
  if ((tenants.all?.length ?? 0) < 2 && !isSearched) return null;
  return (
    <>{isSearched && (
      <label class="filter">
        <span>tenants with</span>
        <input type="search" maxLength={100} value={tenants.find} placeholder="a part of the name" onChange={(event) => tenants.search(event.currentTarget.value)} />
      </label>
    )}
    <label class="filter">
      <span>tenant</span>
      <select value={tenants.chosen} onChange={(event) => tenants.choose(event.currentTarget.value)}>
        {tenants.all?.map((one) => <option key={one.tenant_id} value={one.tenant_id}>{one.name || one.tenant_id}</option>)}
      </select>
    </label></>
  );
}

// An organization calls other services once it is a tenant of the gateway.
export function NoTenant() {
  const me = useMe();
  const [find, search] = useParam('find');
  const slug = me?.organizations?.find((one) => one.organization_id === me.organization_id)?.slug ?? '';
  const begin = useAction(async () => {
    await api.put('/admin/tenants/{tenant}', { path: { tenant: slug }, body: {} });
    invalidate(tenantsPath);
  });
  if (find !== '') {
    return <Empty action={<Button onClick={() => search('')}>Show all</Button>}>No tenant has <b dir="auto">{find}</b> in its name.</Empty>;
  }
  return (
    <>
      {begin.error && <ErrorBox error={begin.error} />}
      <Empty command={`kvcs gateway tenant add ${slug}`}
        action={<><Button kind="primary" busy={begin.busy} onClick={() => void begin.run()}>Set {slug} up for the gateway</Button>{' '}
          <LinkButton href={href('/gateway/catalogue')}>See what can be connected</LinkButton></>}>
        Agents call other services through the gateway with accounts that stay here: they never see a credential.
      </Empty>
    </>
  );
}
