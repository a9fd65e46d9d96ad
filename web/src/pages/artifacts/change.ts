// What is done to artifacts, from the list and from the page of one.
import { api } from '../../api/client';
import { invalidate } from '../../api/query';
import { toast, withUndo } from '../../ui';
import { inWords } from './refusal';
import { type Artifact, many, type Visibility } from './words';

export const listPath = '/api/v1/artifacts';
export const onePath = '/api/v1/artifacts/{id}';

export function readAgain(): void {
  invalidate(listPath);
  invalidate('/api/v1/quota');
  invalidate('/api/v1/catalogue');
}

// One after the other, so that a refusal stops it and what was done is known.
async function each(ids: string[], act: (id: string) => Promise<unknown>): Promise<void> {
  try {
    for (const id of ids) await inWords(act(id));
  } finally {
    readAgain();
  }
}

const setVisibility = (id: string, visibility: Visibility) =>
  api.post('/api/v1/artifacts/{id}/visibility', { path: { id }, body: { visibility } });

export async function changeVisibility(all: Artifact[], visibility: Visibility): Promise<void> {
  const ids = all.filter((one) => one.visibility !== visibility).map((one) => one.artifact_id);
  if (ids.length === 0) {
    toast(
      `${many(all.length, 'artifact')} ${all.length === 1 ? 'is' : 'are'} ${visibility} already.`,
    );
    return;
  }
  const text =
    all.length === 1
      ? `${all[0]?.name ?? ''} is ${visibility}.`
      : `${many(ids.length, 'artifact')} ${ids.length === 1 ? 'is' : 'are'} ${visibility}.`;
  const other = visibility === 'public' ? 'private' : 'public';
  await withUndo(
    text,
    () => each(ids, (id) => setVisibility(id, visibility)),
    () => each(ids, (id) => setVisibility(id, other)),
  );
}

export const restoreAll = (ids: string[]): Promise<void> =>
  each(ids, (id) => api.post('/api/v1/artifacts/{id}/restore', { path: { id } }));

export const deleteForGood = (ids: string[]): Promise<void> =>
  each(ids, (id) => api.delete(onePath, { path: { id }, query: { permanent: true } }));

// With a way back, for those that the daemon keeps: an upload that was never finished is gone.
export async function deleteAll(all: Pick<Artifact, 'artifact_id' | 'name'>[]): Promise<void> {
  const kept: string[] = [];
  await each(
    all.map((one) => one.artifact_id),
    async (id) => {
      const gone = await api.ask('delete', onePath, { path: { id } });
      if (gone.headers.has('x-kvcs-restorable-until')) kept.push(id);
    },
  );
  const text = all.length === 1 ? `${all[0]?.name ?? ''} is` : `${many(all.length, 'artifact')} are`;
  toast(`${text} deleted.`, kept.length > 0 ? { undo: () => restoreAll(kept) } : {});
}

// Where the bytes are, seen from this page: the daemon may know itself by another name.
export function blobAddress(downloadUrl: string): string {
  const { pathname, search, href } = new URL(downloadUrl);
  const at = pathname.lastIndexOf('/blobs/');
  return at < 0 ? href : api.url(pathname.slice(at)) + search;
}

// A fresh address of the bytes: the one of the artifact ends after a while.
export async function download(id: string): Promise<void> {
  const { download_url } = await inWords(
    api.post('/api/v1/artifacts/{id}/download-url', { path: { id } }),
  );
  const link = document.createElement('a');
  link.href = blobAddress(download_url);
  link.click();
}
