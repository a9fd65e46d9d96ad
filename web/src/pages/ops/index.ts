// The pages of this area; each is loaded when it is opened.
import type { PageRoute } from '../../areas';

export const routes: PageRoute[] = [
  { path: '/ops', load: () => import('./HealthPage') },
  { path: '/ops/metrics', load: () => import('./MetricsPage') },
  { path: '/ops/config', load: () => import('./ConfigPage') },
  { path: '/ops/jobs', load: () => import('./JobsPage') },
  { path: '/ops/runs', load: () => import('./RunsPage') },
  { path: '/ops/errors', load: () => import('./ErrorsPage') },
  { path: '/ops/alerts', load: () => import('./AlertsPage') },
  { path: '/ops/audit', load: () => import('./AuditPage') },
  { path: '/ops/kv', load: () => import('./KvPage') },
  { path: '/ops/backups', load: () => import('./BackupsPage') },
  { path: '/ops/people', load: () => import('./PeoplePage') },
  { path: '/ops/organizations', load: () => import('./OrganizationsPage') },
  { path: '/ops/organizations/:id', load: () => import('./OrganizationPage') },
];
