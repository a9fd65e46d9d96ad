// Whose accounts and tokens are shown: the tenant of the address, else the first one.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { useParam } from '../../router';

export type Tenant = Schema<'Tenant'>;
export const tenantsPath = '/admin/tenants';

const firstMax = 500;
export interface Tenants {
  // The first ones that fit `find`, and the one of the address.
  all: Tenant[] | undefined;
  hasMore: boolean;
  find: string;
  search: (find: string) => void;
  chosen: string;
  choose: (tenant: string) => void;
  error: unknown;
  refresh: () => void;
}

export function useTenants(): Tenants {
  const [asked, choose] = useParam('tenant');
  const [find, search] = useParam('find');
  const { data, error, refresh } = useQuery(`${tenantsPath}?${find}`, async (signal) =>
    (await api.ask<Schema<'TenantPage'>>('get', tenantsPath, { query: { limit: firstMax, q: find }, signal })).data);
  const isMissing = data !== undefined && asked !== '' && !data.tenants.some((one) => one.tenant_id === asked);
  const own = useQuery(isMissing ? `${tenantsPath}/${asked}` : null, (signal) => api.get('/admin/tenants/{tenant}', { path: { tenant: asked }, signal }));
  const isComing = isMissing && !own.data && !own.error;
  return {
    all: isComing ? undefined : data && [...data.tenants, ...(isMissing && own.data ? [own.data] : [])],
    hasMore: Boolean(data?.cursor), find, search,
    chosen: asked !== '' ? asked : data?.tenants[0]?.tenant_id ?? '', choose, error, refresh,
  };
}
