import type { Area } from '../../areas';
import { isOperator } from '../../api/session';

export const ops: Area = {
  name: 'ops',
  label: 'Operations',
  letter: 's',
  shows: isOperator,
  pages: [
    { path: '/ops', label: 'Health' },
    { path: '/ops/metrics', label: 'Metrics' },
    { path: '/ops/jobs', label: 'Jobs' },
    { path: '/ops/runs', label: 'Past runs' },
    { path: '/ops/errors', label: 'Errors' },
    { path: '/ops/alerts', label: 'Alerts' },
    { path: '/ops/audit', label: 'Audit' },
    { path: '/ops/kv', label: 'Key-value store' },
    { path: '/ops/backups', label: 'Backups' },
    { path: '/ops/people', label: 'People' },
    { path: '/ops/organizations', label: 'Organizations' },
    { path: '/ops/config', label: 'Configuration' },
  ],
};
