// What forms of the organization ask the daemon for.
import { endOfDay, type Values } from '../../ui';

// A key that may write says so by itself: what is not chosen is not given.
export function keyAsk({ name = '', permissions = '', project_id = '', expires_at = '' }: Values) {
  return {
    name,
    permissions: (permissions === 'write' ? ['read', 'write'] : ['read']) as ('read' | 'write')[],
    ...(project_id === 'organization' && { project_id: null }),
    ...(expires_at !== '' && { expires_at: endOfDay('expires_at', expires_at) }),
  };
}

// A change of the plan at the time of its preview, so that what was shown is what is charged.
export const planAsk = (plan: string, preview: { at: number }) => ({ plan, at: preview.at });
