// The pages of this area; each is loaded when it is opened.
import type { PageRoute } from '../../areas';

export const routes: PageRoute[] = [
  { path: '/ai', load: () => import('./UsagePage') },
  { path: '/ai/requests', load: () => import('./RequestsPage') },
  { path: '/ai/users', load: () => import('./UsersPage') },
  { path: '/ai/users/:id', load: () => import('./UserPage') },
  { path: '/ai/playground', load: () => import('./PlaygroundPage') },
  { path: '/ai/prices', load: () => import('./PricesPage') },
  { path: '/ai/providers', load: () => import('./ProvidersPage') },
];
