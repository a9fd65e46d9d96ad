// Which area a path belongs to, and how its pages are loaded.
import type { Area, AreaModule, AreaName, PageRoute } from '../areas';
import { ai } from '../pages/ai/nav';
import { artifacts } from '../pages/artifacts/nav';
import { gateway } from '../pages/gateway/nav';
import { ops } from '../pages/ops/nav';
import { overview } from '../pages/overview/nav';
import { portal } from '../pages/portal/nav';
import { matchPath } from '../router';

export const areas: Area[] = [overview, artifacts, ai, gateway, portal, ops];

const loaders: Record<AreaName, () => Promise<AreaModule>> = {
  overview: () => import('../pages/overview'),
  artifacts: () => import('../pages/artifacts'),
  ai: () => import('../pages/ai'),
  gateway: () => import('../pages/gateway'),
  portal: () => import('../pages/portal'),
  ops: () => import('../pages/ops'),
};

// The first part of a path decides; what no area has named is of the portal, which has the pages
// around signing in and the own account.
const firstParts = new Map<string, AreaName>([
  ['', 'overview'],
  ['artifacts', 'artifacts'],
  ['catalogue', 'artifacts'],
  ['share', 'artifacts'],
  ['ai', 'ai'],
  ['gateway', 'gateway'],
  ['ops', 'ops'],
]);
export function areaOf(path: string): AreaName {
  return firstParts.get(path.split('/')[1] ?? '') ?? 'portal';
}

const loaded = new Map<AreaName, Promise<AreaModule>>();
export function loadArea(name: AreaName): Promise<AreaModule> {
  const known = loaded.get(name) ?? loaders[name]();
  loaded.set(name, known);
  // A load that failed, because the daemon was updated or is down, is tried again the next time.
  known.catch(() => loaded.delete(name));
  return known;
}

export interface Found {
  route: PageRoute;
  params: Record<string, string>;
}
export async function findRoute(path: string): Promise<Found | null> {
  const { routes } = await loadArea(areaOf(path));
  for (const route of routes) {
    const params = matchPath(route.path, path);
    if (params) return { route, params };
  }
  return null;
}
