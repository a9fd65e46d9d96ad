// The words for what the audit's rows say was done. The daemon's document lists the verbs, so that one
// without a word does not pass the check of types.
import type { Schema } from '../../api/client';

export const auditVerbs: Record<Schema<'AuditRow'>['action'], string> = {
  put: 'made or changed', delete: 'removed', create: 'made', update: 'changed', restore: 'restored', confirm: 'confirmed the upload of',
  visibility: 'changed who sees', move: 'moved', purge: 'purged', run: 'ran', link: 'made a link for', refused: 'refused',
  accepted: 'accepted', rejected: 'rejected', applied: 'applied',
};

// The store says "put" of what is new, too; only the hash of before tells.
export function auditVerb({ action, old_hash: before }: Pick<Schema<'AuditRow'>, 'action' | 'old_hash'>): string {
  if (action === 'put') return before === '' ? 'made' : 'changed';
  return auditVerbs[action] ?? action;
}
