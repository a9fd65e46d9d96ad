import type { Area } from '../../areas';

export const overview: Area = {
  name: 'overview', label: 'Overview', letter: 'o', pages: [{ path: '/', label: 'Overview' }],
};
