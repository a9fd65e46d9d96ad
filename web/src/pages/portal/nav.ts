import type { Area } from '../../areas';
import { mayManage } from '../../api/session';

export const portal: Area = {
  name: 'portal',
  label: 'Organization',
  letter: 'p',
  pages: [
    { path: '/organization', label: 'Members' },
    { path: '/organization/projects', label: 'Projects' },
    { path: '/organization/keys', label: 'API keys', shows: mayManage },
    { path: '/billing', label: 'Plan and billing', shows: mayManage },
    { path: '/organization/audit', label: 'History', shows: mayManage },
    { path: '/organization/settings', label: 'Settings', shows: mayManage },
  ],
};
