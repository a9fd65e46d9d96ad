// The roles of an organization, the strongest first, and what each may do.
import type { Role } from '../../api/session';

export const roles: Role[] = ['owner', 'admin', 'member', 'viewer'];
export const roleWords: Record<Role, string> = {
  owner: 'owner – also makes owners, pays and deletes',
  admin: 'admin – also manages people, projects and keys',
  member: 'member – also uploads and changes artifacts',
  viewer: 'viewer – reads',
};

// Nobody gives more than their own, and only those who manage give any.
export function rolesUpTo(own: Role): Role[] {
  return own === 'owner' || own === 'admin' ? roles.slice(roles.indexOf(own)) : [];
}
