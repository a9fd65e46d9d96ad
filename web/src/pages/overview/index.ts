// The first page.
import type { PageRoute } from '../../areas';

export const routes: PageRoute[] = [{ path: '/', load: () => import('./OverviewPage') }];
