// What was deleted and can be restored.
import { api, type Schema } from '../../api/client';
import { usePages, useQuery } from '../../api/query';

export type Deleted = Schema<'DeletedArtifact'>;
const deletedPath = '/api/v1/artifacts/deleted';

// How many seconds a deleted artifact is kept; 0: it is gone at once.
export const useLifetime = () =>
  useQuery<number>(
    `${deletedPath}#lifetime`,
    async (signal) => (await api.get(deletedPath, { query: { limit: 1 }, signal })).lifetime_s,
  );

export const useDeleted = () =>
  usePages<Deleted>(
    deletedPath,
    async (cursor, signal) => {
      const page = await api.get(deletedPath, {
        query: { limit: 100, ...(cursor !== undefined && { cursor }) },
        signal,
      });
      return { rows: page.deleted, next: page.cursor, total: page.artifacts };
    },
    { idOf: (one) => one.artifact_id, pollMs: 30_000 },
  );
