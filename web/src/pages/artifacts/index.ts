// The pages of this area; each is loaded when it is opened. `open`: also for those who have not
// signed in.
import type { PageRoute } from '../../areas';

export const routes: PageRoute[] = [
  { path: '/artifacts', load: () => import('./ListPage') },
  { path: '/artifacts/compare', load: () => import('./ComparePage') },
  { path: '/artifacts/deleted', load: () => import('./DeletedPage') },
  { path: '/artifacts/:id', load: () => import('./DetailPage') },
  { path: '/catalogue', load: () => import('./CataloguePage'), open: true },
];
