import type { Area } from '../../areas';

export const artifacts: Area = {
  name: 'artifacts',
  label: 'Artifacts',
  letter: 'a',
  pages: [
    { path: '/artifacts', label: 'Artifacts' },
    { path: '/artifacts/compare', label: 'Compare' },
    { path: '/artifacts/deleted', label: 'Recently deleted' },
    { path: '/catalogue', label: 'Public catalogue' },
  ],
};
