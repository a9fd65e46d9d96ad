// The users whom the caller may see, and the names that tell them apart.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';

export type User = Schema<'User'>;
export const usersPath = '/admin/users';

// The first thousand, for lists to choose from; `wanted`: nothing is asked for without it.
export function useUsers(wanted = true) {
  return useQuery(wanted ? `${usersPath}#all` : null, async (signal) => {
    const all: User[] = [];
    let cursor: string | null | undefined;
    do {
      const page: Schema<'UserPage'> = (await api.ask<Schema<'UserPage'>>('get', usersPath, { query: { limit: 500, cursor }, signal })).data;
      all.push(...page.users);
      cursor = page.cursor;
    } while (cursor && all.length < 1000);
    return all;
  });
}

// The address of one user and the name of one key, of however many there are. Undefined: not known (yet).
export function useUserNames(user: string, key: string): { email: string | undefined; key: string | undefined } {
  const email = useQuery(user === '' ? null : `${usersPath}/${user}`, (signal) => api.get('/admin/users/{user_id}', { path: { user_id: user }, signal })).data?.email;
  const keys = useQuery(user === '' || key === '' ? null : `${usersPath}/${user}/api-keys?${key}`, (signal) =>
    api.get('/admin/users/{user_id}/api-keys', { path: { user_id: user }, query: { q: key, limit: 1 }, signal })).data?.api_keys;
  return { email, key: keys?.find((one) => one.key_id === key)?.name };
}

// Names of organizations by their ids: all of them for operators, the own ones for everybody else.
export type OrganizationNames = Record<string, string>;
export function useOrganizationNames(wanted = true): OrganizationNames | undefined {
  return useQuery(wanted ? '/admin/organizations#names' : null, async (signal) => {
    const page = await api.ask<Schema<'OrganizationPage'>>('get', '/admin/organizations', { query: { limit: 500 }, signal });
    return Object.fromEntries(page.data.organizations.map((one) => [one.org_id, one.name]));
  }).data;
}

// An address names a user within an organization only: where a list has users of several
// organizations, the organization is told too. Each row of a list asks; a list is looked through once.
const ofSeveral = new WeakMap<User[], boolean>();
export function areOfSeveral(users: User[]): boolean {
  const known = ofSeveral.get(users) ?? users.some((one) => one.org_id !== users[0]?.org_id);
  ofSeveral.set(users, known);
  return known;
}
export function userName(user: User, users: User[], organizations: OrganizationNames = {}): string {
  const name = user.email || user.user_id;
  return areOfSeveral(users) ? `${name} · ${organizations[user.org_id] ?? user.org_id}` : name;
}
