// The pages of this area; each is loaded when it is opened.
import type { PageRoute } from '../../areas';

export const routes: PageRoute[] = [
  { path: '/gateway', load: () => import('./AccountsPage') },
  { path: '/gateway/catalogue', load: () => import('./CataloguePage') },
  { path: '/gateway/console', load: () => import('./ConsolePage') },
  { path: '/gateway/tenants', load: () => import('./TenantsPage') },
  { path: '/gateway/schedules', load: () => import('./SchedulesPage') },
  { path: '/gateway/briefings', load: () => import('./BriefingsPage') },
];
