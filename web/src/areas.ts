// The six areas of the dashboard, their pages by name, and what a page is to the router.
import type { ComponentType } from 'preact';
import type { Me } from './api/session';

export type AreaName = 'overview' | 'artifacts' | 'ai' | 'gateway' | 'portal' | 'ops';

// A page that the navigation and the palette name. `shows`: for whom; left out: for everybody.
export interface NavPage {
  path: string;
  label: string;
  shows?: (me: Me) => boolean;
}
// `letter`: `g` and then this jumps to the first page.
export interface Area {
  name: AreaName;
  label: string;
  letter: string;
  shows?: (me: Me) => boolean;
  pages: NavPage[];
}

// What a page gets: the names of its pattern, and the query of the address.
export interface PageProps {
  params: Record<string, string>;
  query: URLSearchParams;
}
// `path`: "/artifacts/:id". `open`: also for those who have not signed in.
export interface PageRoute {
  path: string;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
  open?: boolean;
}
// Something the palette can do: opens a page or runs; `load`ed with the area.
export interface PaletteAction {
  label: string;
  run: () => void;
  shows?: (me: Me) => boolean;
}
// What src/pages/<area>/index.ts exports.
export interface AreaModule {
  routes: PageRoute[];
  actions?: PaletteAction[];
}
