import type { Area } from '../../areas';
import { isOperator } from '../../api/session';

export const ai: Area = {
  name: 'ai',
  label: 'AI',
  letter: 'i',
  pages: [
    { path: '/ai', label: 'Usage' },
    { path: '/ai/requests', label: 'Requests' },
    { path: '/ai/users', label: 'Users and keys' },
    { path: '/ai/playground', label: 'Playground' },
    { path: '/ai/prices', label: 'Prices', shows: isOperator },
    { path: '/ai/providers', label: 'Providers', shows: isOperator },
  ],
};
