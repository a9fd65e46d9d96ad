// What a briefing suggests, and what is decided about it.
import { api, type Schema } from '../../api/client';
import { told } from '../../ui';

export type Decision = Schema<'Decision'>;
export const decisionsPath = '/admin/decisions';

export const decide = ({ id, suggestion }: Decision, status: 'accepted' | 'rejected'): Promise<boolean> =>
  told(`${status === 'accepted' ? 'Accepted' : 'Rejected'}: ${suggestion}`,
    () => api.patch('/admin/decisions/{id}', { path: { id }, body: { status } }), decisionsPath);
