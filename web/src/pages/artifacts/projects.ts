// The projects of the active organization.
import { api, type Schema } from '../../api/client';
import { type Query, useQuery } from '../../api/query';
import { useMe } from '../../api/session';

export type Project = Schema<'MyProject'>;

export function useProjectList(): Query<{ projects: Project[] }> {
  const org_id = useMe()?.organization_id ?? '';
  return useQuery(org_id === '' ? null : `/api/v1/organizations/${org_id}/projects`, (signal) =>
    api.get('/api/v1/organizations/{org_id}/projects', { path: { org_id }, signal }),
  );
}
// [] before the answer.
export const useProjects = (): Project[] => useProjectList().data?.projects ?? [];

// Its name, where uploads go.
export function useActiveProject(): string {
  const id = useMe()?.project_id;
  return useProjects().find((one) => one.project_id === id)?.name ?? 'the active project';
}
