// The users whom the caller may see.
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
