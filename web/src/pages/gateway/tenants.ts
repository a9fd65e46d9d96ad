// Whose accounts and tokens are shown: the tenant of the address, else the first one.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { useParam } from '../../router';

export type Tenant = Schema<'Tenant'>;
export const tenantsPath = '/admin/tenants';

export interface Tenants {
  all: Tenant[] | undefined;
  chosen: string;
  choose: (tenant: string) => void;
  error: unknown;
  refresh: () => void;
}

export function useTenants(): Tenants {
  const [asked, choose] = useParam('tenant');
  const { data, error, refresh } = useQuery(tenantsPath, async (signal) =>
    (await api.ask<Schema<'TenantPage'>>('get', tenantsPath, { query: { limit: 500 }, signal })).data.tenants);
  return { all: data, chosen: asked !== '' ? asked : data?.[0]?.tenant_id ?? '', choose, error, refresh };
}
