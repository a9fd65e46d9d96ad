import type { Area } from '../../areas';
import { isOperator, mayManage } from '../../api/session';

export const ai: Area = {
  name: 'ai',
  label: 'AI',
  letter: 'i',
  pages: [
    { path: '/ai', label: 'Usage' },
    { path: '/ai/requests', label: 'Requests', shows: (me) => isOperator(me) || mayManage(me) },
    { path: '/ai/users', label: 'Users and keys', shows: (me) => isOperator(me) || mayManage(me) },
    { path: '/ai/playground', label: 'Playground', shows: (me) => isOperator(me) || mayManage(me) },
    { path: '/ai/prices', label: 'Prices', shows: isOperator },
    { path: '/ai/providers', label: 'Model providers', shows: isOperator },
  ],
};
