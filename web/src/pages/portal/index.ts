// The pages of the organization, of signing in and of the own account; each is loaded when it is
// opened. `open`: also for those who have not signed in.
import type { PageRoute } from '../../areas';

export const routes: PageRoute[] = [
  { path: '/login', load: () => import('./LoginPage'), open: true },
  { path: '/setup', load: () => import('./SetupPage'), open: true },
  { path: '/invitation', load: () => import('./InvitationPage'), open: true },
  { path: '/reset', load: () => import('./ResetPage'), open: true },
  { path: '/forgot', load: () => import('./ForgotPage'), open: true },
  { path: '/device', load: () => import('./DevicePage'), open: true },
  { path: '/account', load: () => import('./AccountPage') },
  { path: '/account/security', load: () => import('./SecurityPage') },
  { path: '/account/sessions', load: () => import('./SessionsPage') },
  { path: '/organization', load: () => import('./MembersPage') },
  { path: '/organization/projects', load: () => import('./ProjectsPage') },
  { path: '/organization/keys', load: () => import('./KeysPage') },
  { path: '/billing', load: () => import('./BillingPage') },
  { path: '/organization/audit', load: () => import('./HistoryPage') },
  { path: '/organization/settings', load: () => import('./SettingsPage') },
];
