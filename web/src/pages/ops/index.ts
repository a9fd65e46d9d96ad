// The pages of this area; each is loaded when it is opened.
import type { PageRoute } from '../../areas';

export const routes: PageRoute[] = [
];
