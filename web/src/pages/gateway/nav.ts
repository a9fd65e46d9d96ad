import type { Area } from '../../areas';
import { isOperator } from '../../api/session';

export const gateway: Area = {
  name: 'gateway',
  label: 'Gateway',
  letter: 'w',
  shows: isOperator,
  pages: [
    { path: '/gateway', label: 'Accounts' },
    { path: '/gateway/catalogue', label: 'Catalogue' },
    { path: '/gateway/console', label: 'Console' },
    { path: '/gateway/tenants', label: 'Tenants and tokens' },
    { path: '/gateway/schedules', label: 'Schedules' },
    { path: '/gateway/errors', label: 'Errors' },
    { path: '/gateway/briefings', label: 'Briefings' },
  ],
};
