import type { Area } from '../../areas';
import { isOperator, mayManage } from '../../api/session';

export const gateway: Area = {
  name: 'gateway',
  label: 'Gateway',
  letter: 'w',
  shows: (me) => isOperator(me) || mayManage(me),
  pages: [
    { path: '/gateway', label: 'Accounts' },
    { path: '/gateway/catalogue', label: 'Catalogue', shows: isOperator },
    { path: '/gateway/console', label: 'Console' },
    { path: '/gateway/tenants', label: 'Tenants and tokens' },
    { path: '/gateway/schedules', label: 'Schedules', shows: isOperator },
    { path: '/gateway/briefings', label: 'Briefings', shows: isOperator },
  ],
};
